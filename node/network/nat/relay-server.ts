/**
 * A relay: carries connections between members of which one cannot be dialled. What it carries is encrypted end to end.
 *
 * Serves admitted members alone (the stream gater holds the streams of everyone else). A guest keeps its reservation as long as it is
 * connected and asks again in time; reservations and connections are bounded, and who comes beyond that is told so. Members
 * are carried without a limit of time or bytes, at a pace that all share.
 * State: reservations by peer, connections that are carried, counts. Wire id: `HOP`; it says `STOP` to guests.
 * Source: libp2p circuit relay v2 specification. Upstream's server reads without backpressure, keeps the reservations of those
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
import { createSharedRate, proxyStreams, type SharedRate, type StreamProxy } from './proxy-streams.ts'
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
/** Of a relay that grants few reservations, so much of them goes to one address. */
const MOST_OF_RESERVATIONS = 3 / 4
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

type Settings = Pick<RelaySettings, 'maxReservations' | 'maxConnections' | 'maxBytesPerSecond'>
interface Carried extends StreamProxy {
  readonly pair: string
}
interface Reservation {
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

export class RelayServer {
  readonly #deps: RelayServerDeps
  readonly #settings: Settings
  readonly #reservations = new Map<string, Reservation>()
  /** Connections by who asked for them: nobody takes all. */
  readonly #asked: ReturnType<typeof createFairShares>
  readonly #carried = new Set<Carried>()
  readonly #rate: SharedRate
  readonly #figures = { reserved: 0, carried: 0, bytes: 0, slowed: 0, refused: {} as Record<string, number> }
  #opening = 0
  #isStopped = false
  #stopLeft: StopTimer = () => {}

  constructor(deps: RelayServerDeps, settings: Settings) {
    this.#deps = deps
    this.#settings = settings
    this.#asked = createFairShares(this.#settings.maxConnections)
    this.#rate = createSharedRate(deps.clock, this.#settings.maxBytesPerSecond)
  }

  async start(): Promise<void> {
    await this.#deps.handle(
      HOP,
      (stream, connection) =>
        this.#deps.gate.hold(stream, connection, () => {
          this.#take(stream, connection).catch((error: unknown) => {
            this.#countRefusal('malformed')
            stream.abort(error instanceof Error ? error : new Error(String(error)))
          })
        }),
      { maxInboundStreams: this.#settings.maxConnections + MAX_PER_PAIR, runOnLimitedConnection: true },
    )
    this.#stopLeft = this.#deps.onLeft((peer) => void this.#reservations.delete(peer))
  }

  #sweep(): void {
    const now = this.#deps.clock.monotonic()
    for (const [peer, { until }] of this.#reservations) if (until <= now) this.#reservations.delete(peer)
  }

  #say(stream: Stream, hop: HopMessage): void {
    if (stream.writeStatus === 'writable') stream.send(withLengthPrefix(encodeHop(hop)))
  }

  #countRefusal(reason: string): void {
    this.#figures.refused[reason] = (this.#figures.refused[reason] ?? 0) + 1
  }

  #refuse(stream: Stream, reason: keyof typeof RELAY_STATUS): void {
    this.#countRefusal(reason)
    this.#say(stream, { type: 'status', status: RELAY_STATUS[reason] })
    stream.close().catch((error: Error) => stream.abort(error))
  }

  #reserve(stream: Stream, connection: Connection): void {
    const peer = connection.remotePeer.toString()
    this.#sweep()
    const address = addressOf(connection)
    const beside = (one: Reservation): boolean => address !== undefined && one.address === address
    const mostEach = Math.min(
      MAX_RESERVATIONS_PER_ADDRESS,
      Math.ceil(this.#settings.maxReservations * MOST_OF_RESERVATIONS),
    )
    const isCrowded = [...this.#reservations.values()].filter(beside).length >= mostEach
    const isFull =
      !this.#reservations.has(peer) && (isCrowded || this.#reservations.size >= this.#settings.maxReservations)
    if (isFull || isRelayed(connection.remoteAddr.toString())) {
      this.#refuse(stream, isFull ? 'reservationRefused' : 'permissionDenied')
      return
    }
    this.#reservations.set(peer, { until: this.#deps.clock.monotonic() + RESERVATION_MS, address })
    this.#figures.reserved += 1
    const expires = Math.floor((this.#deps.clock.now() + RESERVATION_MS) / 1000)
    this.#say(stream, { type: 'status', status: RELAY_STATUS.ok, expires })
    stream.close().catch((error: Error) => stream.abort(error))
  }

  /** A stream to the guest that is ready to carry the caller's connection. */
  async #openTo(connection: Connection, caller: Connection, signal: AbortSignal) {
    const stream = await connection.newStream(STOP, {
      signal,
      runOnLimitedConnection: true,
      maxOutboundStreams: this.#settings.maxConnections,
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

  async #connect(
    stream: Stream,
    connection: Connection,
    { peer, rest }: { peer: string | undefined; rest: Uint8Array | undefined },
    signal: AbortSignal,
  ): Promise<void> {
    const from = connection.remotePeer.toString()
    this.#sweep()
    if (isRelayed(connection.remoteAddr.toString())) return this.#refuse(stream, 'permissionDenied')
    if (peer === undefined || peer === from) return this.#refuse(stream, 'malformed')
    const to = this.#reservations.has(peer) ? this.#deps.connectionOf(peer) : undefined
    if (to === undefined || isRelayed(to.remoteAddr.toString())) return this.#refuse(stream, 'noReservation')
    const pair = pairOf(from, peer)
    const ofPair = [...this.#carried].filter((one) => one.pair === pair).length
    if (
      ofPair >= MAX_PER_PAIR ||
      this.#carried.size + this.#opening >= this.#settings.maxConnections ||
      !this.#asked.take(from)
    )
      return this.#refuse(stream, 'resourceLimit')
    this.#opening += 1
    let isCarried = false
    try {
      const guest = await this.#openTo(to, connection, signal)
      if (this.#isStopped || stream.status !== 'open') throw new Error('nobody waits for it any more')
      this.#say(stream, { type: 'status', status: RELAY_STATUS.ok })
      this.#figures.carried += 1
      const entry: Carried = {
        pair,
        ...proxyStreams({ stream, rest }, guest, {
          rate: this.#rate,
          timers: this.#deps.timers,
          passed: (bytes) => {
            this.#figures.bytes += bytes
          },
          slowed: () => {
            this.#figures.slowed += 1
          },
          ended: () =>
            queueMicrotask(() => {
              if (this.#carried.delete(entry)) this.#asked.give(from)
            }),
        }),
      }
      this.#carried.add(entry)
      isCarried = true
    } catch (error) {
      // A caller that found another way meanwhile has gone.
      if (stream.status !== 'open') {
        this.#countRefusal('abandoned')
        return
      }
      this.#deps.log.info('a connection could not be carried on', { from, to: peer, error })
      this.#refuse(stream, 'connectionFailed')
    } finally {
      this.#opening -= 1
      if (!isCarried) this.#asked.give(from)
    }
  }

  async #take(stream: Stream, connection: Connection): Promise<void> {
    const signal = AbortSignal.timeout(MESSAGE_LIMIT_MS)
    const { message, rest } = await readMessage(stream, signal)
    const hop = decodeHop(message)
    if (hop.type === 'reserve') this.#reserve(stream, connection)
    else if (hop.type === 'connect')
      await this.#connect(stream, connection, { peer: peerNamed(hop.peer), rest }, signal)
    else this.#refuse(stream, 'unexpected')
  }

  figures(): RelayFigures {
    return {
      ...this.#figures,
      refused: { ...this.#figures.refused },
      places: this.#reservations.size,
      connections: this.#carried.size,
    }
  }

  stop(): void {
    this.#isStopped = true
    this.#stopLeft()
    for (const one of [...this.#carried]) one.abort(new Error('the relay is stopping'))
    this.#reservations.clear()
  }
}

export const startRelayServer = async (deps: RelayServerDeps, settings: Settings): Promise<RelayServer> => {
  const server = new RelayServer(deps, settings)
  await server.start()
  return server
}
