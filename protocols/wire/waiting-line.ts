/**
 * Calls that wait for a place on a link, first come, first served.
 *
 * State: the calls that wait, at most maxQueuedCalls; one more is refused with COM003. A call leaves the line when it
 * starts, when its time is over, when its signal is aborted, or when the link is gone.
 */
import { ParleyError } from '../errors.ts'
import type { Clock, Stop, Timers } from '../port.ts'
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
  /**
   * Calls `start` now or when there is a place, at most until `deadlineAt` (monotonic); otherwise `fail`.
   * @returns leaves the line, if the call still waits: then neither is called
   */
  enter(call: OutCall, deadlineAt: number, start: () => void, fail: (error: unknown) => void): Stop
  /** Starts as many as there are places. */
  admit(): void
  /** Sends all away: the link is gone. */
  clear(): void
  size(): number
}

/** For a call that does not wait. */
const NOWHERE: Stop = () => {}

export const createWaitingLine = (options: LineOptions): WaitingLine => {
  const waiting = new Set<() => void>()

  /** One watch for all: calls that leave without a start must not leave theirs behind. */
  let watching = false

  const admit = (): void => {
    while (waiting.size > 0 && options.place() && !options.full()) {
      const start = waiting.values().next().value
      if (start === undefined) return
      waiting.delete(start)
      start()
    }
    if (waiting.size === 0 || watching || !options.full()) return
    watching = true
    options.whenRoom(() => {
      watching = false
      admit()
    })
  }

  return {
    enter(call, deadlineAt, start, fail) {
      if (waiting.size === 0 && options.place() && !options.full()) {
        start()
        return NOWHERE
      }
      if (waiting.size >= options.maxWaiting) {
        options.onRefused()
        fail(
          new ParleyError('COM003', `${waiting.size} calls wait for the peer already`, {
            hint: 'slow down, or raise limits.maxQueuedCalls',
            details: { retryAfterMs: 100 },
          }),
        )
        return NOWHERE
      }
      const leave = (): void => {
        waiting.delete(go)
        stop()
        call.signal?.removeEventListener('abort', onAbort)
      }
      const leaveWith = (error: unknown): void => {
        leave()
        fail(error)
      }
      const onAbort = (): void => {
        if (call.signal !== undefined) leaveWith(aborted(call.signal))
      }
      const stop = options.timers.after(Math.max(1, deadlineAt - options.clock.monotonic()), () =>
        leaveWith(timedOut(call, 'it still waited for a place on the link')),
      )
      const go = (): void => {
        leave()
        const gone = options.gone()
        if (gone === undefined) start()
        else fail(gone)
      }
      call.signal?.addEventListener('abort', onAbort, { once: true })
      waiting.add(go)
      admit()
      return () => {
        if (waiting.has(go)) leave()
      }
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
