/**
 * The wait of a side of a link that is about to close: until its work has ended, and at most so long.
 *
 * State: those who wait.
 */
import type { Timers } from '../../port.ts'

export interface Drain {
  /** Resolves when the side is not busy any more, or after `drainMs`. */
  wait(drainMs: number): Promise<void>
  /** Something ended: look whether that was the last of it. */
  recheck(): void
}

export const createDrain = (timers: Timers, busy: () => boolean): Drain => {
  const waiting = new Set<() => void>()
  return {
    wait(drainMs) {
      if (!busy()) return Promise.resolve()
      return new Promise((resolve) => {
        const end = (): void => {
          stop()
          waiting.delete(end)
          resolve()
        }
        const stop = timers.after(Math.max(1, drainMs), end)
        waiting.add(end)
      })
    },
    recheck() {
      if (waiting.size > 0 && !busy()) for (const end of [...waiting]) end()
    },
  }
}
