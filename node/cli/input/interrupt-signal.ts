/** Ctrl-C, and a reader that leaves, as a signal for work that goes on until then. Keeps no state. */
import { ParleyError } from '../../../protocols/errors.ts'

export interface Interrupt {
  /** Aborted with COM001. */
  readonly signal: AbortSignal
  /** Stops listening for it. */
  release(): void
}

/** @param hint what became of the work */
export const createInterrupt = (hint: string): Interrupt => {
  const leave = new AbortController()
  const interrupt = (): void => leave.abort(new ParleyError('COM001', 'interrupted', { hint }))
  process.once('SIGINT', interrupt)
  process.once('SIGTERM', interrupt)
  process.stdout.once('error', interrupt)
  return {
    signal: leave.signal,
    release() {
      process.off('SIGINT', interrupt)
      process.off('SIGTERM', interrupt)
      process.stdout.off('error', interrupt)
    },
  }
}
