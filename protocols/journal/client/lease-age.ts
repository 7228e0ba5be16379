/** How old a lease is for who has it: by both of its clocks, so that a machine that was suspended finds that it is over. Pure. */
import type { Port } from '../../port.ts'

/** When its renewal was asked for: it counts from then. Milliseconds. */
export interface LeaseTime {
  readonly monotonic: number
  readonly now: number
}

export const leaseTime = (clock: Port['clock']): LeaseTime => ({ monotonic: clock.monotonic(), now: clock.now() })

/** Milliseconds, by the clock by which it is longer ago. */
export const leaseAge = (clock: Port['clock'], { monotonic, now }: LeaseTime): number =>
  Math.max(clock.monotonic() - monotonic, clock.now() - now)
