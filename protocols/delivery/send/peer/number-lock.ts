/**
 * Who may use the numbers of one destination: messages that are being kept do so side by side; what writes rows of many
 * numbers anew (a renumbering, a move to another peer) has them alone.
 *
 * State: how many messages have a number whose row is not durable yet, and who has the numbers alone.
 */
export interface NumberLock {
  /** A message got a number, or is judged: rows are written under the numbers as they are. */
  acquire(): void
  release(): void
  inUse(): number
  /** Somebody has them alone, or waits to: nobody may begin. */
  isHeld(): boolean
  /** Resolves when it is worth another look. */
  released(): Promise<void>
  /** Runs `work` once none is in use; those who want them alone come one after the other. @throws what `work` throws */
  exclusive<R>(work: () => Promise<R>): Promise<R>
}

export const createNumberLock = (): NumberLock => {
  let inUse = 0
  let wake: (() => void) | undefined
  let holder: Promise<unknown> | undefined

  const free = async (): Promise<void> => {
    // Its failure is told to whoever has them.
    await holder?.catch(() => undefined)
  }

  const unused = async (): Promise<void> => {
    if (inUse === 0) return
    await new Promise<void>((resolve) => {
      wake = resolve
    })
    wake = undefined
  }

  return {
    acquire() {
      inUse += 1
    },
    release() {
      inUse -= 1
      if (inUse === 0) wake?.()
    },
    inUse: () => inUse,
    isHeld: () => holder !== undefined,
    released: free,
    async exclusive(work) {
      while (holder !== undefined) await free()
      const own = unused().then(work)
      holder = own
      try {
        return await own
      } finally {
        if (holder === own) holder = undefined
      }
    },
  }
}
