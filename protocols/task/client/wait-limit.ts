/** How long a program waits: its signal, its time, whichever ends first. */
import { ParleyError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import type { TaskWaitOptions } from './task-api.ts'

/** Milliseconds until a submission is given up, unless told. */
export const SUBMIT_MS = 30_000

export const nobodyDecides = (timeoutMs: number): ParleyError =>
  new ParleyError('COM001', `nobody took it over within ${timeoutMs} ms; whether it was accepted is not known`, {
    hint: 'is there a node with a data directory that coordinates? do the same again, with the same ids',
    details: { reason: 'no-leader' },
  })

export interface WaitLimit {
  readonly signal: AbortSignal | undefined
  /** It is waited for no more. */
  stop(): void
}

/** @param late what it ends with where the time is over first */
export const limitedWait = (
  { timers }: Pick<Port, 'timers'>,
  { signal, timeoutMs }: TaskWaitOptions,
  late: () => Error,
): WaitLimit => {
  if (timeoutMs === undefined) return { signal, stop() {} }
  const limit = new AbortController()
  const stop = timers.after(timeoutMs, () => limit.abort(late()))
  return { signal: signal === undefined ? limit.signal : AbortSignal.any([signal, limit.signal]), stop }
}
