/**
 * The messages of this node to one peer: what waits, what is on its way, what is tried again. Pure: it is told what
 * happened and when, and says what to send.
 *
 * Promises: a number of a lane is sent until it was acknowledged or given up, and whoever is given up is replaced by a
 * skip, so that the receiver never waits for it. Never more than `window` messages or `windowBytes` are unacknowledged
 * (one message may be larger; what waited for an overloaded peer comes back beyond them, one of each lane at most). Among
 * lanes the most urgent head goes first; a lane keeps its order. A pause between attempts keeps its place in the window,
 * since the receiver holds what came after it, but where the peer is overloaded.
 *
 * Only failures of a peer that was reached count as attempts: no sign of a message for `ackTimeoutMs` on a session that
 * stands, or an answer that it failed. An overloaded peer is asked again and not counted.
 */
import type { Fault } from '../../../errors.ts'
import { mayPass, noteFailure, retryDelayMs } from './message-retry.ts'
import { type SendLane, SendLanes, type SendWindowLimits, type WindowEntry } from './send-lane.ts'
import { WindowRoom } from './window-room.ts'

export class SendWindow<E extends WindowEntry> {
  readonly #limits: SendWindowLimits
  readonly #chance: () => number
  readonly #lanes = new SendLanes<E>()
  readonly #room: WindowRoom
  /** Lanes with something in line, by the rank of their first. */
  readonly #ready: SendLane<E>[][] = [[], [], [], []]
  #resend: E[] = []
  #isUp = false
  #size = 0
  #withTtl = 0

  /** @param next the numbers that lanes go on with */
  constructor(limits: SendWindowLimits, chance: () => number, next: ReadonlyMap<number, number> = new Map()) {
    this.#limits = limits
    this.#chance = chance
    this.#room = new WindowRoom(limits)
    for (const [number, value] of next) this.#lanes.at(number).next = value
  }

  #makeReady(lane: SendLane<E>): void {
    const first = lane.first()
    if (lane.isReady || first === undefined || lane.isFar(first)) return
    lane.isReady = true
    this.#ready[first.rank]?.push(lane)
  }

  /** Anew, since the first of lanes have changed. */
  #setReady(): void {
    for (const line of this.#ready) line.length = 0
    for (const lane of this.#lanes.used) {
      lane.isReady = false
      this.#makeReady(lane)
    }
  }

  #put(entry: E, nowMs: number): void {
    entry.stage = 'sent'
    entry.dueAt = nowMs + this.#limits.ackTimeoutMs
  }

  /** Its wait for a sign begins when it is sent. */
  #resendSoon(entry: E): void {
    entry.stage = 'sent'
    entry.dueAt = Number.POSITIVE_INFINITY
    this.#resend.push(entry)
  }

  #settle(lane: SendLane<E>, entry: E): void {
    lane.window.delete(entry.sequence)
    this.#room.unpark(entry)
    this.#room.giveBack(entry)
    this.#left(entry)
    this.#makeReady(lane)
  }

  /** It is no longer here. */
  #left(entry: E): void {
    this.#size -= 1
    if (entry.expiresAt !== undefined) this.#withTtl -= 1
  }

  /** @returns whether for good */
  #fail(entry: E, fault: Fault, nowMs: number, wallMs: number): boolean {
    noteFailure(entry, fault, wallMs)
    if (fault.code !== 'COM003') entry.attempts += 1
    if (mayPass(fault) && entry.attempts <= entry.policy.maxRetries) {
      entry.stage = 'paused'
      entry.dueAt = nowMs + retryDelayMs(entry.policy, entry.attempts, fault, this.#chance())
      if (fault.code === 'COM003') this.#room.park(entry)
      return false
    }
    entry.stage = 'failed'
    return true
  }

  /** What others of its lane may wait for at the receiver has a place beyond the window: at most one of each lane. */
  #mayReturn(entry: E): boolean {
    const [lowest] = this.#lanes.at(entry.lane).window.keys()
    return lowest === entry.sequence || this.#room.mayTake(entry)
  }

  #takeResent(nowMs: number, out: E[], most: number): void {
    const later: E[] = []
    for (const entry of this.#resend) {
      // Acknowledged, or failed for good, since.
      if (entry.stage !== 'sent' || this.#lanes.at(entry.lane).window.get(entry.sequence) !== entry) continue
      if (out.length >= most || (entry.isParked === true && !this.#mayReturn(entry))) {
        later.push(entry)
        continue
      }
      if (entry.isParked === true && this.#room.mayTake(entry)) this.#room.unpark(entry)
      this.#put(entry, nowMs)
      out.push(entry)
    }
    this.#resend = later
  }

  #takeQueued(nowMs: number, out: E[], most: number): void {
    for (let rank = this.#ready.length - 1; rank >= 0; rank -= 1) {
      const line = this.#ready[rank]
      while (line !== undefined && line.length > 0) {
        const lane = line[0]
        const first = lane?.first()
        if (lane === undefined || first === undefined || out.length >= most || !this.#room.mayTake(first)) return
        line.shift()
        lane.isReady = false
        lane.takeFirst()
        lane.window.set(first.sequence, first)
        this.#room.take(first)
        if (first.stage !== 'failed') {
          this.#put(first, nowMs)
          out.push(first)
        }
        this.#makeReady(lane)
      }
    }
  }

  /** Number that the next message of the lane gets; it is used up. */
  reserveNumber(lane: number): number {
    return this.#lanes.at(lane).reserve()
  }

  /** Numbers are taken in order within a lane. */
  enqueue(entry: E): void {
    const lane = this.#lanes.at(entry.lane)
    lane.enqueue(entry)
    this.#size += 1
    if (entry.expiresAt !== undefined) this.#withTtl += 1
    this.#makeReady(lane)
  }

  /** What may be sent now, in order; at most so many. */
  nextToSend(nowMs: number, most = Number.POSITIVE_INFINITY): E[] {
    if (!this.#isUp) return []
    const out: E[] = []
    this.#takeResent(nowMs, out, most)
    this.#takeQueued(nowMs, out, most)
    return out
  }

  /** Nothing is sent until `sessionOpened`. */
  sessionClosed(): void {
    this.#isUp = false
    this.#resend = []
  }

  /** The peer answered a greeting: these were processed, all others are sent anew. @returns what is settled */
  sessionOpened(isDone: (lane: number, sequence: number) => boolean, window: number): E[] {
    this.#isUp = true
    this.#room.setWindow(window)
    const done: E[] = []
    this.#resend = []
    for (const lane of this.#lanes.used) {
      for (const entry of [...lane.window.values()]) {
        if (isDone(lane.number, entry.sequence)) {
          this.#settle(lane, entry)
          done.push(entry)
        } else if (entry.stage === 'sent') this.#resendSoon(entry)
      }
      // Sent before this process began, which did not get the acknowledgement.
      for (let first = lane.first(); first !== undefined && isDone(lane.number, first.sequence); first = lane.first()) {
        lane.takeFirst()
        this.#left(first)
        done.push(first)
      }
    }
    this.#setReady()
    return done
  }

  acked(number: number, sequences: readonly number[]): E[] {
    const lane = this.#lanes.at(number)
    const done: E[] = []
    for (const sequence of sequences) {
      const entry = lane.window.get(sequence)
      if (entry === undefined) continue
      this.#settle(lane, entry)
      done.push(entry)
    }
    return done
  }

  /** @returns the message where it failed for good */
  failed(lane: number, sequence: number, fault: Fault, nowMs: number, wallMs: number): E | undefined {
    const entry = this.#lanes.at(lane).window.get(sequence)
    if (entry === undefined || entry.stage !== 'sent' || entry.isSkip) return undefined
    return this.#fail(entry, fault, nowMs, wallMs) ? entry : undefined
  }

  /** The peer has these, and has not processed them yet. */
  held(number: number, sequences: readonly number[], nowMs: number): void {
    const lane = this.#lanes.at(number)
    for (const sequence of sequences) {
      const entry = lane.window.get(sequence)
      if (entry?.stage === 'sent') entry.dueAt = nowMs + this.#limits.ackTimeoutMs
    }
  }

  /** Those of them are sent again. @returns the others: nothing is here for these numbers any more, and they are to be skipped */
  missing(number: number, sequences: readonly number[]): number[] {
    const lane = this.#lanes.at(number)
    const others: number[] = []
    for (const sequence of sequences) {
      const entry = lane.window.get(sequence)
      if (entry === undefined) others.push(sequence)
      else if (entry.stage === 'sent' && !this.#resend.includes(entry)) this.#resend.push(entry)
    }
    if (others.length === 0) return others
    const queued = new Set(lane.queued().map(({ sequence }) => sequence))
    return others.filter((sequence) => sequence < lane.next && !lane.isReserved(sequence) && !queued.has(sequence))
  }

  /** What the peer takes from now on; 0 says nothing. */
  setWindow(window: number): void {
    if (window > 0) this.#room.setWindow(window)
  }

  /** Ends pauses and waits. @returns how many had no sign in time, and of those who failed for good */
  tick(nowMs: number, wallMs: number): { late: number; failed: E[] } {
    const failed: E[] = []
    let late = 0
    if (this.#room.taken + this.#room.parked === 0) return { late, failed }
    for (const lane of this.#lanes.used) {
      for (const entry of lane.window.values()) {
        if (entry.dueAt > nowMs) continue
        if (entry.stage === 'paused') this.#resendSoon(entry)
        else if (entry.stage === 'sent' && this.#isUp) {
          late += 1
          if (entry.isSkip) {
            this.#resendSoon(entry)
            continue
          }
          const message = `the peer gave no sign of the message within ${this.#limits.ackTimeoutMs} ms`
          if (this.#fail(entry, { code: 'COM001', message }, nowMs, wallMs)) failed.push(entry)
        }
      }
    }
    return { late, failed }
  }

  /** What has expired before it was sent. They have failed for good. */
  expired(wallMs: number): E[] {
    if (this.#withTtl === 0) return []
    const gone: E[] = []
    const look = (entry: E): void => {
      if (entry.expiresAt === undefined || entry.isSkip || entry.expiresAt > wallMs) return
      if (entry.stage !== 'queued' && entry.stage !== 'paused') return
      entry.stage = 'failed'
      noteFailure(entry, { code: 'MSG005', message: 'the message expired before it was delivered' }, wallMs)
      gone.push(entry)
    }
    for (const lane of this.#lanes.used) {
      for (const entry of lane.window.values()) look(entry)
      lane.forEachQueued(look)
    }
    return gone
  }

  /** Of one that failed for good: nothing is to be done for its number any more. */
  skip(entry: E): void {
    entry.isSkip = true
    const isInWindow = this.#lanes.at(entry.lane).window.has(entry.sequence)
    if (isInWindow) this.#resendSoon(entry)
    else entry.stage = 'queued'
  }

  /** Of one that failed for good: once more, after a pause. */
  retryAt(entry: E, atMs: number): void {
    const isInWindow = this.#lanes.at(entry.lane).window.has(entry.sequence)
    entry.stage = isInWindow ? 'paused' : 'queued'
    entry.dueAt = atMs
  }

  /** Takes these out, whose rows go elsewhere: there is nothing for their numbers any more. */
  withdraw(entries: ReadonlySet<E>): void {
    for (const lane of this.#lanes.used) {
      for (const entry of [...lane.window.values()]) if (entries.has(entry)) this.#settle(lane, entry)
      for (const entry of lane.withdraw(entries)) this.#left(entry)
    }
    this.#setReady()
  }

  /** The lane's numbers go on from here. */
  raiseNext(number: number, least: number): void {
    const lane = this.#lanes.at(number)
    lane.next = Math.max(lane.next, least)
  }

  /** The lowest number of each lane that is not acknowledged; lanes that were never used are left out. */
  bases(): Map<number, number> {
    return this.#lanes.map((lane) => lane.base())
  }

  next(): Map<number, number> {
    return this.#lanes.map((lane) => lane.next)
  }

  entries(): E[] {
    return this.#lanes.entries()
  }

  size(): number {
    return this.#size
  }

  inWindow(): number {
    return this.#room.taken
  }
}
