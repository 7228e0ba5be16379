/**
 * The section `transports`: which transports a node listens on, as addresses. Pure.
 */
import { isIP } from 'node:net'
import * as z from 'zod'

const port = (usual: number, about: string) =>
  z.int().min(0).max(65_535).default(usual).describe(`${about} 0: any free one.`)

const fixed = <const V extends boolean>(value: V, about: string, reason: string) =>
  z
    .literal(value, { error: `only ${value} can be had: ${reason}` })
    .default(value)
    .describe(`${about} Only ${value}: ${reason}.`)

export const TransportsSection = z
  .strictObject({
    host: z
      .string()
      .refine((host) => host === 'all' || isIP(host) !== 0, 'use an IP address of this machine, or all')
      .default('127.0.0.1')
      .describe(
        'IP address of this machine that all transports listen on; all for every one, IPv4 and IPv6. Beyond 127.0.0.1 a secret is needed.',
      ),
    tcp: z
      .strictObject({
        port: port(8081, 'TCP port.'),
        keepalive: fixed(true, 'TCP keepalive.', 'it is always on'),
      })
      .optional()
      .describe('Plain TCP, encrypted by Noise.'),
    websocket: z
      .strictObject({
        port: port(8080, 'TCP port.'),
        ssl: z
          .boolean()
          .default(true)
          .describe(
            'TLS beneath the WebSocket (wss), where certificate_file and key_file are given; without them it stays ws, encrypted by Noise all the same.',
          ),
        certificate_file: z.string().min(1).optional().describe('Certificate with its chain, PEM.'),
        key_file: z.string().min(1).optional().describe('Its private key, PEM, mode 0600.'),
        compression: z
          .boolean()
          .default(true)
          .describe(
            "Without effect of its own: payloads are compressed before any transport (protocols.compression). WebSocket's own compression is never used.",
          ),
      })
      .optional()
      .describe('WebSocket.'),
    udp: z
      .strictObject({
        port: port(8082, 'UDP port.'),
        multicast: fixed(false, 'Multicast.', 'QUIC has none; to find peers by multicast set discovery.mdns'),
      })
      .optional()
      .describe('QUIC over UDP, where @chainsafe/libp2p-quic is installed.'),
  })
  .partial()
export type TransportsSection = z.output<typeof TransportsSection>

const hosts = (host: string): string[] => {
  if (host === 'all') return ['/ip4/0.0.0.0', '/ip6/::']
  return [isIP(host) === 6 ? `/ip6/${host}` : `/ip4/${host}`]
}

export interface ListenSettings {
  /** Multiaddresses. */
  readonly listen: string[]
  readonly certificate: { readonly certFile: string; readonly keyFile: string } | undefined
  /** What is otherwise than the section seems to say. */
  readonly notices: string[]
}

const certificateOf = ({ websocket }: TransportsSection): ListenSettings['certificate'] =>
  websocket?.ssl === true && websocket.certificate_file !== undefined && websocket.key_file !== undefined
    ? { certFile: websocket.certificate_file, keyFile: websocket.key_file }
    : undefined

/** Of the transports that are named; undefined where none is. */
export const listenSettings = (sites: TransportsSection): ListenSettings | undefined => {
  const { tcp, websocket, udp } = sites
  const certificate = certificateOf(sites)
  const tails = [
    ...(tcp === undefined ? [] : [`/tcp/${tcp.port}`]),
    ...(websocket === undefined ? [] : [`/tcp/${websocket.port}${certificate === undefined ? '/ws' : '/tls/ws'}`]),
    ...(udp === undefined ? [] : [`/udp/${udp.port}/quic-v1`]),
  ]
  if (tails.length === 0) return undefined
  const stays = websocket?.ssl === true && certificate === undefined
  return {
    listen: hosts(sites.host ?? '127.0.0.1').flatMap((host) => tails.map((tail) => host + tail)),
    certificate,
    notices: stays
      ? [
          'transports.websocket: ssl is true and no certificate is given, so it stays ws (encrypted by Noise all the same); for wss name certificate_file and key_file',
        ]
      : [],
  }
}
