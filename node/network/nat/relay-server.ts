/**
 * A relay: carries connections between members of which one cannot be dialled. What it carries is encrypted end to end.
 *
 * Serves admitted members alone (the gate holds the streams of everyone else). A guest keeps its place as long as it is
 * connected and asks again in time; places and connections are bounded, and who comes beyond that is told so. Members
 * are carried without a limit of time or bytes, at a pace that all share.
 * State: places by peer, connections that are carried, counts. Wire id: `HOP`; it says `STOP` to guests.
 * Source: libp2p circuit relay v2 specification. Upstream's server reads without backpressure, keeps the places of those
 * that are gone, and does not bound connections.
 */
import type { Connection, Stream } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { toString as encodeText } from 'uint8arrays/to-string'
import { createFairShares } from '../../../protocols/limits/fair-shares.ts'
import type { Clock, Log, Stop as StopTimer, Timers } from '../../../protocols/port.ts'
import type { RelaySettings } from '../../options/discovery-options.ts'
import type { StreamGater } from '../../trust/stream-gater.ts'
import { isLoopback, isRelayed } from '../addresses/multiaddresses.ts'
import { createSharedRate, proxyStreams, type StreamProxy } from './proxy-streams.ts'
import type { RelayFigures } from './relay-facts.ts'
import {
  decodeHop,
  decodeStop,
  encodeHop,
  encodeStop,
  HOP,
  type HopMessage,
  RELAY_STATUS,
  RESERVATION_MS,
  readMessage,
  STOP,
  withLengthPrefix,
} from './relay-messages.ts'

const MESSAGE_LIMIT_MS = 10_000
/** Guests that are seen under one address: an office behind one router has many, one member can invent more. */
export const MAX_RESERVATIONS_PER_ADDRESS = 32
/** Of a relay that has few places, so much of them. */
const MOST_OF_PLACES = 3 / 4
/** Connections of one pair: those that both sides made at once, and those that take their place. */
const MAX_PER_PAIR = 4

export interface RelayServerDeps {
  readonly gate: Pick<StreamGater, 'hold'>
  readonly clock: Clock
  readonly timers: Timers
  readonly log: Log
  /** The connection in use with an admitted member. */
  connectionOf(peer: string): Connection | undefined
  handle(
    protocolId: string,
    take: (stream: Stream, connection: Connection) => void,
    options: { maxInboundStreams: number; runOnLimitedConnection: boolean },
  ): Promise<void>
  onLeft(fn: (peer: string) => void): StopTimer
}

export interface RelayServer {
  figures(): RelayFigures
  stop(): void
}

type Settings = Pick<RelaySettings, 'maxReservations' | 'maxConnections' | 'maxBytesPerSecond'>
interface Carried extends StreamProxy {
  readonly pair: string
}
interface Place {
  /** When it runs out. */
  readonly until: number
  /** Under which it is seen; undefined on this machine. */
  readonly address: string | undefined
}

const addressOf = ({ remoteAddr }: Connection): string | undefined => {
  const address = remoteAddr.toString()
  return isLoopback(address) ? undefined : address.split('/')[2]
}

const pairOf = (a: string, b: string): string => (a < b ? `${a} ${b}` : `${b} ${a}`)

const peerNamed = (multihash: Uint8Array | undefined): string | undefined => {
  if (multihash === undefined) return undefined
  try {
    return peerIdFromString(encodeText(multihash, 'base58btc')).toString()
  } catch {
    // Whoever asked is told that it is no peer id.
    return undefined
  }
}

export const startRelayServer = async (deps: RelayServerDeps, settings: Settings): Promise<RelayServer> => {
  const { clock, timers, log } = deps
  const places = new Map<string, Place>()
  /** Connections by who asked for them: nobody takes all. */
  const asked = createFairShares(settings.maxConnections)
  const carried = new Set<Carried>()
  const pace = createSharedRate(clock, settings.maxBytesPerSecond)
  const figures = { reserved: 0, carried: 0, bytes: 0, slowed: 0, refused: {} as Record<string, number> }
  let opening = 0
  let isStopped = false

  const sweep = (): void => {
    const now = clock.monotonic()
    for (const [peer, { until }] of places) if (until <= now) places.delete(peer)
  }

  const say = (stream: Stream, hop: HopMessage): void => {
    if (stream.writeStatus === 'writable') stream.send(withLengthPrefix(encodeHop(hop)))
  }
  const refuse = (stream: Stream, reason: keyof typeof RELAY_STATUS): void => {
    figures.refused[reason] = (figures.refused[reason] ?? 0) + 1
    say(stream, { type: 'status', status: RELAY_STATUS[reason] })
    stream.close().catch((error: Error) => stream.abort(error))
  }

  const reserve = (stream: Stream, connection: Connection): void => {
    const peer = connection.remotePeer.toString()
    sweep()
    const address = addressOf(connection)
    const beside = (place: Place): boolean => address !== undefined && place.address === address
    const mostEach = Math.min(MAX_RESERVATIONS_PER_ADDRESS, Math.ceil(settings.maxReservations * MOST_OF_PLACES))
    const isCrowded = [...places.values()].filter(beside).length >= mostEach
    const isFull = !places.has(peer) && (isCrowded || places.size >= settings.maxReservations)
    if (isFull || isRelayed(connection.remoteAddr.toString())) {
      refuse(stream, isFull ? 'reservationRefused' : 'permissionDenied')
      return
    }
    places.set(peer, { until: clock.monotonic() + RESERVATION_MS, address })
    figures.reserved += 1
    const expires = Math.floor((clock.now() + RESERVATION_MS) / 1000)
    say(stream, { type: 'status', status: RELAY_STATUS.ok, expires })
    stream.close().catch((error: Error) => stream.abort(error))
  }

  /** A stream to the guest that is ready to carry the caller's connection. */
  const openTo = async (connection: Connection, caller: Connection, signal: AbortSignal) => {
    const stream = await connection.newStream(STOP, {
      signal,
      runOnLimitedConnection: true,
      maxOutboundStreams: settings.maxConnections,
    })
    try {
      stream.send(withLengthPrefix(encodeStop({ type: 'connect', peer: caller.remotePeer.toMultihash().bytes })))
      const { message, rest } = await readMessage(stream, signal)
      const { type, status } = decodeStop(message)
      if (type !== 'status' || status !== RELAY_STATUS.ok) throw new Error(`the guest answered with status ${status}`)
      return { stream, rest }
    } catch (error) {
      stream.abort(error instanceof Error ? error : new Error(String(error)))
      throw error
    }
  }

  const connect = async (
    stream: Stream,
    connection: Connection,
    { peer, rest }: { peer: string | undefined; rest: Uint8Array | undefined },
    signal: AbortSignal,
  ): Promise<void> => {
    const from = connection.remotePeer.toString()
    sweep()
    if (isRelayed(connection.remoteAddr.toString())) return refuse(stream, 'permissionDenied')
    if (peer === undefined || peer === from) return refuse(stream, 'malformed')
    const to = places.has(peer) ? deps.connectionOf(peer) : undefined
    if (to === undefined || isRelayed(to.remoteAddr.toString())) return refuse(stream, 'noReservation')
    const pair = pairOf(from, peer)
    const ofPair = [...carried].filter((one) => one.pair === pair).length
    if (ofPair >= MAX_PER_PAIR || carried.size + opening >= settings.maxConnections || !asked.take(from))
      return refuse(stream, 'resourceLimit')
    opening += 1
    let isCarried = false
    try {
      const guest = await openTo(to, connection, signal)
      if (isStopped || stream.status !== 'open') throw new Error('nobody waits for it any more')
      say(stream, { type: 'status', status: RELAY_STATUS.ok })
      figures.carried += 1
      const entry: Carried = {
        pair,
        ...proxyStreams({ stream, rest }, guest, {
          rate: pace,
          timers,
          passed(bytes) {
            figures.bytes += bytes
          },
          slowed() {
            figures.slowed += 1
          },
          ended: () =>
            queueMicrotask(() => {
              if (carried.delete(entry)) asked.give(from)
            }),
        }),
      }
      carried.add(entry)
      isCarried = true
    } catch (error) {
      // A caller that found another way meanwhile has gone.
      if (stream.status !== 'open') {
        figures.refused.abandoned = (figures.refused.abandoned ?? 0) + 1
        return
      }
      log.info('a connection could not be carried on', { from, to: peer, error })
      refuse(stream, 'connectionFailed')
    } finally {
      opening -= 1
      if (!isCarried) asked.give(from)
    }
  }

  const take = async (stream: Stream, connection: Connection): Promise<void> => {
    const signal = AbortSignal.timeout(MESSAGE_LIMIT_MS)
    const { message, rest } = await readMessage(stream, signal)
    const hop = decodeHop(message)
    if (hop.type === 'reserve') reserve(stream, connection)
    else if (hop.type === 'connect') await connect(stream, connection, { peer: peerNamed(hop.peer), rest }, signal)
    else refuse(stream, 'unexpected')
  }

  await deps.handle(
    HOP,
    (stream, connection) =>
      deps.gate.hold(stream, connection, () => {
        take(stream, connection).catch((error: unknown) => {
          figures.refused.malformed = (figures.refused.malformed ?? 0) + 1
          stream.abort(error instanceof Error ? error : new Error(String(error)))
        })
      }),
    { maxInboundStreams: settings.maxConnections + MAX_PER_PAIR, runOnLimitedConnection: true },
  )
  const stopLeft = deps.onLeft((peer) => void places.delete(peer))

  return {
    figures: () => ({ ...figures, refused: { ...figures.refused }, places: places.size, connections: carried.size }),
    stop() {
      isStopped = true
      stopLeft()
      for (const one of [...carried]) one.abort(new Error('the relay is stopping'))
      places.clear()
    },
  }
}
