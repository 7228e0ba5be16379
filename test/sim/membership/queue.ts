/** Virtual time: what happens when, in the order of time and, at the same time, of arrival. State: a binary heap. */

interface Entry {
  readonly atMs: number
  readonly order: number
  readonly run: () => void
}

export interface Queue {
  now(): number
  after(delayMs: number, run: () => void): void
  /** Runs everything up to `untilMs`, or until `isOver` after some event. */
  run(untilMs: number, isOver?: () => boolean): void
}

export const createQueue = (): Queue => {
  const heap: Entry[] = []
  let nowMs = 0
  let order = 0

  const isBefore = (a: Entry, b: Entry): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)

  const push = (entry: Entry): void => {
    let at = heap.length
    heap.push(entry)
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent]
      if (above === undefined || !isBefore(entry, above)) break
      heap[at] = above
      at = parent
    }
    heap[at] = entry
  }

  const pop = (): void => {
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      const left = heap[2 * at + 1]
      const right = heap[2 * at + 2]
      const isRight = left !== undefined && right !== undefined && isBefore(right, left)
      const child = isRight ? right : left
      if (child === undefined || !isBefore(child, last)) break
      heap[at] = child
      at = isRight ? 2 * at + 2 : 2 * at + 1
    }
    heap[at] = last
  }

  return {
    now: () => nowMs,
    after(delayMs, run) {
      order += 1
      push({ atMs: nowMs + Math.max(0, delayMs), order, run })
    },
    run(untilMs, isOver = () => false) {
      while (!isOver()) {
        const next = heap[0]
        if (next === undefined || next.atMs > untilMs) {
          nowMs = untilMs
          return
        }
        pop()
        nowMs = next.atMs
        next.run()
      }
    },
  }
}
