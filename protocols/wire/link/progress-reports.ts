/**
 * Progress on its way from a handler to its caller: as it is written, as it is read, and not more of it than is of use.
 *
 * State of one request's reports: the last one that is not sent yet, and when one was sent last. The first report goes at
 * once; of those that come within a period of the last one the newest goes at its end; `flush` sends what still waits. A
 * report is a courtesy: a fraction outside 0 to 1 is moved to the nearer end, what is no number is left out, and a long
 * note is cut, so that none of it fails the work.
 */
import type { Progress } from '../../define.ts'
import type { Stop, Timers } from '../../port.ts'
import type { FrameProgress } from '../frames/nested-messages.ts'

/** UTF-16 units. */
export const MAX_NOTE = 256
/** Milliseconds between two reports of one request. */
export const REPORT_PERIOD_MS = 250
const PARTS = 10_000

/** Well-formed, and not cut in the middle of a pair of surrogates. */
const cut = (note: string): string => {
  const short = note.toWellFormed().slice(0, MAX_NOTE)
  return short.isWellFormed() ? short : short.slice(0, -1)
}

/** A report within its bounds. */
export const toProgress = (fraction: unknown, note: unknown): Progress => ({
  ...(typeof fraction === 'number' && !Number.isNaN(fraction) ? { fraction: Math.min(1, Math.max(0, fraction)) } : {}),
  ...(typeof note === 'string' && note !== '' ? { note: cut(note) } : {}),
})

export const writeProgress = ({ fraction, note }: Progress): FrameProgress => ({
  done: fraction === undefined ? 0 : Math.round(fraction * PARTS) + 1,
  note: note ?? '',
})

export const readProgress = (wire: FrameProgress | undefined): Progress =>
  toProgress(wire === undefined || wire.done === 0 ? undefined : (wire.done - 1) / PARTS, wire?.note)

/** How often reports go where each of them puts a deadline off by `extendMs`: in time for the next. */
export const reportPeriodMs = (extendMs: number): number => Math.max(1, Math.min(REPORT_PERIOD_MS, extendMs / 4))

export interface ProgressReports {
  add(report: Progress): void
  /** Sends what still waits, at once. */
  flush(): void
  /** Drops what still waits. */
  stop(): void
}

export interface ProgressReportsOptions {
  now(): number
  timers: Pick<Timers, 'after'>
  periodMs: number
  /** Nothing is sent now; it is tried again a period later. */
  isFull?(): boolean
  send(report: Progress): void
}

export const createProgressReports = ({
  now,
  timers,
  periodMs,
  isFull,
  send,
}: ProgressReportsOptions): ProgressReports => {
  let waiting: Progress | undefined
  let sentAtMs = Number.NEGATIVE_INFINITY
  let stopTimer: Stop | undefined

  const pass = (report: Progress): void => {
    waiting = undefined
    sentAtMs = now()
    send(report)
  }
  const add = (report: Progress): void => {
    const waitMs = isFull?.() === true ? periodMs : sentAtMs + periodMs - now()
    if (waitMs <= 0) {
      pass(report)
      return
    }
    waiting = report
    stopTimer ??= timers.after(Math.ceil(waitMs), () => {
      stopTimer = undefined
      if (waiting !== undefined) add(waiting)
    })
  }
  const stop = (): void => {
    stopTimer?.()
    stopTimer = undefined
    waiting = undefined
  }

  return {
    add,
    flush() {
      const last = waiting
      stop()
      if (last !== undefined) pass(last)
    },
    stop,
  }
}
