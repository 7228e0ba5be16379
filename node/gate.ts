/**
 * Nobody's streams pass before admission: the gate holds inbound streams, and hands gossipsub its peers only once they
 * are admitted.
 *
 * libp2p's own middleware is not used: in 3.3.11 it pushes the handler onto the registered list for each stream, so that
 * handlers run again and again. Aborting a stranger's early stream is no way either, as gossipsub opens its stream once
 * per connection and does not try again. So streams are held, bounded in number, and passed or aborted when admission
 * settles. gossipsub's topologies are not registered with libp2p at all: the gate calls them, with the one connection
 * that is in use (peers.ts), and again when another takes its place.
 * State: the held streams of each connection that is not settled yet.
 */

import type { GossipSubComponents } from '@chainsafe/libp2p-gossipsub'
import type { Connection, PeerId, Stream, StreamHandler, Topology } from '@libp2p/interface'

type Registrar = GossipSubComponents['registrar']

export type Standing = 'waiting' | 'admitted' | 'refused'

export interface Gate {
  /** Runs `pass` now, later, or never; the stream is aborted where the connection is refused. */
  hold(stream: Stream, connection: Connection, pass: () => void): void
  settle(connection: Connection, standing: 'admitted' | 'refused'): void
  standing(connection: Connection): Standing
  forget(connection: Connection): void
  /** A registrar for gossipsub: see above. */
  registrar(real: Registrar): Registrar
  /** The connection that gossip uses for a peer from now on; undefined when the peer left. */
  use(peer: PeerId, connection: Connection | undefined): void
  held(): number
  refusedStreams(): number
}

interface Held {
  stream: Stream
  pass: () => void
}

const refusal = (): Error => new Error('this connection was not admitted to the mesh')

export const createGate = (maxHeldPerConnection: number): Gate => {
  const standings = new Map<Connection, Standing>()
  const waiting = new Map<Connection, Held[]>()
  const topologies = new Map<string, Topology>()
  const inUse = new Map<string, { peer: PeerId; connection: Connection }>()
  let refused = 0
  let serial = 0

  const standing = (connection: Connection): Standing => standings.get(connection) ?? 'waiting'

  const abort = (stream: Stream): void => {
    refused += 1
    stream.abort(refusal())
  }

  const hold = (stream: Stream, connection: Connection, pass: () => void): void => {
    const now = standing(connection)
    if (now === 'admitted') {
      pass()
      return
    }
    const list = waiting.get(connection) ?? []
    if (now === 'refused' || connection.status !== 'open' || list.length >= maxHeldPerConnection) {
      abort(stream)
      return
    }
    list.push({ stream, pass })
    waiting.set(connection, list)
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
      waiting.delete(connection)
      standings.delete(connection)
    },
    registrar: (real) =>
      new Proxy(real, {
        get(target, key) {
          if (key === 'handle') {
            return (protocol: string, handler: StreamHandler, options?: object) =>
              target.handle(
                protocol,
                (stream, connection) => hold(stream, connection, () => void handler(stream, connection)),
                options,
              )
          }
          if (key === 'register') {
            return async (_protocol: string, topology: Topology) => {
              serial += 1
              topologies.set(`gate-${serial}`, topology)
              for (const { peer, connection } of inUse.values()) await topology.onConnect?.(peer, connection)
              return `gate-${serial}`
            }
          }
          if (key === 'unregister') return (id: string) => void topologies.delete(id)
          const value = Reflect.get(target, key, target)
          return typeof value === 'function' ? value.bind(target) : value
        },
      }),
    use(peer, connection) {
      const id = peer.toString()
      const before = inUse.get(id)
      if (before?.connection === connection) return
      if (before !== undefined) for (const topology of distinct()) void topology.onDisconnect?.(peer)
      inUse.delete(id)
      if (connection === undefined) return
      inUse.set(id, { peer, connection })
      for (const topology of distinct()) void topology.onConnect?.(peer, connection)
    },
    held: () => [...waiting.values()].reduce((sum, list) => sum + list.length, 0),
    refusedStreams: () => refused,
  }
}
