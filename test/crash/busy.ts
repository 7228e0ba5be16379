/**
 * Whether this machine gave the run enough of itself: a process that gets no processor for as long as an election timeout
 * is as good as frozen, and a term that ends then proves nothing. Looked at in the driver, which stands for all.
 * State: the histogram of the event loop.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'

/** Of the shortest election timeout (500 ms) half: others may have waited longer than the driver. */
const STARVED_MS = 250

export interface Busy {
  /** The longest time that the driver waited for the processor since it began. */
  readonly worstMs: number
  /** Terms that may end without a reason of the scenario's. */
  readonly spareTerms: number
}

export const watchBusy = (): (() => Busy) => {
  const histogram = monitorEventLoopDelay({ resolution: 10 })
  histogram.enable()
  return () => {
    histogram.disable()
    const worstMs = histogram.max / 1e6
    return { worstMs, spareTerms: worstMs >= STARVED_MS ? 1 : 0 }
  }
}
