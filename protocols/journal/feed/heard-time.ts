/**
 * The journal's time at a node that does not lead: by what whoever coordinates said last, and this node's monotonic clock since.
 *
 * What was said is as much too early as it was on its way. So a clock of this node that is a little later counts: where clocks are
 * right nobody waits less than he said. State: what was said last.
 */
import type { JournalClock } from '../journal-clock.ts'

/** What was said later counts by itself after that: the journal's time may go slower than this node's. Milliseconds. */
const NEWER_MS = 10_000
/** What is on its way, or waits for a node that stood still, is not later than that. Milliseconds. */
const NEAR_MS = 5_000
/** Clocks of peers differ by a minute; who says that they differ by more than this is not believed. Milliseconds. */
const MOST_APART_MS = 600_000

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
    const nowMs = this.#clock.monotonic()
    const isLate = this.#heardAt !== undefined && nowMs - this.#heardAt < NEWER_MS && at < this.#told()
    // One that was longer on its way says less.
    if (isLate || Math.abs(at - this.#clock.now()) > MOST_APART_MS) return
    this.#at = at
    this.#heardAt = nowMs
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
