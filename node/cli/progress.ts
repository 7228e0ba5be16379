/** A bar for long work, on stderr and only where that is a terminal. Keeps no state. */

export interface Progress {
  /** @param done so many more are done @param text for people */
  advance(done: number, text: string): void
  end(text: string): void
}

const QUIET: Progress = { advance() {}, end() {} }

/** @param max how many there are; undefined where that is not known */
export const createProgress = async (what: string, max: number | undefined, json: boolean): Promise<Progress> => {
  if (json || process.stderr.isTTY !== true) return QUIET
  const { progress, spinner } = await import('@clack/prompts')
  if (max === undefined) {
    const wheel = spinner({ output: process.stderr })
    wheel.start(what)
    return { advance: (_, text) => wheel.message(text), end: (text) => wheel.stop(text) }
  }
  const bar = progress({ max, output: process.stderr })
  bar.start(what)
  return { advance: (done, text) => bar.advance(done, text), end: (text) => bar.stop(text) }
}
