/**
 * The journal's clock, as a member that leads goes on with it: milliseconds since 1970 that never go back and never stand still.
 *
 * Entries are stamped with it, and what a coordinator compares with times of records is compared by it. The clock of one leader
 * may be ahead of the next one's: the journal's time then goes on from where it was, a little slower than that one's own clock,
 * until that has caught up. State: what it showed last.
 */
import type { Clock } from '../port.ts'

/** While it is ahead: so much of each millisecond, so that an hour of waiting is some minutes longer, and never shorter. */
const AHEAD_RATE = 0.9

export type JournalClock = Pick<Clock, 'now' | 'monotonic'>

/** @param appliedAt the time of the newest entry that was applied here */
export const createJournalClock = (clock: JournalClock, appliedAt: () => number): JournalClock => {
  let shown = 0
  let shownAt = clock.monotonic()
  return {
    monotonic: () => clock.monotonic(),
    now() {
      const nowMs = clock.monotonic()
      const goesOn = shown + Math.max(0, nowMs - shownAt) * AHEAD_RATE
      shown = Math.max(clock.now(), appliedAt(), goesOn)
      shownAt = nowMs
      return Math.floor(shown)
    },
  }
}
