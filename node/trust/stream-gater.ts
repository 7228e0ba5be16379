/**
 * Nobody's streams pass before admission: the gate holds inbound streams, and hands gossipsub its peers only once they
 * are admitted.
 *
 * libp2p's own middleware is not used: in 3.3.11 it pushes the handler onto the registered list for each stream, so that
 * handlers run again and again. Aborting a stranger's early stream is no way either, as gossipsub opens its stream once
 * per connection and does not try again. So streams are held, bounded in number, and passed or aborted when admission
 * settles; and paused meanwhile, so that a stranger fills one window of each. gossipsub's topologies are not registered
 * with libp2p at all: the gate calls them, with the one connection that is in use (peers.ts), and again when another takes
 * its place. gossipsub then forgets what the peer is subscribed to, and the peer tells it once, on the stream it opens: so
 * a gossip stream is held as well until its connection is the one in use, or it would be forgotten right after it was
 * read. And it opens streams one after another: one that is ready only after its connection was given up is thrown away,
 * or gossip would stay there, unheard. Two connections that one side dialled at once may look equally new to it, and not to
 * the other side: each then uses another one. So a gossip stream is held for USE_WAIT_MS at most, and then heard wherever
 * it is.
 * State: the held streams of each connection that is not settled yet, and gossip streams of those not in use.
 */

import type { GossipSubComponents } from '@chainsafe/libp2p-gossipsub'
import type { Connection, PeerId, Stream, StreamHandler, Topology } from '@libp2p/interface'
import type { Timers } from '../../protocols/port.ts'

type Registrar = GossipSubComponents['registrar']

export type AdmissionState = 'waiting' | 'admitted' | 'refused'

export interface StreamGater {
  /** Runs `pass` now, later, or never; the stream is aborted where the connection is refused. */
  hold(stream: Stream, connection: Connection, pass: () => void): void
  settle(connection: Connection, admissionOf: 'admitted' | 'refused'): void
  standing(connection: Connection): AdmissionState
  forget(connection: Connection): void
  /** A registrar for gossipsub: see above. */
  registrar(real: Registrar): Registrar
  /**
   * The connection that gossip uses for a peer from now on; undefined when the peer left.
   * @returns true where it took another one's place
   */
  setGossipConnection(peer: PeerId, connection: Connection | undefined): boolean
  /** Has gossip open its stream again where it has none: gossipsub itself tries once. */
  reopenGossip(connection: Connection): void
  heldStreams(): number
  refusedStreams(): number
}

interface Held {
  stream: Stream
  pass: () => void
}

/** A peer that uses another connection than this node is heard after this time. */
export const USE_WAIT_MS = 500

const refusal = (): Error => new Error('this connection was not admitted to the mesh')

/**
 * @param opened told once gossip has taken its stream to a peer
 * @param heard told once gossip has taken a stream that a peer opened
 */
export const createStreamGater = (
  maxHeldPerConnection: number,
  timers: Pick<Timers, 'after'>,
  opened: (peer: string) => void = () => {},
  heard: (peer: string) => void = () => {},
): StreamGater => {
  const standings = new Map<Connection, AdmissionState>()
  const waiting = new Map<Connection, Held[]>()
  const early = new Map<Connection, Held[]>()
  const topologies = new Map<string, Topology>()
  const inUse = new Map<string, { peer: PeerId; connection: Connection }>()
  let refused = 0
  let serial = 0

  const standing = (connection: Connection): AdmissionState => standings.get(connection) ?? 'waiting'

  const abort = (stream: Stream): void => {
    refused += 1
    stream.abort(refusal())
  }

  /** Adds it where there is room. */
  const keep = (kept: Map<Connection, Held[]>, connection: Connection, { stream, pass }: Held): void => {
    const list = kept.get(connection) ?? []
    if (connection.status !== 'open' || list.length >= maxHeldPerConnection) {
      abort(stream)
      return
    }
    if (stream.readStatus === 'readable') stream.pause()
    list.push({ stream, pass })
    kept.set(connection, list)
  }

  /** Once somebody listens, what came meanwhile is read. */
  const release = (stream: Stream, pass: () => void): void => {
    const wasPaused = stream.readStatus === 'paused'
    pass()
    if (wasPaused && stream.readStatus === 'paused') stream.resume()
  }

  const holdThen = (stream: Stream, connection: Connection, pass: () => void): void => {
    const now = standing(connection)
    if (now === 'admitted') pass()
    else if (now === 'refused') abort(stream)
    else keep(waiting, connection, { stream, pass })
  }

  const hold = (stream: Stream, connection: Connection, pass: () => void): void =>
    holdThen(stream, connection, () => release(stream, pass))

  const isUsed = (connection: Connection): boolean =>
    inUse.get(connection.remotePeer.toString())?.connection === connection

  /** The connection as gossipsub gets it. */
  const forGossip = (connection: Connection): Connection =>
    new Proxy(connection, {
      get(target, key) {
        if (key === 'newStream') {
          return async (...given: Parameters<Connection['newStream']>) => {
            const stream = await target.newStream(...given)
            if (isUsed(target)) {
              // After the turn in which gossip takes it.
              setImmediate(opened, target.remotePeer.toString())
              return stream
            }
            stream.abort(new Error('gossip with this peer goes over another connection'))
            throw new Error('this connection is not in use any more')
          }
        }
        const value = Reflect.get(target, key, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })

  const passEarly = (connection: Connection): void => {
    const list = early.get(connection) ?? []
    early.delete(connection)
    for (const { pass } of list) pass()
  }

  const holdUntilUsed = (stream: Stream, connection: Connection, pass: () => void): void => {
    if (isUsed(connection)) {
      release(stream, pass)
      return
    }
    keep(early, connection, { stream, pass: () => release(stream, pass) })
    timers.after(USE_WAIT_MS, () => {
      // Gossip forgets a peer with the connection that is in use: one without any would stay for good.
      if (inUse.has(connection.remotePeer.toString())) passEarly(connection)
    })
  }

  /** gossipsub registers one topology object under several protocol ids: each object is told once. */
  const distinct = (): Topology[] => [...new Set(topologies.values())]

  return {
    hold,
    standing,
    settle(connection, decided) {
      standings.set(connection, decided)
      const list = waiting.get(connection) ?? []
      waiting.delete(connection)
      for (const { stream, pass } of list) {
        if (decided === 'admitted') pass()
        else abort(stream)
      }
    },
    forget(connection) {
      for (const { stream } of waiting.get(connection) ?? []) abort(stream)
      for (const { stream } of early.get(connection) ?? []) stream.abort(refusal())
      waiting.delete(connection)
      early.delete(connection)
      standings.delete(connection)
    },
    registrar: (real) =>
      new Proxy(real, {
        get(target, key) {
          if (key === 'handle') {
            return (protocol: string, handler: StreamHandler, options?: object) =>
              target.handle(
                protocol,
                (stream, connection) =>
                  holdThen(stream, connection, () =>
                    holdUntilUsed(stream, connection, () => {
                      void handler(stream, forGossip(connection))
                      heard(connection.remotePeer.toString())
                    }),
                  ),
                options,
              )
          }
          if (key === 'register') {
            return async (_protocol: string, topology: Topology) => {
              serial += 1
              topologies.set(`gate-${serial}`, topology)
              for (const { peer, connection } of inUse.values()) {
                await topology.onConnect?.(peer, forGossip(connection))
              }
              return `gate-${serial}`
            }
          }
          if (key === 'unregister') return (id: string) => void topologies.delete(id)
          const value = Reflect.get(target, key, target)
          return typeof value === 'function' ? value.bind(target) : value
        },
      }),
    setGossipConnection(peer, connection) {
      const id = peer.toString()
      const before = inUse.get(id)
      if (before?.connection === connection) return false
      if (before !== undefined) for (const topology of distinct()) void topology.onDisconnect?.(peer)
      inUse.delete(id)
      if (connection === undefined) return false
      inUse.set(id, { peer, connection })
      for (const topology of distinct()) void topology.onConnect?.(peer, forGossip(connection))
      passEarly(connection)
      return before !== undefined
    },
    reopenGossip(connection) {
      if (!isUsed(connection)) return
      for (const topology of distinct()) void topology.onConnect?.(connection.remotePeer, forGossip(connection))
    },
    heldStreams: () => [...waiting.values()].reduce((sum, list) => sum + list.length, 0),
    refusedStreams: () => refused,
  }
}
