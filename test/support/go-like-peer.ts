/**
 * A libp2p node that keeps its gossip streams as go-libp2p does, for tests; everything else of it is stock.
 *
 * go-libp2p-pubsub writes to a peer on one stream. When that stream dies while another connection to the peer stands (both
 * sides had dialled, and one connection was closed), it forgets what the peer is subscribed to, opens a stream on the
 * connection that is left, and tells its own subscriptions there; what the peer opened it goes on reading. Here that is
 * made of js gossipsub, whose topology is called by this file alone. It answers `admit` once it has spoken.
 */
import type { GossipSub, GossipSubComponents } from '@chainsafe/libp2p-gossipsub'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Connection, PrivateKey, Stream, StreamHandler, Topology } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { frame, KIND } from '../../protocols/wire/frames/frame.ts'
import { linkBytes, type RawPeer, startRawPeer, watch } from './raw-peer.ts'
import { until } from './until.ts'

export interface GoLikePeer extends RawPeer {
  readonly address: string
  /** Opens its gossip stream on this connection; when it dies, on one that is left. */
  speak(connection: Connection): Promise<void>
  /** How often it opened a gossip stream. */
  streams(): number
}

/** A key whose peer id comes after `other`. */
export const keyAfter = async (other: string): Promise<PrivateKey> => {
  for (;;) {
    const key = await generateKeyPair('Ed25519')
    if (peerIdFromPrivateKey(key).toString() > other) return key
  }
}

/** gossipsub registers its topologies here, and hears streams that a peer opens after `turn` only. */
const underOwnRule = (components: GossipSubComponents, topologies: Set<Topology>, turn: Promise<void>) => {
  const own: Record<string, unknown> = {
    register: async (_: string, topology: Topology) => void topologies.add(topology),
    unregister: () => undefined,
    // js gossipsub would answer a stream with one on the same connection.
    handle: (protocol: string, handler: StreamHandler, options?: object) =>
      components.registrar.handle(protocol, (...given) => void turn.then(() => handler(...given)), options),
  }
  const registrar = new Proxy(components.registrar, {
    get(target, key) {
      const value = own[String(key)] ?? Reflect.get(target, key, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  return new Proxy(components, {
    get: (target, key) => (key === 'registrar' ? registrar : Reflect.get(target, key, target)),
  })
}

/** What gossipsub keeps of the streams that peers opened. */
const inboundOf = (gossip: GossipSub): Map<string, unknown> => {
  const streams: unknown = Reflect.get(gossip, 'streamsInbound')
  if (streams instanceof Map) return streams
  throw new TypeError('this release of gossipsub keeps its streams elsewhere')
}

const isSpoken = ({ direction, protocol, status }: Stream): boolean =>
  direction === 'outbound' && protocol.startsWith('/meshsub/') && status === 'open'

export const startGoLikePeer = async (privateKey: PrivateKey, mesh: string, secret: string): Promise<GoLikePeer> => {
  const topologies = new Set<Topology>()
  const spoken = Promise.withResolvers<void>()
  let streams = 0
  const raw = await startRawPeer({
    privateKey,
    listen: ['/ip4/127.0.0.1/tcp/0'],
    underGossip: (components) => underOwnRule(components, topologies, spoken.promise),
  })
  const { libp2p } = raw
  const { gossip } = libp2p.services

  const speak = async (connection: Connection): Promise<void> => {
    for (const { onConnect } of topologies) void onConnect?.(connection.remotePeer, connection)
    const stream = await until('gossip has its stream', () => connection.streams.find(isSpoken))
    stream.addEventListener('close', () => moveOn(connection))
    streams += 1
    spoken.resolve()
  }

  const moveOn = (closed: Connection): void => {
    const { remotePeer } = closed
    const inbound = inboundOf(gossip)
    const id = remotePeer.toString()
    const theirs = inbound.get(id)
    inbound.delete(id)
    for (const { onDisconnect } of topologies) void onDisconnect?.(remotePeer)
    const left = libp2p.getConnections(remotePeer).find((other) => other !== closed && other.status === 'open')
    if (left === undefined) return
    if (theirs !== undefined) inbound.set(id, theirs)
    void speak(left)
  }

  await libp2p.handle('/parley/admission/1', async (stream) => {
    const seen = watch(stream)
    await Promise.all([spoken.promise, until('its card is here', () => seen.text().includes('"nowMs"'))])
    const card = { tokens: [await raw.token(mesh, secret)], mesh, name: 'foreign', incarnation: 1, nowMs: Date.now() }
    stream.send(linkBytes(frame(KIND.response, 1, Buffer.from(JSON.stringify(card)))))
  })
  return {
    ...raw,
    address: libp2p.getMultiaddrs()[0]?.toString() ?? '',
    async admit(connection, ...given) {
      await raw.admit(connection, ...given)
      // A connection with a link on it is in use.
      await Promise.all(connection.streams.map((stream) => stream.close()))
    },
    speak,
    streams: () => streams,
  }
}
