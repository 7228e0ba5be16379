/** A command that stays until it is told to end. Keeps no state but the listeners. */
import { EXIT } from '../output/exit-codes.ts'

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
