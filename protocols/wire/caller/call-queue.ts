/**
 * Calls that wait for a place on a link, first come, first served.
 *
 * State: the calls that wait, at most maxWaiting; one more is refused. Who put a call in takes it out when its time is
 * over or its caller gives it up.
 */
export interface CallQueueOptions<T> {
  maxWaiting: number
  /** A place is free. */
  hasCapacity(): boolean
  /** As many bytes as may wait to be written. */
  isFull(): boolean
  /** Calls `fn` once there is room for bytes. */
  whenRoom(fn: () => void): void
  /** It is its turn; it has left the queue. */
  start(call: T): void
}

export interface CallQueue<T> {
  /** Nobody waits, and there is a place: a call need not wait. */
  canStartNow(): boolean
  /** @returns false when the queue is full: the call was not taken */
  add(call: T): boolean
  remove(call: T): void
  /** Starts as many as there are places. */
  startWaiting(): void
  /** Empties it. */
  clear(): T[]
  size(): number
}

export const createCallQueue = <T>(options: CallQueueOptions<T>): CallQueue<T> => {
  const waiting = new Set<T>()

  /** One watch for all: calls that leave without a start must not leave theirs behind. */
  let watching = false

  const admit = (): void => {
    if (waiting.size === 0) return
    for (const call of waiting) {
      if (!options.hasCapacity() || options.isFull()) break
      waiting.delete(call)
      options.start(call)
    }
    if (waiting.size === 0 || watching || !options.isFull()) return
    watching = true
    options.whenRoom(() => {
      watching = false
      admit()
    })
  }

  return {
    canStartNow: () => waiting.size === 0 && options.hasCapacity() && !options.isFull(),
    add(call) {
      if (waiting.size >= options.maxWaiting) return false
      waiting.add(call)
      admit()
      return true
    },
    remove(call) {
      waiting.delete(call)
    },
    startWaiting: admit,
    clear() {
      const all = [...waiting]
      waiting.clear()
      return all
    },
    size: () => waiting.size,
  }
}
