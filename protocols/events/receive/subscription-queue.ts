/**
 * One subscription: a bounded queue in front of a listener, or of a `for await` loop.
 *
 * The listener gets one event at a time, in order; while a promise that it returned is open, events wait. When the queue
 * is full the newest is dropped, counted and reported through onMissed, at most once per publisher and turn of the event
 * loop. A listener that throws is counted and harms no other.
 */

import { Fifo } from '../../async.ts'
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

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined }

/** @throws MSG001 where there is one: events go to it, and a loop would get none */
export const checkHasNoListener = (listener: Listener<unknown> | undefined): void => {
  if (listener === undefined) return
  throw new ParleyError('MSG001', 'this subscription has a listener and cannot be read by a loop as well', {
    hint: 'subscribe a second time without a listener',
  })
}

/** Gathers what overflowed in one turn of the event loop into one report per publisher and word. */
class OverflowReports {
  readonly #report: (missed: Missed) => void
  readonly #ranges = new Map<string, Missed>()

  constructor(report: (missed: Missed) => void) {
    this.#report = report
  }

  add({ source: publisher, epoch, sequence }: MeshEvent, word: string): void {
    if (this.#ranges.size === 0) queueMicrotask(() => this.#flush())
    const key = `${publisher}/${word}/${epoch}`
    const from = this.#ranges.get(key)?.from ?? sequence
    this.#ranges.set(key, { publisher, word, epoch, from, to: sequence, reason: 'overflow' })
  }

  #flush(): void {
    const reports = [...this.#ranges.values()]
    this.#ranges.clear()
    for (const missed of reports) this.#report(missed)
  }
}

/** A subscription to what comes from now on: its queue, and who takes out of it. */
export class SubscriptionQueue {
  readonly #listener: Listener<unknown> | undefined
  readonly #limit: number
  readonly #hooks: SubscriptionQueueHooks
  readonly #events: Fifo<MeshEvent>
  /** `next()` calls of the loop that wait for an event. */
  readonly #loops: ((result: IteratorResult<MeshEvent, undefined>) => void)[] = []
  #busy = false
  #closed = false
  #delivered = 0
  #dropped = 0
  /** Made once, as one of them is needed for each event. */
  readonly #finished = (): void => {
    this.#busy = false
    this.#drain()
  }
  readonly #failed = (error: unknown): void => {
    this.#hooks.failed(error)
    this.#finished()
  }
  readonly #overflow: OverflowReports

  constructor(listener: Listener<unknown> | undefined, limit: number, hooks: SubscriptionQueueHooks) {
    this.#listener = listener
    this.#limit = limit
    this.#events = new Fifo(limit)
    this.#hooks = hooks
    this.#overflow = new OverflowReports((missed) => this.missed(missed))
  }

  push(event: MeshEvent): void {
    if (this.#closed) return
    if (this.#listener !== undefined && !this.#busy && this.#events.size() === 0) {
      if (!this.#expired(event)) this.#hand(event)
      return
    }
    const loop = this.#loops.shift()
    if (loop === undefined) {
      this.#enqueue(event)
      return
    }
    if (this.#expired(event)) {
      this.#loops.unshift(loop)
      return
    }
    this.#delivered += 1
    loop({ done: false, value: event })
  }

  missed(missed: Missed): void {
    if (this.#closed || this.#hooks.onMissed === undefined) return
    try {
      this.#hooks.onMissed(missed)
    } catch (error) {
      this.#hooks.failed(error)
    }
  }

  /** The events, for one loop; leaving the loop calls `unsubscribe`. */
  iterate(unsubscribe: () => void): AsyncIterator<MeshEvent> {
    checkHasNoListener(this.#listener)
    return {
      next: () => {
        if (this.#closed) return Promise.resolve(DONE)
        const event = this.#next()
        if (event === undefined) return new Promise((resolve) => this.#loops.push(resolve))
        this.#delivered += 1
        return Promise.resolve({ done: false, value: event })
      },
      return() {
        unsubscribe()
        return Promise.resolve(DONE)
      },
    }
  }

  delivered(): number {
    return this.#delivered
  }

  dropped(): number {
    return this.#dropped
  }

  /** Events that wait. */
  size(): number {
    return this.#events.size()
  }

  /** More than half of what it takes waits. */
  isBehind(): boolean {
    return this.#events.size() * 2 > this.#limit
  }

  close(): void {
    this.#closed = true
    this.#events.clear()
    for (const loop of this.#loops.splice(0)) loop(DONE)
  }

  #expired(event: MeshEvent): boolean {
    if (event.expiresAt === undefined || this.#hooks.monotonic() < event.expiresAt) return false
    this.#hooks.expired()
    return true
  }

  #next(): MeshEvent | undefined {
    for (let event = this.#events.take(); event !== undefined; event = this.#events.take())
      if (!this.#expired(event)) return event
    return undefined
  }

  #hand(event: MeshEvent): void {
    this.#delivered += 1
    try {
      const pending = this.#listener?.(event)
      if (pending === undefined || typeof pending.then !== 'function') return
      this.#busy = true
      pending.then(this.#finished, this.#failed)
    } catch (error) {
      this.#hooks.failed(error)
    }
  }

  #drain(): void {
    while (!this.#busy && !this.#closed) {
      const event = this.#next()
      if (event === undefined) return
      this.#hand(event)
    }
  }

  #enqueue(event: MeshEvent): void {
    if (this.#events.put(event)) return
    this.#dropped += 1
    this.#hooks.overflowed()
    this.#overflow.add(event, event.topic.split('.', 1)[0] ?? event.topic)
  }
}
