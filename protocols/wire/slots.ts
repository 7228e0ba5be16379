/**
 * How many handlers run at once on a node, over all its links.
 *
 * State: what runs (a number) and what waits, one bounded queue for all priorities together; the most urgent goes first.
 * Beside that what tells work from standing still: signs of life, and how many of those that run wait for their caller.
 */
import { ParleyError } from '../errors.ts'

export interface SlotUser {
  /** It has its slot, and calls leave() exactly once when it does not need it any more; that may be within start(). */
  start(): void
}

export interface Slots {
  /**
   * Starts `user` now or when a slot is free.
   * @throws COM003 when too many wait
   */
  enter(priority: number, user: SlotUser): void
  leave(): void
  active(): number
  queued(): number
  /** Work goes on: a handler gave an item. */
  sign(): void
  /** A handler reported progress; undefined when it ended, or did not say how much is done. */
  report(fraction: number | undefined): void
  /** What was reported last, of a request that is in work. */
  progress(): number | undefined
  /** How often work went on or ended so far; only that it changes counts. */
  signs(): number
  /** One of those that run waits for its caller to take items, from park() to unpark(). */
  park(): void
  unpark(): void
  parked(): number
  /** From now on. What runs goes on, and what waits stays, also where that is more. */
  resize(maxActive: number, maxQueued: number): void
}

const RETRY_AFTER_MS = 200
const SERVED = [3, 2, 0, 1] as const

export const createSlots = (mostActive: number, mostQueued: number): Slots => {
  let maxActive = mostActive
  let maxQueued = mostQueued
  const queues: SlotUser[][] = [[], [], [], []]
  let active = 0
  let queued = 0
  let signs = 0
  let parked = 0
  let progress: number | undefined

  let serving = false

  const next = (): SlotUser | undefined => {
    for (const priority of SERVED) {
      const user = queues[priority]?.shift()
      if (user !== undefined) return user
    }
    return undefined
  }

  /** One loop, not a call from each end to the next start: a queue of thousands that end at once must not fill the stack. */
  const serve = (): void => {
    if (serving) return
    serving = true
    try {
      while (queued > 0 && active < maxActive) {
        const user = next()
        if (user === undefined) break
        queued -= 1
        active += 1
        user.start()
      }
    } finally {
      serving = false
    }
  }

  return {
    enter(priority, user) {
      if (active < maxActive) {
        active += 1
        user.start()
        return
      }
      if (queued >= maxQueued) {
        throw new ParleyError('COM003', `${active} requests are in work and ${queued} wait`, {
          hint: 'try again later, or at another peer',
          details: { retryAfterMs: RETRY_AFTER_MS },
        })
      }
      queued += 1
      queues[priority & 3]?.push(user)
    },
    leave() {
      active -= 1
      signs += 1
      if (queued > 0) serve()
    },
    active: () => active,
    queued: () => queued,
    sign() {
      signs += 1
    },
    report(fraction) {
      signs += 1
      progress = fraction
    },
    progress: () => progress,
    signs: () => signs,
    park() {
      parked += 1
    },
    unpark() {
      parked -= 1
    },
    parked: () => parked,
    resize(active, queued) {
      maxActive = active
      maxQueued = queued
      serve()
    },
  }
}
