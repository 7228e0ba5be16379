/** What may run, most urgent first, at most so many at a time. State: the lines, by priority. */

export interface RunQueue<T> {
  /** @param rank 0 low to 3 critical */
  put(item: T, rank: number): void
  /** Takes out what has not begun. */
  drop(isGone: (item: T) => boolean): void
  /** One that began has ended. */
  ended(): void
  active(): number
  waiting(): number
  /** Begins nothing new. @returns once nothing runs */
  drain(): Promise<void>
}

const RANKS = 4

export const createRunQueue = <T>(limit: number, begin: (item: T) => void): RunQueue<T> => {
  const lines: T[][] = Array.from({ length: RANKS }, () => [])
  let active = 0
  let waiting = 0
  let isDue = false
  let isDraining = false
  let idle: PromiseWithResolvers<void> | undefined

  const advance = (): void => {
    isDue = false
    if (isDraining) return
    for (let rank = RANKS - 1; rank >= 0; rank -= 1) {
      const line = lines[rank] ?? []
      let taken = 0
      while (taken < line.length && active < limit) {
        const item = line[taken]
        taken += 1
        waiting -= 1
        active += 1
        if (item !== undefined) begin(item)
      }
      if (taken > 0) line.splice(0, taken)
    }
  }

  /** At the end of this turn: what came in one frame goes by priority. */
  const advanceSoon = (): void => {
    if (isDue || active >= limit) return
    isDue = true
    queueMicrotask(advance)
  }

  return {
    put(item, rank) {
      lines[rank]?.push(item)
      waiting += 1
      advanceSoon()
    },
    drop(isGone) {
      for (const [rank, line] of lines.entries()) {
        const left = line.filter((item) => !isGone(item))
        waiting -= line.length - left.length
        lines[rank] = left
      }
    },
    ended() {
      active -= 1
      if (active === 0) idle?.resolve()
      if (waiting > 0) advanceSoon()
    },
    active: () => active,
    waiting: () => waiting,
    drain() {
      isDraining = true
      if (active === 0) return Promise.resolve()
      idle ??= Promise.withResolvers()
      return idle.promise
    },
  }
}
