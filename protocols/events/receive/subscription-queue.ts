/**
 * One subscription: a bounded queue in front of a listener, or of a `for await` loop.
 *
 * The listener gets one event at a time, in order; while a promise that it returned is open, events wait. When the queue
 * is full the newest is dropped, counted and reported through onMissed, at most once per publisher and turn of the event
 * loop. A listener that throws is counted and harms no other.
 */
import { ParleyError } from '../../errors.ts'
import type { Listener, MeshEvent, Missed } from '../event.ts'

export interface SubscriptionQueueHooks {
  monotonic(): number
  onMissed: ((missed: Missed) => void) | undefined
  /** The listener or a hook threw. */
  failed(error: unknown): void
  expired(): void
  overflowed(): void
}

/** The inside of a subscription. */
export interface SubscriptionQueue {
  push(event: MeshEvent): void
  missed(missed: Missed): void
  /** The events, for one loop; leaving the loop calls `unsubscribe`. */
  iterate(unsubscribe: () => void): AsyncIterator<MeshEvent>
  delivered(): number
  dropped(): number
  /** Events that wait. */
  size(): number
  /** More than half of what it takes waits. */
  isBehind(): boolean
  close(): void
}

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined }

/** First-in first-out without shifting an array for each event. */
const createFifo = () => {
  let items: MeshEvent[] = []
  let head = 0
  return {
    size: () => items.length - head,
    put(event: MeshEvent) {
      items.push(event)
    },
    take(): MeshEvent | undefined {
      const event = items[head]
      if (event === undefined) return undefined
      head += 1
      if (head === items.length || (head >= 1024 && head * 2 > items.length)) {
        items = items.slice(head)
        head = 0
      }
      return event
    },
    clear() {
      items = []
      head = 0
    },
  }
}

/** Gathers what overflowed in one turn into one report per publisher and word. */
const createOverflow = (report: (missed: Missed) => void) => {
  const ranges = new Map<string, Missed>()
  const flush = () => {
    const reports = [...ranges.values()]
    ranges.clear()
    for (const missed of reports) report(missed)
  }
  return (event: MeshEvent, word: string) => {
    if (ranges.size === 0) queueMicrotask(flush)
    const key = `${event.source}/${word}/${event.epoch}`
    const from = ranges.get(key)?.from ?? event.sequence
    const range = { publisher: event.source, word, epoch: event.epoch, from, to: event.sequence }
    ranges.set(key, { ...range, reason: 'overflow' })
  }
}

export const createSubscriptionQueue = (
  listener: Listener<unknown> | undefined,
  limit: number,
  hooks: SubscriptionQueueHooks,
): SubscriptionQueue => {
  const fifo = createFifo()
  const readers: ((result: IteratorResult<MeshEvent, undefined>) => void)[] = []
  let busy = false
  let closed = false
  let delivered = 0
  let dropped = 0

  const report = (missed: Missed): void => {
    if (closed || hooks.onMissed === undefined) return
    try {
      hooks.onMissed(missed)
    } catch (error) {
      hooks.failed(error)
    }
  }
  const overflow = createOverflow(report)

  const expired = (event: MeshEvent): boolean => {
    if (event.expiresAt === undefined || hooks.monotonic() < event.expiresAt) return false
    hooks.expired()
    return true
  }

  const next = (): MeshEvent | undefined => {
    for (let event = fifo.take(); event !== undefined; event = fifo.take()) if (!expired(event)) return event
    return undefined
  }

  const finished = () => {
    busy = false
    drain()
  }
  const failed = (error: unknown) => {
    hooks.failed(error)
    finished()
  }
  const hand = (event: MeshEvent): void => {
    delivered += 1
    try {
      const pending = listener?.(event)
      if (pending === undefined || typeof pending.then !== 'function') return
      busy = true
      pending.then(finished, failed)
    } catch (error) {
      hooks.failed(error)
    }
  }
  const drain = (): void => {
    while (!busy && !closed) {
      const event = next()
      if (event === undefined) return
      hand(event)
    }
  }

  const enqueue = (event: MeshEvent): void => {
    if (fifo.size() < limit) {
      fifo.put(event)
      return
    }
    dropped += 1
    hooks.overflowed()
    overflow(event, event.topic.split('.', 1)[0] ?? event.topic)
  }

  const push = (event: MeshEvent): void => {
    if (closed) return
    if (listener !== undefined && !busy && fifo.size() === 0) {
      if (!expired(event)) hand(event)
      return
    }
    const reader = readers.shift()
    if (reader === undefined) {
      enqueue(event)
      return
    }
    if (expired(event)) {
      readers.unshift(reader)
      return
    }
    delivered += 1
    reader({ done: false, value: event })
  }

  const close = (): void => {
    closed = true
    fifo.clear()
    for (const reader of readers.splice(0)) reader(DONE)
  }

  return {
    push,
    missed: report,
    iterate(unsubscribe) {
      if (listener !== undefined) {
        throw new ParleyError('MSG001', 'this subscription has a listener and cannot be read by a loop as well', {
          hint: 'subscribe a second time without a listener',
        })
      }
      return {
        next() {
          if (closed) return Promise.resolve(DONE)
          const event = next()
          if (event === undefined) return new Promise((resolve) => readers.push(resolve))
          delivered += 1
          return Promise.resolve({ done: false, value: event })
        },
        return() {
          unsubscribe()
          return Promise.resolve(DONE)
        },
      }
    },
    delivered: () => delivered,
    dropped: () => dropped,
    size: fifo.size,
    isBehind: () => fifo.size() * 2 > limit,
    close,
  }
}
