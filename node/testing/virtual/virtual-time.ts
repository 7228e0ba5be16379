/**
 * Time that only moves when a test says so, and randomness that a seed repeats.
 *
 * State: the pending calls, the next one last. Between two calls all promise reactions run, so a run with the
 * same seed is the same run, as long as nothing under test waits for real I/O.
 */
import { ParleyError } from '../../../protocols/errors.ts'
import type { Stop } from '../../../protocols/port.ts'

/** Calls that may run one after the other while time stands still: far more than a mesh of 256 nodes needs. */
const MAX_STEPS_AT_ONCE = 100_000

/** Numbers in [0, 1). Source: G. Marsaglia, Xorshift RNGs, J. of Statistical Software 8(14), 2003; shifts 13, 17, 5. */
export const createRandom = (seed: number): (() => number) => {
  // A zero state would stay zero; the odd factor spreads neighbouring seeds.
  let state = Math.imul(seed, 0x9e3779b1) >>> 0 || 1
  return () => {
    state = (state ^ (state << 13)) >>> 0
    state = (state ^ (state >>> 17)) >>> 0
    state = (state ^ (state << 5)) >>> 0
    return state / 2 ** 32
  }
}

interface Pending {
  readonly atMs: number
  readonly fn: () => void
  isPending: boolean
}

/** What `clock.now()` shows at virtual time 0. */
export const START_MS = 1_700_000_000_000

export interface VirtualTime {
  /** Milliseconds since the start. */
  now(): number
  after(delayMs: number, fn: () => void): Stop
  every(periodMs: number, fn: () => void): Stop
  /** Lets `ms` pass. @throws COM003 after 100,000 calls at one virtual time, as `until` and `settled` do */
  run(ms: number): Promise<void>
  /** Lets time pass until `condition` holds; throws when it does not within `maxMs`. Returns the milliseconds taken. */
  until(condition: () => boolean, maxMs: number): Promise<number>
  /** Waits for a promise while time passes; throws when it does not settle within `maxMs`. */
  settled<T>(promise: Promise<T>, maxMs: number): Promise<T>
}

/** One turn of the event loop: every promise reaction that can run has run then. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const standsStill = (atMs: number): ParleyError =>
  new ParleyError('COM003', `${MAX_STEPS_AT_ONCE} timers ran, and virtual time still stands at ${atMs} ms`, {
    hint: 'look for a timer of 0 ms that starts itself again, and give it a delay',
    details: { atMs },
  })

export const createVirtualTime = (): VirtualTime => {
  let nowMs = 0
  const queue: Pending[] = []

  /** Where calls of this time begin. Of one time the first that was made stands last, as it is the next. */
  const find = (atMs: number): number => {
    let low = 0
    let high = queue.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((queue[middle]?.atMs ?? 0) <= atMs) high = middle
      else low = middle + 1
    }
    return low
  }

  const after = (delayMs: number, fn: () => void): Stop => {
    const call: Pending = { atMs: nowMs + Math.max(0, delayMs), fn, isPending: true }
    queue.splice(find(call.atMs), 0, call)
    return () => {
      if (!call.isPending) return
      call.isPending = false
      queue.splice(queue.indexOf(call, find(call.atMs)), 1)
    }
  }

  const every = (periodMs: number, fn: () => void): Stop => {
    let stop: Stop = () => {}
    const again = (): void => {
      stop = after(periodMs, () => {
        again()
        fn()
      })
    }
    again()
    return () => stop()
  }

  /** Steps from call to call; stops early when `done`. */
  const advance = async (untilMs: number, done: () => boolean): Promise<void> => {
    await turn()
    let steps = 0
    while (!done()) {
      const next = queue.at(-1)
      if (next === undefined || next.atMs > untilMs) {
        nowMs = untilMs
        return
      }
      steps = next.atMs === nowMs ? steps + 1 : 0
      if (steps > MAX_STEPS_AT_ONCE) throw standsStill(nowMs)
      queue.pop()
      next.isPending = false
      nowMs = next.atMs
      next.fn()
      await turn()
    }
  }

  const until = async (condition: () => boolean, maxMs: number): Promise<number> => {
    const startMs = nowMs
    await advance(startMs + maxMs, condition)
    if (!condition()) throw new Error(`did not happen within ${maxMs} ms of virtual time: ${condition}`)
    return nowMs - startMs
  }

  return {
    now: () => nowMs,
    after,
    every,
    run: (ms) => advance(nowMs + ms, () => false),
    until,
    settled: async (promise, maxMs) => {
      let isSettled = false
      const mark = (): void => {
        isSettled = true
      }
      promise.then(mark, mark)
      await until(() => isSettled, maxMs)
      return promise
    },
  }
}
