/**
 * How many handlers run at once on a node, over all its links.
 *
 * State: what runs (a number) and what waits, one bounded queue for all priorities together; the most urgent goes first.
 */
import { ParleyError } from '../errors.ts'

export interface Slots {
  /**
   * Runs `start` now or when a slot is free; it must call `done` exactly once.
   * @throws COM003 when too many wait
   */
  enter(priority: number, start: (done: () => void) => void): void
  active(): number
  queued(): number
}

const RETRY_AFTER_MS = 200
const SERVED = [3, 2, 0, 1] as const

export const createSlots = (maxActive: number, maxQueued: number): Slots => {
  const queues: ((done: () => void) => void)[][] = [[], [], [], []]
  let active = 0
  let queued = 0

  let serving = false

  const next = (): ((done: () => void) => void) | undefined => {
    for (const priority of SERVED) {
      const start = queues[priority]?.shift()
      if (start !== undefined) return start
    }
    return undefined
  }

  /** One loop, not a call from each end to the next start: a queue of thousands that end at once must not fill the stack. */
  const serve = (): void => {
    if (serving) return
    serving = true
    try {
      while (queued > 0 && active < maxActive) {
        const start = next()
        if (start === undefined) break
        queued -= 1
        run(start)
      }
    } finally {
      serving = false
    }
  }

  const run = (start: (done: () => void) => void): void => {
    active += 1
    let finished = false
    start(() => {
      if (finished) return
      finished = true
      active -= 1
      if (queued > 0) serve()
    })
  }

  return {
    enter(priority, start) {
      if (active < maxActive) {
        run(start)
        return
      }
      if (queued >= maxQueued) {
        throw new ParleyError('COM003', `${active} requests are in work and ${queued} wait`, {
          hint: 'try again later, or at another peer',
          details: { retryAfterMs: RETRY_AFTER_MS },
        })
      }
      queued += 1
      queues[priority & 3]?.push(start)
    },
    active: () => active,
    queued: () => queued,
  }
}
