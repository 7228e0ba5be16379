/**
 * What ends a command: Ctrl-C and SIGTERM, for one that stays up and for work that goes on until then; for the latter a
 * reader that leaves, too.
 */
import { ParleyError } from '../../../protocols/errors.ts'
import { EXIT } from '../output/exit-codes.ts'

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

/** Otherwise nothing but sockets keeps the process, and they may all be gone for a moment. @returns lets it go */
export const keepProcessAlive = (): (() => void) => {
  const timer = setInterval(() => {}, 2 ** 30)
  return () => clearInterval(timer)
}

/** @returns a promise that resolves at the first signal, or when it is asked to; a second signal ends the process at once */
export const listenForStopSignals = (): { asked: Promise<void>; ask: () => void } => {
  const { promise: asked, resolve } = Promise.withResolvers<void>()
  let count = 0
  const onSignal = (): void => {
    count += 1
    if (count > 1) process.exit(EXIT.failure)
    process.stderr.write('stopping; a second signal ends it at once\n')
    resolve()
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  return { asked, ask: resolve }
}
