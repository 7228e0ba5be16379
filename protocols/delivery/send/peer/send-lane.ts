/**
 * The lanes of a peer, at most 64: ordered sequences of numbers. First those on their way, then those that wait in line.
 *
 * State: the entries, the numbers that were given to messages which are not durable yet, and the next number.
 */
import type { Fault } from '../../../errors.ts'
import { LANE_SPAN } from '../../ack-ranges.ts'
import { LANES } from '../../durable-message.ts'
import type { RetryPolicy } from '../../options.ts'

/**
 * `queued`: not sent yet. `sent`: on its way. `paused`: failed, and waits for its next attempt. `failed`: for good; whoever
 * drives this makes a dead letter of it, or sends it again.
 */
export type SendStage = 'queued' | 'sent' | 'paused' | 'failed'

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
  /** Messages that are not acknowledged. */
  readonly window: number
  readonly windowBytes: number
  readonly ackTimeoutMs: number
}

/** Numbers of a lane that are sent above the lowest one that is not acknowledged. */
export const MAX_AHEAD = LANE_SPAN / 2

/** Places at the front of the line that may be empty. */
const MAX_TAKEN = 1_024

export class SendLane<E extends WindowEntry> {
  readonly number: number
  /** Unacknowledged, in the order of their numbers. */
  readonly window = new Map<number, E>()
  /** Number that the next message gets. */
  next = 1
  /** It stands in the line of lanes that may send. */
  isReady = false
  readonly #reserved = new Set<number>()
  #queue: E[] = []
  #head = 0

  constructor(number: number) {
    this.number = number
  }

  /** Gives a number to a message that is not durable yet. */
  reserve(): number {
    const sequence = this.next
    this.next += 1
    this.#reserved.add(sequence)
    return sequence
  }

  isReserved(sequence: number): boolean {
    return this.#reserved.has(sequence)
  }

  enqueue(entry: E): void {
    this.#reserved.delete(entry.sequence)
    this.#queue.push(entry)
    this.next = Math.max(this.next, entry.sequence + 1)
  }

  /** The first in line. */
  first(): E | undefined {
    return this.#queue[this.#head]
  }

  takeFirst(): void {
    this.#head += 1
    if (this.#head === this.#queue.length || this.#head >= MAX_TAKEN) {
      this.#queue = this.#queue.slice(this.#head)
      this.#head = 0
    }
  }

  /** The receiver keeps few numbers above the lowest one that is not done: the lane waits for that one. */
  isFar({ sequence }: E): boolean {
    const [lowest] = this.window.keys()
    return lowest !== undefined && sequence - lowest >= MAX_AHEAD
  }

  /** The lowest number that is not acknowledged. */
  base(): number {
    const [sent] = this.window.keys()
    const [reserved] = this.#reserved
    const queued = this.first()?.sequence
    return sent ?? queued ?? reserved ?? this.next
  }

  /** Those in line. */
  queued(): E[] {
    return this.#queue.slice(this.#head)
  }

  forEachQueued(fn: (entry: E) => void): void {
    for (let at = this.#head; at < this.#queue.length; at += 1) {
      const entry = this.#queue[at]
      if (entry !== undefined) fn(entry)
    }
  }

  /** Takes those out that wait in line. @returns who went */
  withdraw(entries: ReadonlySet<E>): E[] {
    const queued = this.queued()
    this.#queue = queued.filter((entry) => !entries.has(entry))
    this.#head = 0
    return queued.filter((entry) => entries.has(entry))
  }
}

/** The lanes of one peer; each is made when it is used first. */
export class SendLanes<E extends WindowEntry> {
  readonly #byNumber: (SendLane<E> | undefined)[] = new Array(LANES).fill(undefined)
  readonly used: SendLane<E>[] = []

  at(number: number): SendLane<E> {
    const known = this.#byNumber[number]
    if (known !== undefined) return known
    if (!(number >= 0 && number < LANES)) throw new RangeError(`lane ${number}`)
    const lane = new SendLane<E>(number)
    this.#byNumber[number] = lane
    this.used.push(lane)
    return lane
  }

  /** Lanes with numbers, with what `read` says of each. */
  map(read: (lane: SendLane<E>) => number): Map<number, number> {
    return new Map(this.used.filter((lane) => lane.next > 1).map((lane) => [lane.number, read(lane)]))
  }

  entries(): E[] {
    return this.used.flatMap((lane) => [...lane.window.values(), ...lane.queued()])
  }
}
