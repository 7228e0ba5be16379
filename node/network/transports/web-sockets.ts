/**
 * The WebSocket transport, loaded when an address needs it: with its HTTP server and client it is a tenth of all the
 * code that a node loads, and most meshes speak TCP.
 *
 * State: whether it is loaded.
 */
import { type Transport, transportSymbol } from '@libp2p/interface'
import type { webSockets } from '@libp2p/websockets'
import type { Multiaddr } from '@multiformats/multiaddr'
import { ParleyError } from '../../../protocols/errors.ts'
import { readSmallFile } from '../../platform/private-file.ts'

const MAX_PEM_BYTES = 1 << 20

type Components = Parameters<ReturnType<typeof webSockets>>[0]
export type TransportFactory = (components: Components) => Transport

const isWebSocket = (address: Multiaddr): boolean => address.getComponents().some(({ name }) => /^wss?$/.test(name))

export interface TlsFiles {
  readonly certFile: string
  readonly keyFile: string
}

const readPem = async (path: string): Promise<Uint8Array> => {
  const bytes = await readSmallFile(path, MAX_PEM_BYTES)
  if (bytes !== undefined) return bytes
  throw new ParleyError('STA003', `there is no file ${path}`, {
    hint: 'see tls.certFile and tls.keyFile',
    details: { reason: 'missing' },
  })
}

const load = async (tls?: TlsFiles): Promise<TransportFactory> => {
  const { webSockets } = await import('@libp2p/websockets')
  if (tls === undefined) return webSockets()
  const [cert, key] = await Promise.all([readPem(tls.certFile), readPem(tls.keyFile)])
  return webSockets({ https: { cert: Buffer.from(cert), key: Buffer.from(key) } })
}

/** For a node that listens on no WebSocket address itself; it may have to dial one. */
const dialsOnly: TransportFactory = (components) => {
  let loading: Promise<Transport> | undefined
  const loaded = (): Promise<Transport> => {
    loading ??= load().then((create) => create(components))
    return loading
  }
  return {
    [transportSymbol]: true,
    [Symbol.toStringTag]: 'parley-websockets',
    dial: async (address, options) => (await loaded()).dial(address, options),
    createListener() {
      throw new Error('WebSockets were loaded for dialling only')
    },
    listenFilter: () => [],
    dialFilter: (addresses) => addresses.filter(isWebSocket),
  }
}

/**
 * @param listen addresses that the node is going to listen on
 * @param watched sees its listeners: a socket is counted before it has said anything
 * @param tls for those with /tls in them
 * @throws STA003 where a file of it is not there or cannot be read
 */
export const webSocketTransport = async (
  listen: readonly string[],
  watched: (transport: Transport) => Transport,
  tls?: TlsFiles,
): Promise<TransportFactory> => {
  if (!listen.some((address) => /\/wss?(\/|$)/.test(address))) return dialsOnly
  const create = await load(tls)
  return (components) => watched(create(components))
}
