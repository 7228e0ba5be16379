/**
 * Connections whose peer has not proven its membership yet: how many there may be, how much they may send, and which one
 * is ended to make room. Strangers must neither fill the memory of a node nor keep a newcomer out.
 *
 * A connection counts from its first packet until its peer is admitted or it is closed. Where there are too many, the
 * oldest of the address that has most of them goes: an attacker ends its own, and whoever proves itself quickly is never
 * the oldest. Pure, but for the functions that end a connection. State: those connections, at most `MAX_UNADMITTED`, and
 * how many came from each address in this second, at most `MAX_PACED` addresses.
 */
import type { Clock } from '../../protocols/port.ts'

/** Of both directions. An honest newcomer is one of them for a few round trips. */
export const MAX_UNADMITTED = 512
/** Bytes that a peer that dialled this node may send: the handshake, its credentials and what identify asks take a tenth of it. */
export const MAX_INBOUND_BYTES = 128 * 1024
/**
 * Bytes that a peer that this node dialled may send: it may have admitted this node already while its own credentials
 * are still being checked here, and use all its protocols.
 */
export const MAX_OUTBOUND_BYTES = 4 << 20
/** Bytes of all unadmitted connections together; above it the one that sent most is ended. */
export const MAX_TOTAL_BYTES = 16 << 20
/** Streams that a peer may open besides those that are held for it: identify, ping, admission, and some that it ends. */
export const MORE_STREAMS = 24
/** Streams of all unadmitted connections together; above it the one that opened most is ended. */
export const MAX_TOTAL_STREAMS = 768
/**
 * Streams a second of all that dialled this node, above which each may open only a few: an ended stream costs its memory
 * until its timers are over, so that a bound of those that are open is not enough. Peers that behave open three.
 */
export const STREAMS_PER_SECOND = 64
export const FEW_STREAMS = 8
/**
 * Bytes a second of all that dialled this node, above which each may send only a few: what an ended connection sent is
 * garbage that lies there for a while. Twice what a newcomer needs.
 */
export const BYTES_PER_SECOND = 256 * 1024
export const FEW_BYTES = 32 * 1024
const MAX_PACED = 4096
const PACE_MS = 1_000
/**
 * Peers that sent or opened too much are refused for so long. Whoever went beyond its own bounds is refused at once. Whoever
 * only sent or opened more than a few in a busy second is refused from the second time on: members that come back together
 * may do so once.
 */
export const MAX_REMEMBERED = 1_024
export const REMEMBERED_MS = 60_000
export const STRIKES = 2

export type UnadmittedEnd =
  | 'rate'
  | 'remembered'
  | 'connections'
  | 'room'
  | 'bytes'
  | 'streams'
  | 'total-bytes'
  | 'total-streams'

export interface UnadmittedLimits {
  /** New connections a second from one address. */
  perSecond: number
  /** Streams that are held for one connection. */
  readonly heldStreams: number
}

/** One connection that is not admitted yet. */
export interface UnadmittedConnection {
  received(bytes: number): void
  streamOpened(): void
  /** The handshake is done: who it is. */
  named(peer: string): void
  /** It was admitted, or is closed. */
  release(): void
}

interface Entry {
  readonly source: string
  readonly isInbound: boolean
  readonly end: (why: Error) => void
  bytes: number
  streams: number
  peer: string | undefined
}

/** Counts for a second, then from nothing again. @returns adds to the count, and says whether it is above `most` */
const createPace = (clock: Pick<Clock, 'monotonic'>, most: number): ((more: number) => boolean) => {
  let since = Number.NEGATIVE_INFINITY
  let sum = 0
  return (more) => {
    const now = clock.monotonic()
    if (now - since >= PACE_MS) {
      since = now
      sum = 0
    }
    sum += more
    return sum > most
  }
}

/**
 * Who shares a part of the places: an IPv4 address, or the /64 of an IPv6 address, since one machine has all of that.
 * Source: RFC 4291, section 2.5.4.
 */
export const sourceOfHost = (host: string): string => {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(host)?.[1]
  if (mapped !== undefined) return mapped
  if (!host.includes(':')) return host
  const [left = '', right] = host.toLowerCase().split('%')[0]?.split('::') ?? []
  const head = left === '' ? [] : left.split(':')
  const tail = right === undefined || right === '' ? [] : right.split(':')
  const zeros = right === undefined ? 0 : Math.max(0, 8 - head.length - tail.length)
  const groups = [...head, ...Array.from({ length: zeros }, () => '0'), ...tail]
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`
}

const WORDS: Readonly<Record<UnadmittedEnd, string>> = {
  rate: 'too many new connections from this address',
  remembered: 'this peer sent or opened too much a moment ago',
  connections: 'this node has as many connections as it takes',
  room: 'too many peers that are not admitted: others came after it',
  bytes: 'too many bytes before its peer was admitted',
  streams: 'too many streams before its peer was admitted',
  'total-bytes': 'peers that are not admitted send too much, and this one most',
  'total-streams': 'peers that are not admitted open too many streams, and this one most',
}

export class UnadmittedConnections {
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #heldStreams: number
  /** New connections a second from one address. */
  #perSecond: number
  /** The oldest first. */
  readonly #entries = new Set<Entry>()
  /** By source: how many of the entries. */
  readonly #sources = new Map<string, number>()
  readonly #paced = new Map<string, number>()
  #pacedSince = Number.NEGATIVE_INFINITY
  #totalBytes = 0
  #totalStreams = 0
  readonly #streamsAreMany: (more: number) => boolean
  readonly #bytesAreMany: (more: number) => boolean
  /** By peer; the first one is the oldest. */
  readonly #remembered = new Map<string, { readonly untilMs: number; readonly strikes: number }>()
  readonly #ended: Record<UnadmittedEnd, number> = {
    rate: 0,
    remembered: 0,
    connections: 0,
    room: 0,
    bytes: 0,
    streams: 0,
    'total-bytes': 0,
    'total-streams': 0,
  }

  constructor(clock: Pick<Clock, 'monotonic'>, limits: UnadmittedLimits) {
    this.#clock = clock
    this.#heldStreams = limits.heldStreams
    this.#perSecond = limits.perSecond
    this.#streamsAreMany = createPace(clock, STREAMS_PER_SECOND)
    this.#bytesAreMany = createPace(clock, BYTES_PER_SECOND)
  }

  #isTooSoon(source: string): boolean {
    const now = this.#clock.monotonic()
    if (now - this.#pacedSince >= PACE_MS) {
      this.#paced.clear()
      this.#pacedSince = now
    }
    const before = this.#paced.get(source) ?? 0
    if (before >= this.#perSecond || (before === 0 && this.#paced.size >= MAX_PACED)) return true
    this.#paced.set(source, before + 1)
    return false
  }

  #remove(entry: Entry): boolean {
    if (!this.#entries.delete(entry)) return false
    this.#totalBytes -= entry.bytes
    this.#totalStreams -= entry.streams
    const left = (this.#sources.get(entry.source) ?? 1) - 1
    if (left === 0) this.#sources.delete(entry.source)
    else this.#sources.set(entry.source, left)
    return true
  }

  #strikesOf(peer: string): number {
    const known = this.#remembered.get(peer)
    return known !== undefined && this.#clock.monotonic() < known.untilMs ? known.strikes : 0
  }

  #remember(peer: string, more: number): void {
    const strikes = this.#strikesOf(peer) + more
    this.#remembered.delete(peer)
    if (this.#remembered.size >= MAX_REMEMBERED)
      for (const oldest of this.#remembered.keys()) if (this.#remembered.delete(oldest)) break
    this.#remembered.set(peer, { untilMs: this.#clock.monotonic() + REMEMBERED_MS, strikes })
  }

  #end(entry: Entry | undefined, why: UnadmittedEnd, strikes = STRIKES): void {
    if (entry === undefined || !this.#remove(entry)) return
    this.#ended[why] += 1
    if (entry.isInbound && entry.peer !== undefined && why !== 'room') this.#remember(entry.peer, strikes)
    entry.end(new Error(WORDS[why]))
  }

  /** Of the address with most of them; the oldest of all where each has as many. */
  #oldestOfMost(): Entry | undefined {
    const most = Math.max(...this.#sources.values())
    return [...this.#entries].find(({ source }) => this.#sources.get(source) === most)
  }

  #largest(by: 'bytes' | 'streams'): Entry | undefined {
    return [...this.#entries].reduce<Entry | undefined>(
      (top, one) => (top === undefined || one[by] > top[by] ? one : top),
      undefined,
    )
  }

  #received(entry: Entry, bytes: number): void {
    if (!this.#entries.has(entry)) return
    entry.bytes += bytes
    this.#totalBytes += bytes
    const isHurried = entry.isInbound && this.#bytesAreMany(bytes)
    const most = entry.isInbound ? MAX_INBOUND_BYTES : MAX_OUTBOUND_BYTES
    if (entry.bytes > most) this.#end(entry, 'bytes')
    else if (isHurried && entry.bytes > FEW_BYTES) this.#end(entry, 'bytes', 1)
    else if (this.#totalBytes > MAX_TOTAL_BYTES) this.#end(this.#largest('bytes'), 'total-bytes')
  }

  #opened(entry: Entry): void {
    if (!this.#entries.has(entry)) return
    entry.streams += 1
    this.#totalStreams += 1
    const isHurried = entry.isInbound && this.#streamsAreMany(1)
    if (entry.streams > this.#heldStreams + MORE_STREAMS) this.#end(entry, 'streams')
    else if (isHurried && entry.streams > FEW_STREAMS) this.#end(entry, 'streams', 1)
    else if (this.#totalStreams > MAX_TOTAL_STREAMS) this.#end(this.#largest('streams'), 'total-streams')
  }

  /**
   * A connection that just came, or was just made.
   * @param host where it comes from; what shares it shares its part of the places
   * @param end closes it at once
   * @returns undefined where it came too soon after others from there: it is to be refused
   */
  add(host: string, direction: 'inbound' | 'outbound', end: (why: Error) => void): UnadmittedConnection | undefined {
    const source = sourceOfHost(host)
    const isInbound = direction === 'inbound'
    if (isInbound && this.#isTooSoon(source)) {
      this.#ended.rate += 1
      return undefined
    }
    const entry: Entry = { source, isInbound, end, bytes: 0, streams: 0, peer: undefined }
    if (this.#entries.size >= MAX_UNADMITTED) this.#end(this.#oldestOfMost(), 'room')
    this.#entries.add(entry)
    this.#sources.set(source, (this.#sources.get(source) ?? 0) + 1)
    return {
      received: (bytes) => this.#received(entry, bytes),
      streamOpened: () => this.#opened(entry),
      named: (peer) => {
        entry.peer = peer
      },
      release: () => void this.#remove(entry),
    }
  }

  /** It was ended for what it sent or opened a moment ago, and is refused once more. */
  isRemembered(peer: string): boolean {
    return this.#strikesOf(peer) >= STRIKES
  }

  /** A connection was refused, or a socket closed, for this reason elsewhere. */
  count(why: UnadmittedEnd): void {
    this.#ended[why] += 1
  }

  setPerSecond(most: number): void {
    this.#perSecond = most
  }

  size(): number {
    return this.#entries.size
  }

  bytes(): number {
    return this.#totalBytes
  }

  ended(): Readonly<Record<UnadmittedEnd, number>> {
    return this.#ended
  }
}

export const createUnadmittedConnections = (
  clock: Pick<Clock, 'monotonic'>,
  limits: UnadmittedLimits,
): UnadmittedConnections => new UnadmittedConnections(clock, limits)
