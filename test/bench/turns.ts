/**
 * Turns of systems that are measured against each other: one works, the others wait. First come, first served, so that
 * whoever passes its turn on has it back when all others have had theirs. State: whose turn it is, and the line.
 */

export interface Turns {
  /** Waits for a turn; whoever has it ends it with `give`. */
  take(): Promise<void>
  give(): void
  /** Gives it, and waits for the next one. */
  pass(): Promise<void>
}

export const createTurns = (): Turns => {
  const line: (() => void)[] = []
  let taken = false

  const take = (): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>()
    if (taken) line.push(resolve)
    else resolve()
    taken = true
    return promise
  }
  const give = (): void => {
    const next = line.shift()
    if (next === undefined) taken = false
    else next()
  }

  return {
    take,
    give,
    pass() {
      const mine = take()
      give()
      return mine
    },
  }
}
