/**
 * The journal's time at a node that does not lead: by what whoever coordinates said last, and this node's monotonic clock since.
 *
 * What was said is as much too early as it was on its way. So a clock of this node that is a little later counts: where clocks are
 * right nobody waits less than he said. State: what was said last.
 */
import type { JournalClock } from '../journal-clock.ts'

/** What was said later counts by itself after that: the journal's time may go slower than this node's. Milliseconds. */
const NEWER_MS = 10_000
/** The journal's time goes at nine tenths of the speed at least (journal-clock.ts), and clocks are not exact: so much of it is sure. */
const SURE_RATE = 7 / 8
/** A node that stood still for longer has lost its lease: what it hears then is not late. Milliseconds. */
const LATE_MS = 30_000
/** What is on its way, or waits for a node that stood still, is not later than that. Milliseconds. */
const NEAR_MS = 5_000
/**
 * The journal's time is ahead for days where a clock was wrong by hours. What is further from this node's own clock is no time that
 * anything should wait for. Milliseconds.
 */
const MOST_APART_MS = 365 * 86_400_000

export class HeardTime implements JournalClock {
  readonly #clock: JournalClock
  #at = 0
  /** By the monotonic clock; undefined: nobody said anything yet. */
  #heardAt: number | undefined

  constructor(clock: JournalClock) {
    this.#clock = clock
  }

  /** @param at milliseconds since 1970 by the journal's clock, when it was sent */
  heard(at: number): void {
    if (!(Math.abs(at - this.#clock.now()) <= MOST_APART_MS)) return
    const nowMs = this.#clock.monotonic()
    const sinceMs = this.#heardAt === undefined ? undefined : nowMs - this.#heardAt
    const isBehind = sinceMs !== undefined && at < this.#told()
    // One that was longer on its way says less.
    if (isBehind && sinceMs < NEWER_MS) return
    this.#at = isBehind ? this.#sureAt(at, sinceMs) : at
    this.#heardAt = nowMs
  }

  /** @param at behind what was told: the journal's time goes slower, or this was late @returns what it is at least */
  #sureAt(at: number, sinceMs: number): number {
    const [own, told] = [this.#clock.now(), this.#told()]
    if (told - at >= LATE_MS) return at
    const sure = Math.max(at, this.#at + Math.floor(sinceMs * SURE_RATE))
    return Math.abs(own - told) < NEAR_MS ? Math.max(sure, Math.min(own, told)) : sure
  }

  /** What it is at least: what is over by this is over by the journal's own time as well. */
  readonly sure = {
    now: (): number =>
      this.#heardAt === undefined
        ? this.#clock.now()
        : this.#at + Math.floor((this.#clock.monotonic() - this.#heardAt) * SURE_RATE),
  }

  /** Before anything was heard this node's own clock. */
  now(): number {
    const own = this.#clock.now()
    if (this.#heardAt === undefined) return own
    const told = this.#told()
    return own > told && own - told < NEAR_MS ? own : told
  }

  #told(): number {
    return this.#heardAt === undefined ? 0 : this.#at + Math.floor(this.#clock.monotonic() - this.#heardAt)
  }

  monotonic(): number {
    return this.#clock.monotonic()
  }
}
