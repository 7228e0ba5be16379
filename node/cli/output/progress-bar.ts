/** A bar for long work, on stderr and only where that is a terminal. */
import { EXIT } from './exit-codes.ts'

export interface ProgressBar {
  /** @param done so many more are done @param text for people */
  advance(done: number, text: string): void
  end(text: string): void
}

const QUIET: ProgressBar = { advance() {}, end() {} }

/** The bar takes Ctrl-C for itself and ends the process with 0: what was not finished is a failure all the same. */
const watchExit = (): (() => void) => {
  const onExit = (): void => {
    process.stderr.write('error COM001: interrupted\nhint: what was done before counts\n')
    process.exitCode = EXIT.failure
  }
  process.once('exit', onExit)
  return () => process.off('exit', onExit)
}

/** @param max how many there are; undefined where that is not known */
export const createProgressBar = async (what: string, max: number | undefined, json: boolean): Promise<ProgressBar> => {
  if (json || process.stderr.isTTY !== true) return QUIET
  const { progress, spinner } = await import('@clack/prompts')
  const finished = watchExit()
  const over = (stop: () => void): void => {
    stop()
    finished()
  }
  if (max === undefined) {
    const wheel = spinner({ output: process.stderr })
    wheel.start(what)
    return { advance: (_, text) => wheel.message(text), end: (text) => over(() => wheel.stop(text)) }
  }
  const bar = progress({ max, output: process.stderr })
  bar.start(what)
  return { advance: (done, text) => bar.advance(done, text), end: (text) => over(() => bar.stop(text)) }
}
