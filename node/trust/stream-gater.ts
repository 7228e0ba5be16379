/**
 * Nobody's streams pass before admission: the gater holds inbound streams, and hands gossipsub its peers only once they
 * are admitted.
 *
 * libp2p's own middleware is not used: in 3.3.11 it pushes the handler onto the registered list for each stream, so that
 * handlers run again and again. Aborting a stranger's early stream is no way either, as gossipsub opens its stream once
 * per connection and does not try again. So streams are held, bounded in number, and passed or aborted when admission
 * settles; and paused meanwhile, so that a stranger fills one window of each. gossipsub's topologies are not registered
 * with libp2p at all: the gater calls them, with the one connection that is in use (peers.ts), and again when another takes
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
export class StreamGater {
  readonly #maxHeldPerConnection: number
  readonly #timers: Pick<Timers, 'after'>
  readonly #opened: (peer: string) => void
  readonly #heard: (peer: string) => void
  readonly #states = new Map<Connection, AdmissionState>()
  readonly #waiting = new Map<Connection, Held[]>()
  readonly #early = new Map<Connection, Held[]>()
  readonly #topologies = new Map<string, Topology>()
  readonly #inUse = new Map<string, { peer: PeerId; connection: Connection }>()
  #refused = 0
  #serial = 0

  constructor(
    maxHeldPerConnection: number,
    timers: Pick<Timers, 'after'>,
    opened: (peer: string) => void = () => {},
    heard: (peer: string) => void = () => {},
  ) {
    this.#maxHeldPerConnection = maxHeldPerConnection
    this.#timers = timers
    this.#opened = opened
    this.#heard = heard
  }

  standing(connection: Connection): AdmissionState {
    return this.#states.get(connection) ?? 'waiting'
  }

  #abort(stream: Stream): void {
    this.#refused += 1
    stream.abort(refusal())
  }

  /** Adds it where there is room. */
  #keep(kept: Map<Connection, Held[]>, connection: Connection, { stream, pass }: Held): void {
    const list = kept.get(connection) ?? []
    if (connection.status !== 'open' || list.length >= this.#maxHeldPerConnection) {
      this.#abort(stream)
      return
    }
    if (stream.readStatus === 'readable') stream.pause()
    list.push({ stream, pass })
    kept.set(connection, list)
  }

  /** Once somebody listens, what came meanwhile is read. */
  #release(stream: Stream, pass: () => void): void {
    const wasPaused = stream.readStatus === 'paused'
    pass()
    if (wasPaused && stream.readStatus === 'paused') stream.resume()
  }

  #holdThen(stream: Stream, connection: Connection, pass: () => void): void {
    const now = this.standing(connection)
    if (now === 'admitted') pass()
    else if (now === 'refused') this.#abort(stream)
    else this.#keep(this.#waiting, connection, { stream, pass })
  }

  /** Runs `pass` now, later, or never; the stream is aborted where the connection is refused. */
  hold(stream: Stream, connection: Connection, pass: () => void): void {
    this.#holdThen(stream, connection, () => this.#release(stream, pass))
  }

  #isUsed(connection: Connection): boolean {
    return this.#inUse.get(connection.remotePeer.toString())?.connection === connection
  }

  /** The connection as gossipsub gets it. */
  #forGossip(connection: Connection): Connection {
    return new Proxy(connection, {
      get: (target, key) => {
        if (key === 'newStream') {
          return async (...given: Parameters<Connection['newStream']>) => {
            const stream = await target.newStream(...given)
            if (this.#isUsed(target)) {
              // After the turn in which gossip takes it.
              setImmediate(this.#opened, target.remotePeer.toString())
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
  }

  #passEarly(connection: Connection): void {
    const list = this.#early.get(connection) ?? []
    this.#early.delete(connection)
    for (const { pass } of list) pass()
  }

  #holdUntilUsed(stream: Stream, connection: Connection, pass: () => void): void {
    if (this.#isUsed(connection)) {
      this.#release(stream, pass)
      return
    }
    this.#keep(this.#early, connection, { stream, pass: () => this.#release(stream, pass) })
    this.#timers.after(USE_WAIT_MS, () => {
      // Gossip forgets a peer with the connection that is in use: one without any would stay for good.
      if (this.#inUse.has(connection.remotePeer.toString())) this.#passEarly(connection)
    })
  }

  /** gossipsub registers one topology object under several protocol ids: each object is told once. */
  #distinct(): Topology[] {
    return [...new Set(this.#topologies.values())]
  }

  settle(connection: Connection, decided: 'admitted' | 'refused'): void {
    this.#states.set(connection, decided)
    const list = this.#waiting.get(connection) ?? []
    this.#waiting.delete(connection)
    for (const { stream, pass } of list) {
      if (decided === 'admitted') pass()
      else this.#abort(stream)
    }
  }

  forget(connection: Connection): void {
    for (const { stream } of this.#waiting.get(connection) ?? []) this.#abort(stream)
    for (const { stream } of this.#early.get(connection) ?? []) stream.abort(refusal())
    this.#waiting.delete(connection)
    this.#early.delete(connection)
    this.#states.delete(connection)
  }

  /** A registrar for gossipsub: see above. */
  registrar(real: Registrar): Registrar {
    return new Proxy(real, {
      get: (target, key) => {
        if (key === 'handle') {
          return (protocol: string, handler: StreamHandler, options?: object) =>
            target.handle(
              protocol,
              (stream, connection) =>
                this.#holdThen(stream, connection, () =>
                  this.#holdUntilUsed(stream, connection, () => {
                    void handler(stream, this.#forGossip(connection))
                    this.#heard(connection.remotePeer.toString())
                  }),
                ),
              options,
            )
        }
        if (key === 'register') {
          return async (_protocol: string, topology: Topology) => {
            this.#serial += 1
            this.#topologies.set(`gate-${this.#serial}`, topology)
            for (const { peer, connection } of this.#inUse.values()) {
              await topology.onConnect?.(peer, this.#forGossip(connection))
            }
            return `gate-${this.#serial}`
          }
        }
        if (key === 'unregister') return (id: string) => void this.#topologies.delete(id)
        const value = Reflect.get(target, key, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }

  /**
   * The connection that gossip uses for a peer from now on; undefined when the peer left.
   * @returns true where it took another one's place
   */
  setGossipConnection(peer: PeerId, connection: Connection | undefined): boolean {
    const id = peer.toString()
    const before = this.#inUse.get(id)
    if (before?.connection === connection) return false
    if (before !== undefined) for (const topology of this.#distinct()) void topology.onDisconnect?.(peer)
    this.#inUse.delete(id)
    if (connection === undefined) return false
    this.#inUse.set(id, { peer, connection })
    for (const topology of this.#distinct()) void topology.onConnect?.(peer, this.#forGossip(connection))
    this.#passEarly(connection)
    return before !== undefined
  }

  /** Has gossip open its stream again where it has none: gossipsub itself tries once. */
  reopenGossip(connection: Connection): void {
    if (!this.#isUsed(connection)) return
    for (const topology of this.#distinct())
      void topology.onConnect?.(connection.remotePeer, this.#forGossip(connection))
  }

  heldStreams(): number {
    return [...this.#waiting.values()].reduce((sum, list) => sum + list.length, 0)
  }

  refusedStreams(): number {
    return this.#refused
  }
}

/** @param given what the constructor takes */
export const createStreamGater = (...given: ConstructorParameters<typeof StreamGater>): StreamGater =>
  new StreamGater(...given)
