/**
 * Waiting: for a signal, for a time, for something that happens, and in a line.
 *
 * Time comes from the Port's timers, so that all of this runs in virtual time as well. Guarantees: whatever ends a wait,
 * its listener and its timer are gone then. State: none beyond each wait and each line.
 *
 * Two places listen to signals by themselves, since there a function less counts: the exchange of a call
 * (wire/caller/exchange.ts) and requests to another thread (node/agent/channel/channel-requester.ts).
 */
import type { Stop, Timers } from './port.ts'

const NOTHING: Stop = () => {}

/**
 * Calls `run` once when the signal is aborted: right away where it is already, and never after the stop.
 * @param signal undefined: it is never called
 */
export const onAbort = (signal: AbortSignal | undefined, run: () => void): Stop => {
  if (signal === undefined) return NOTHING
  if (signal.aborted) {
    run()
    return NOTHING
  }
  signal.addEventListener('abort', run, { once: true })
  return () => signal.removeEventListener('abort', run)
}

/**
 * The same promise for one who may stop waiting for it; what it stands for goes on.
 * @throws the signal's reason, where that comes first
 */
export const abortable = <T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> =>
  signal === undefined
    ? promise
    : new Promise((resolve, reject) => {
        const stop = onAbort(signal, () => reject(signal.reason))
        promise.then(
          (value) => {
            stop()
            resolve(value)
          },
          (error: unknown) => {
            stop()
            reject(error)
          },
        )
      })

/**
 * Waits for whatever calls `resolve` or `reject`.
 * @param begin starts the wait, unless the signal is aborted; what it returns is called once when the wait is over,
 *   however it ended, and before whoever waits goes on
 * @throws the signal's reason, where that comes first; what `begin` throws
 */
export const waitFor = <T = void>(
  signal: AbortSignal | undefined,
  begin: (resolve: (value: T) => void, reject: (error: unknown) => void) => Stop,
): Promise<T> => {
  if (signal?.aborted) return Promise.reject(signal.reason)
  return new Promise((resolve, reject) => {
    let undo: Stop | undefined
    let isOver = false
    const end = (): void => {
      isOver = true
      signal?.removeEventListener('abort', abort)
      undo?.()
    }
    const abort = (): void => {
      end()
      reject(signal?.reason)
    }
    undo = begin(
      (value) => {
        if (isOver) return
        end()
        resolve(value)
      },
      (error) => {
        if (isOver) return
        end()
        reject(error)
      },
    )
    // It was over before it had begun.
    if (isOver) undo()
    else signal?.addEventListener('abort', abort, { once: true })
  })
}

/**
 * Resolves after so many milliseconds.
 * @throws the signal's reason, where that comes first
 */
export const delay = (timers: Pick<Timers, 'after'>, delayMs: number, signal?: AbortSignal): Promise<void> =>
  waitFor(signal, (resolve) => timers.after(delayMs, resolve))

/** Resolves after so many milliseconds, or when the signal is aborted. Never rejects. */
export const pause = (timers: Pick<Timers, 'after'>, delayMs: number, signal?: AbortSignal): Promise<void> =>
  delay(timers, delayMs, signal).catch(() => {})

/**
 * Waits for the promise, but not longer than so many milliseconds; what it stands for goes on.
 * @returns whether it was fulfilled in time
 * @throws what it was rejected with in time; a later rejection is dropped
 */
export const within = (timers: Pick<Timers, 'after'>, limitMs: number, promise: Promise<unknown>): Promise<boolean> =>
  waitFor(undefined, (resolve, reject) => {
    promise.then(() => resolve(true), reject)
    return timers.after(limitMs, () => resolve(false))
  })

/** Taken items at the front of the array are cut off from this number on, once they are more than half. */
const CUT_FROM = 1024

/**
 * First in, first out, without shifting an array for each item.
 * @param T anything but undefined
 */
export class Fifo<T> {
  readonly #max: number
  #items: (T | undefined)[] = []
  #head = 0

  /** @param max items that it holds at most; no limit unless told, for what is bounded by other means */
  constructor(max = Number.POSITIVE_INFINITY) {
    this.#max = max
  }

  size(): number {
    return this.#items.length - this.#head
  }

  /** The one that is taken next. */
  first(): T | undefined {
    return this.#items[this.#head]
  }

  /** @returns false where it is full: the item is not in it, and whoever put it counts that */
  put(item: T): boolean {
    if (this.size() >= this.#max) return false
    this.#items.push(item)
    return true
  }

  take(): T | undefined {
    const item = this.#items[this.#head]
    if (item === undefined) return undefined
    // So that what was taken is not kept.
    this.#items[this.#head] = undefined
    this.#head += 1
    if (this.#head === this.#items.length) this.clear()
    else if (this.#head >= CUT_FROM && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item
  }

  clear(): void {
    this.#items = []
    this.#head = 0
  }
}
