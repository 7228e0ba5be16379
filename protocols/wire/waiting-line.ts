/**
 * Calls that wait for a place on a link, first come, first served.
 *
 * State: the calls that wait, at most maxQueuedCalls; one more is refused with COM003. A call leaves the line when it
 * starts, when its time is over, when its signal is aborted, or when the link is gone.
 */
import { ParleyError } from '../errors.ts'
import type { Clock, Timers } from '../port.ts'
import { aborted, type OutCall, timedOut } from './call.ts'

export interface LineOptions {
  clock: Clock
  timers: Timers
  maxWaiting: number
  /** A place is free. */
  place(): boolean
  /** The outbox holds as much as it may. */
  full(): boolean
  /** Calls `fn` once the outbox has room. */
  whenRoom(fn: () => void): void
  /** What a call is told once the link is gone; undefined before. */
  gone(): ParleyError | undefined
  onRefused(): void
}

export interface WaitingLine {
  /** Calls `start` now or when there is a place, at most until `deadlineAt` (monotonic); otherwise `fail`. */
  enter(call: OutCall, deadlineAt: number, start: () => void, fail: (error: unknown) => void): void
  /** Starts as many as there are places. */
  admit(): void
  /** Sends all away: the link is gone. */
  clear(): void
  size(): number
}

export const createWaitingLine = (options: LineOptions): WaitingLine => {
  const waiting = new Set<() => void>()

  const admit = (): void => {
    while (waiting.size > 0 && options.place() && !options.full()) {
      const start = waiting.values().next().value
      if (start === undefined) return
      waiting.delete(start)
      start()
    }
    if (waiting.size > 0 && options.full()) options.whenRoom(admit)
  }

  return {
    enter(call, deadlineAt, start, fail) {
      if (waiting.size === 0 && options.place() && !options.full()) {
        start()
        return
      }
      if (waiting.size >= options.maxWaiting) {
        options.onRefused()
        fail(
          new ParleyError('COM003', `${waiting.size} calls wait for the peer already`, {
            hint: 'slow down, or raise limits.maxQueuedCalls',
            details: { retryAfterMs: 100 },
          }),
        )
        return
      }
      const leave = (): void => {
        waiting.delete(go)
        stop()
        call.signal?.removeEventListener('abort', onAbort)
      }
      const onAbort = (): void => {
        leave()
        if (call.signal !== undefined) fail(aborted(call.signal))
      }
      const stop = options.timers.after(Math.max(1, deadlineAt - options.clock.monotonic()), () => {
        leave()
        fail(timedOut(call, 'it still waited for a place on the link'))
      })
      const go = (): void => {
        leave()
        const gone = options.gone()
        if (gone === undefined) start()
        else fail(gone)
      }
      call.signal?.addEventListener('abort', onAbort, { once: true })
      waiting.add(go)
      options.whenRoom(admit)
    },
    admit,
    clear() {
      const starts = [...waiting]
      waiting.clear()
      for (const start of starts) start()
    },
    size: () => waiting.size,
  }
}
