/** How long a program waits: its signal, its time, whichever ends first. */
import type { Port } from '../../port.ts'
import type { TaskWaitOptions } from './task-api.ts'

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
