/**
 * The streams by which this node's gossip goes out to each neighbour: how far they are behind, and what follows from it.
 *
 * gossipsub's publish() has no backpressure, so the write buffers are watched: publishers wait while one is above
 * `highWaterBytes`, and a peer above `maxUnsentBytes` is cut off, since gossipsub's own limit would silence it for good; it
 * comes back by itself. State: the stream last found for each connection, how many peers were cut off.
 */
import type { Connection, Stream } from '@libp2p/interface'
import type { Log, Timers } from '../../../protocols/port.ts'

export interface GossipBackpressureDeps {
  readonly timers: Timers
  readonly log: Log
  /** Those whose gossip streams count. */
  connections(): Connection[]
  /** Has a gossip stream opened where there is none. */
  reopen(connection: Connection): void
  readonly highWaterBytes: number
  readonly maxUnsentBytes: number
}

const WATCH_MS = 250

const isGossip = (protocol: string | undefined): boolean => protocol?.startsWith('/meshsub/') === true

const gossipStreams = new WeakMap<Connection, Stream>()

/** The stream that this node's gossip goes out by; looked for anew only where the last one has ended. */
const gossipStream = (connection: Connection): Stream | undefined => {
  const known = gossipStreams.get(connection)
  if (known?.status === 'open') return known
  const found = connection.streams.find(
    ({ direction, protocol, status }) => status === 'open' && direction === 'outbound' && isGossip(protocol),
  )
  if (found !== undefined) gossipStreams.set(connection, found)
  return found
}

/** Resolves with `drain` or `idle`, either may be the one that comes, when it is closed, or when the time is over. */
const progress = (stream: Stream, timers: Timers, timeoutMs: number): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      stop()
      for (const event of ['drain', 'idle', 'close'] as const) stream.removeEventListener(event, done)
      resolve()
    }
    const stop = timers.after(timeoutMs, done)
    for (const event of ['drain', 'idle', 'close'] as const) stream.addEventListener(event, done)
  })

/** The one that is furthest behind, where that is more than `highWaterBytes`. */
const furthestBehind = (connections: readonly Connection[], highWaterBytes: number): Stream | undefined => {
  let worst: Stream | undefined
  for (const connection of connections) {
    const stream = gossipStream(connection)
    if (stream === undefined) continue
    if (stream.writeBufferLength > (worst?.writeBufferLength ?? highWaterBytes)) worst = stream
  }
  return worst
}

export const createGossipBackpressure = (deps: GossipBackpressureDeps) => {
  const { timers, log } = deps
  let cutOff = 0
  const stop = timers.every(WATCH_MS, () => {
    for (const connection of deps.connections()) {
      const stream = gossipStream(connection)
      if (stream === undefined) deps.reopen(connection)
      const bytes = stream?.writeBufferLength ?? 0
      if (bytes <= deps.maxUnsentBytes) continue
      cutOff += 1
      log.warn('a peer takes its gossip too slowly and was cut off; it will be dialled again', {
        peer: connection.remotePeer.toString(),
        bytes,
      })
      connection.abort(new Error(`${bytes} bytes of gossip were not taken`))
    }
  })
  return {
    /** Resolves once no stream is too far behind, or when the time is over. */
    async writable(timeoutMs: number): Promise<void> {
      const endsAt = performance.now() + timeoutMs
      for (;;) {
        const stream = furthestBehind(deps.connections(), deps.highWaterBytes)
        const left = endsAt - performance.now()
        if (stream === undefined || left <= 0) return
        await progress(stream, timers, left)
      }
    },
    cutOff: () => cutOff,
    stop,
  }
}
