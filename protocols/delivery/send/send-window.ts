/**
 * The messages of this node to one peer: what waits, what is on its way, what is tried again. Pure: it is told what
 * happened and when, and says what to send.
 *
 * Promises: a number of a lane is sent until it was acknowledged or given up, and whoever is given up is replaced by a
 * skip, so that the receiver never waits for it. Never more than `window` messages or `windowBytes` are unacknowledged
 * (one message may be larger; what waited for an overloaded peer comes back beyond them, one of each lane at most). Among lanes the most urgent head goes first; a lane keeps its order. A pause between
 * attempts keeps its place in the window, since the receiver holds what came after it, but where the peer is overloaded.
 *
 * Only failures of a peer that was reached count as attempts: no sign of a message for `ackTimeoutMs` on a session that
 * stands, or an answer that it failed. An overloaded peer is asked again and not counted.
 */
import type { Fault } from '../../errors.ts'
import { LANE_SPAN } from '../ack-ranges.ts'
import { LANES } from '../durable-message.ts'
import type { RetryPolicy } from '../options.ts'

/**
 * `queued`: not sent yet. `sent`: on its way. `paused`: failed, and waits for its next attempt. `judged`: failed for good;
 * whoever drives this buries it or sends it again.
 */
export type SendStage = 'queued' | 'sent' | 'paused' | 'judged'

export interface WindowEntry {
  readonly lane: number
  readonly sequence: number
  /** Bytes that it takes on the wire, about. */
  readonly size: number
  /** 0 low to 3 critical. */
  readonly rank: number
  readonly policy: RetryPolicy
  /** Milliseconds since 1970 by this node's clock. */
  readonly expiresAt: number | undefined
  isSkip: boolean
  stage: SendStage
  /** It waits for an overloaded peer, and has no place in the window meanwhile. */
  isParked?: boolean
  /** Failed ones that count. */
  attempts: number
  /** Monotonic: until when a sign is waited for, or a pause ends. */
  dueAt: number
  fault: Fault | undefined
  /** Milliseconds since 1970. */
  firstFailureAt: number | undefined
  lastFailureAt: number | undefined
}

export interface SendWindowLimits {
  readonly window: number
  readonly windowBytes: number
  readonly ackTimeoutMs: number
}

/** Codes after which the same message may succeed with the same peer later. */
const RETRYABLE: ReadonlySet<string> = new Set([
  'COM001',
  'COM002',
  'COM003',
  'COM004',
  'APP001',
  'MSG004',
  'STA001',
  'STA003',
])

/** A peer without a data directory never keeps anything: with one it would be another peer. */
const mayPass = ({ code, details }: Fault): boolean => RETRYABLE.has(code) && details?.reason !== 'volatile'
/** Of the window, kept free for what is urgent. */
const RESERVED = 1 / 12
const URGENT_RANK = 2
/** Numbers of a lane that are sent above the lowest one that is not acknowledged. */
export const MAX_AHEAD = LANE_SPAN / 2
const MAX_RETRY_AFTER_MS = 60_000

interface SendLane<E> {
  readonly number: number
  /** Unacknowledged, in the order of their numbers. */
  readonly window: Map<number, E>
  /** Numbers that were given, whose messages are not durable yet. */
  readonly reserved: Set<number>
  queue: E[]
  head: number
  /** Number that the next message gets. */
  next: number
  isReady: boolean
}

export interface SendWindow<E extends WindowEntry> {
  /** Number that the next message of the lane gets; it is used up. */
  reserveNumber(lane: number): number
  /** Numbers are taken in order within a lane. */
  enqueue(entry: E): void
  /** What may be sent now, in order; at most so many. */
  nextToSend(nowMs: number, most?: number): E[]
  /** The peer is not there: nothing is sent until `welcome`. */
  sessionClosed(): void
  /** The peer answered a greeting: these were processed, all others are sent anew. @returns what is settled */
  sessionOpened(isDone: (lane: number, sequence: number) => boolean, window: number): E[]
  acked(lane: number, sequences: readonly number[]): E[]
  /** @returns the message where it failed for good */
  failed(lane: number, sequence: number, fault: Fault, nowMs: number, wallMs: number): E | undefined
  held(lane: number, sequences: readonly number[], nowMs: number): void
  /** Those of them are sent again. @returns the others: nothing is here for these numbers any more, and they are to be skipped */
  missing(lane: number, sequences: readonly number[]): number[]
  setWindow(window: number): void
  /** Ends pauses and waits. @returns who had no sign in time, and of those who failed for good */
  tick(nowMs: number, wallMs: number): { late: number; judged: E[] }
  /** What has expired before it was sent. They count as judged. */
  expired(wallMs: number): E[]
  /** Of one that was judged: nothing is to be done for its number any more. */
  skip(entry: E): void
  /** Of one that was judged: once more, after a pause. */
  retryAt(entry: E, atMs: number): void
  /** Takes these out, whose rows go elsewhere: there is nothing for their numbers any more. */
  withdraw(entries: ReadonlySet<E>): void
  /** The lane's numbers go on from here. */
  raiseNext(lane: number, next: number): void
  /** The lowest number of each lane that is not acknowledged; lanes that were never used are left out. */
  bases(): Map<number, number>
  next(): Map<number, number>
  entries(): E[]
  size(): number
  inWindow(): number
}

export const createSendWindow = <E extends WindowEntry>(
  limits: SendWindowLimits,
  chance: () => number,
  next: ReadonlyMap<number, number> = new Map(),
): SendWindow<E> => {
  const byNumber: (SendLane<E> | undefined)[] = new Array(LANES).fill(undefined)
  /** Those that were used. */
  const lanes: SendLane<E>[] = []
  /** Lanes with something queued, by the rank of their head. */
  const ready: SendLane<E>[][] = [[], [], [], []]
  let resend: E[] = []
  let isUp = false
  let window = limits.window
  let inWindow = 0
  let bytesInWindow = 0
  let parked = 0
  let size = 0
  let withTtl = 0

  const laneAt = (number: number): SendLane<E> => {
    const known = byNumber[number]
    if (known !== undefined) return known
    if (!(number >= 0 && number < LANES)) throw new RangeError(`lane ${number}`)
    const lane: SendLane<E> = {
      number,
      window: new Map(),
      reserved: new Set(),
      queue: [],
      head: 0,
      next: 1,
      isReady: false,
    }
    byNumber[number] = lane
    lanes.push(lane)
    return lane
  }
  for (const [number, value] of next) laneAt(number).next = value

  /** The receiver keeps few numbers above the lowest one that is not done: the lane waits for that one. */
  const isFar = (lane: SendLane<E>, { sequence }: E): boolean => {
    const [lowest] = lane.window.keys()
    return lowest !== undefined && sequence - lowest >= MAX_AHEAD
  }

  const makeReady = (lane: SendLane<E>): void => {
    const first = lane.queue[lane.head]
    if (lane.isReady || first === undefined || isFar(lane, first)) return
    lane.isReady = true
    ready[first.rank]?.push(lane)
  }

  /** Anew, since heads have changed. */
  const setReady = (): void => {
    for (const line of ready) line.length = 0
    for (const lane of lanes) {
      lane.isReady = false
      makeReady(lane)
    }
  }

  const takeHead = (lane: SendLane<E>): E | undefined => {
    const entry = lane.queue[lane.head]
    if (entry === undefined) return undefined
    lane.head += 1
    if (lane.head === lane.queue.length || lane.head >= 1_024) {
      lane.queue = lane.queue.slice(lane.head)
      lane.head = 0
    }
    return entry
  }

  const put = (entry: E, nowMs: number): void => {
    entry.stage = 'sent'
    entry.dueAt = nowMs + limits.ackTimeoutMs
  }

  /** Its wait for a sign begins when it is sent. */
  const resendSoon = (entry: E): void => {
    entry.stage = 'sent'
    entry.dueAt = Number.POSITIVE_INFINITY
    resend.push(entry)
  }

  /**
   * Others may go while an overloaded peer takes nothing of this: where two nodes are full of questions to each other, their
   * answers have to get past them.
   */
  const park = (entry: E): void => {
    if (entry.isParked === true) return
    entry.isParked = true
    parked += 1
    inWindow -= 1
    bytesInWindow -= entry.size
  }

  const unpark = (entry: E): void => {
    if (entry.isParked !== true) return
    entry.isParked = false
    parked -= 1
    inWindow += 1
    bytesInWindow += entry.size
  }

  const settle = (lane: SendLane<E>, entry: E): void => {
    lane.window.delete(entry.sequence)
    unpark(entry)
    inWindow -= 1
    bytesInWindow -= entry.size
    size -= 1
    if (entry.expiresAt !== undefined) withTtl -= 1
    makeReady(lane)
  }

  const backoff = (entry: E, fault: Fault): number => {
    const { initialDelayMs, maxDelayMs } = entry.policy
    const top = Math.min(maxDelayMs, initialDelayMs * 2 ** Math.min(30, Math.max(0, entry.attempts - 1)))
    const told = fault.details?.retryAfterMs
    const least = typeof told === 'number' && told > 0 ? Math.min(told, MAX_RETRY_AFTER_MS) : 0
    return Math.max(least, Math.min(maxDelayMs, top * (0.75 + 0.5 * chance())))
  }

  const fail = (entry: E, fault: Fault, nowMs: number, wallMs: number): boolean => {
    entry.fault = fault
    entry.firstFailureAt ??= wallMs
    entry.lastFailureAt = wallMs
    if (fault.code !== 'COM003') entry.attempts += 1
    if (mayPass(fault) && entry.attempts <= entry.policy.maxRetries) {
      entry.stage = 'paused'
      entry.dueAt = nowMs + backoff(entry, fault)
      if (fault.code === 'COM003') park(entry)
      return false
    }
    entry.stage = 'judged'
    return true
  }

  const mayTake = (entry: E): boolean => {
    const limit = entry.rank >= URGENT_RANK ? window : window - Math.floor(window * RESERVED)
    return inWindow < limit && (inWindow === 0 || bytesInWindow + entry.size <= limits.windowBytes)
  }

  /** What others of its lane may wait for at the receiver has a place beyond the window: at most one of each lane. */
  const mayReturn = (entry: E): boolean => {
    const [lowest] = laneAt(entry.lane).window.keys()
    return lowest === entry.sequence || mayTake(entry)
  }

  const takeQueued = (nowMs: number, out: E[], most: number): void => {
    for (let rank = ready.length - 1; rank >= 0; rank -= 1) {
      const line = ready[rank]
      while (line !== undefined && line.length > 0) {
        const lane = line[0]
        const first = lane?.queue[lane.head]
        if (lane === undefined || first === undefined || out.length >= most || !mayTake(first)) return
        line.shift()
        lane.isReady = false
        takeHead(lane)
        lane.window.set(first.sequence, first)
        inWindow += 1
        bytesInWindow += first.size
        if (first.stage !== 'judged') {
          put(first, nowMs)
          out.push(first)
        }
        makeReady(lane)
      }
    }
  }

  return {
    reserveNumber(number) {
      const lane = laneAt(number)
      const sequence = lane.next
      lane.next += 1
      lane.reserved.add(sequence)
      return sequence
    },
    enqueue(entry) {
      const lane = laneAt(entry.lane)
      lane.reserved.delete(entry.sequence)
      lane.queue.push(entry)
      lane.next = Math.max(lane.next, entry.sequence + 1)
      size += 1
      if (entry.expiresAt !== undefined) withTtl += 1
      makeReady(lane)
    },
    nextToSend(nowMs, most = Number.POSITIVE_INFINITY) {
      if (!isUp) return []
      const out: E[] = []
      const later: E[] = []
      for (const entry of resend) {
        // Acknowledged or judged since.
        if (entry.stage !== 'sent' || laneAt(entry.lane).window.get(entry.sequence) !== entry) continue
        if (out.length >= most || (entry.isParked === true && !mayReturn(entry))) {
          later.push(entry)
          continue
        }
        if (entry.isParked === true && mayTake(entry)) unpark(entry)
        put(entry, nowMs)
        out.push(entry)
      }
      resend = later
      takeQueued(nowMs, out, most)
      return out
    },
    sessionClosed() {
      isUp = false
      resend = []
    },
    sessionOpened(isDone, told) {
      isUp = true
      window = Math.min(limits.window, told)
      const done: E[] = []
      resend = []
      for (const lane of lanes) {
        for (const entry of [...lane.window.values()]) {
          if (isDone(lane.number, entry.sequence)) {
            settle(lane, entry)
            done.push(entry)
          } else if (entry.stage === 'sent') resendSoon(entry)
        }
        // Sent by a former life of this process, which did not hear the acknowledgement.
        for (let first = lane.queue[lane.head]; first !== undefined && isDone(lane.number, first.sequence); ) {
          takeHead(lane)
          size -= 1
          if (first.expiresAt !== undefined) withTtl -= 1
          done.push(first)
          first = lane.queue[lane.head]
        }
      }
      setReady()
      return done
    },
    acked(number, sequences) {
      const lane = laneAt(number)
      const done: E[] = []
      for (const sequence of sequences) {
        const entry = lane.window.get(sequence)
        if (entry === undefined) continue
        settle(lane, entry)
        done.push(entry)
      }
      return done
    },
    failed(number, sequence, fault, nowMs, wallMs) {
      const entry = laneAt(number).window.get(sequence)
      if (entry === undefined || entry.stage !== 'sent' || entry.isSkip) return undefined
      return fail(entry, fault, nowMs, wallMs) ? entry : undefined
    },
    held(number, sequences, nowMs) {
      const lane = laneAt(number)
      for (const sequence of sequences) {
        const entry = lane.window.get(sequence)
        if (entry?.stage === 'sent') entry.dueAt = nowMs + limits.ackTimeoutMs
      }
    },
    missing(number, sequences) {
      const lane = laneAt(number)
      const others: number[] = []
      for (const sequence of sequences) {
        const entry = lane.window.get(sequence)
        if (entry === undefined) others.push(sequence)
        else if (entry.stage === 'sent' && !resend.includes(entry)) resend.push(entry)
      }
      if (others.length === 0) return others
      const queued = new Set(lane.queue.slice(lane.head).map(({ sequence }) => sequence))
      return others.filter((sequence) => sequence < lane.next && !lane.reserved.has(sequence) && !queued.has(sequence))
    },
    setWindow(told) {
      if (told > 0) window = Math.min(limits.window, told)
    },
    tick(nowMs, wallMs) {
      const judged: E[] = []
      let late = 0
      if (inWindow + parked === 0) return { late, judged }
      for (const lane of lanes) {
        for (const entry of lane.window.values()) {
          if (entry.dueAt > nowMs) continue
          if (entry.stage === 'paused') resendSoon(entry)
          else if (entry.stage === 'sent' && isUp) {
            late += 1
            if (entry.isSkip) {
              resendSoon(entry)
              continue
            }
            const fault = {
              code: 'COM001',
              message: `the peer gave no sign of the message within ${limits.ackTimeoutMs} ms`,
            }
            if (fail(entry, fault, nowMs, wallMs)) judged.push(entry)
          }
        }
      }
      return { late, judged }
    },
    expired(wallMs) {
      if (withTtl === 0) return []
      const gone: E[] = []
      const look = (entry: E | undefined): void => {
        if (entry?.expiresAt === undefined || entry.isSkip || entry.expiresAt > wallMs) return
        if (entry.stage !== 'queued' && entry.stage !== 'paused') return
        entry.stage = 'judged'
        entry.fault = { code: 'MSG005', message: 'the message expired before it was delivered' }
        entry.firstFailureAt ??= wallMs
        entry.lastFailureAt = wallMs
        gone.push(entry)
      }
      for (const lane of lanes) {
        for (const entry of lane.window.values()) look(entry)
        for (let at = lane.head; at < lane.queue.length; at += 1) look(lane.queue[at])
      }
      return gone
    },
    skip(entry) {
      entry.isSkip = true
      const isInWindow = laneAt(entry.lane).window.has(entry.sequence)
      if (isInWindow) resendSoon(entry)
      else entry.stage = 'queued'
    },
    retryAt(entry, atMs) {
      const isInWindow = laneAt(entry.lane).window.has(entry.sequence)
      entry.stage = isInWindow ? 'paused' : 'queued'
      entry.dueAt = atMs
    },
    withdraw(entries) {
      for (const lane of lanes) {
        for (const entry of [...lane.window.values()]) if (entries.has(entry)) settle(lane, entry)
        const queued = lane.queue.slice(lane.head)
        lane.queue = queued.filter((entry) => !entries.has(entry))
        lane.head = 0
        size -= queued.length - lane.queue.length
        for (const entry of queued) if (entry.expiresAt !== undefined && entries.has(entry)) withTtl -= 1
      }
      setReady()
    },
    raiseNext(number, least) {
      const lane = laneAt(number)
      lane.next = Math.max(lane.next, least)
    },
    bases() {
      const bases = new Map<number, number>()
      for (const lane of lanes) {
        if (lane.next === 1) continue
        const [sent] = lane.window.keys()
        const [reserved] = lane.reserved
        const queued = lane.queue[lane.head]?.sequence
        bases.set(lane.number, sent ?? queued ?? reserved ?? lane.next)
      }
      return bases
    },
    next: () => new Map(lanes.filter((lane) => lane.next > 1).map((lane) => [lane.number, lane.next])),
    entries: () => lanes.flatMap((lane) => [...lane.window.values(), ...lane.queue.slice(lane.head)]),
    size: () => size,
    inWindow: () => inWindow,
  }
}
