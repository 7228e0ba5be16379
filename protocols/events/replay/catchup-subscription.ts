/**
 * A subscription that catches up: it starts in the past, or is acknowledged, or has a name under which its position is
 * kept. It hands out one event at a time, in order for each publisher, publishers
 * (publisher-cursors.ts) taking turns; a slow listener slows the reading, and nothing overflows.
 *
 * Acknowledged: an event is handled when the listener's promise resolves, or when the loop asks for the next slot. One
 * that fails is handed out again after a growing pause, other publishers' events meanwhile; after the last attempt it is
 * reported and left behind.
 *
 * State: the event that is being handled, attempts that wait, the loop that waits for an event.
 */
import type { Port, Stop } from '../../port.ts'
import type { VerifiedBatch } from '../batch/batch-decoder.ts'
import type { Listener, MeshEvent, Missed } from '../event.ts'
import type { CursorPosition } from '../history/history-contract.ts'
import { checkHasNoListener } from '../receive/subscription-queue.ts'
import type { EventSeries, SequenceRange } from '../series.ts'
import type { CursorEvent } from './publisher-cursor.ts'
import {
  type CursorSlot,
  PublisherCursors,
  type PublisherCursorsHooks,
  type PublisherCursorsOptions,
} from './publisher-cursors.ts'

const MAX_BACKOFF_MS = 10_000
const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined }

export interface CatchupOptions extends PublisherCursorsOptions {
  ack: boolean
  /** Attempts of one event. */
  attempts: number
  /** Milliseconds before the second attempt; twice that before each one more, up to 10 s. */
  retryMs: number
}

export interface CatchupHooks extends Omit<PublisherCursorsHooks, 'missed' | 'changed'> {
  /** The event as the listener gets it; undefined for one that it does not get. */
  eventFor(event: CursorEvent): MeshEvent | undefined
  missed(missed: Missed): void
  /** The listener threw, and nobody tries it again. */
  failed(error: unknown): void
  /** An event was handed out and handled. */
  delivered(): void
  redelivered(): void
  givenUp(event: MeshEvent, error: unknown): void
  /** The position moved. */
  moved(): void
}

export class CatchupSubscription {
  readonly #port: Pick<Port, 'clock' | 'timers' | 'log'>
  readonly #listener: Listener<unknown> | undefined
  readonly #options: CatchupOptions
  readonly #hooks: CatchupHooks
  readonly #timers = new Set<Stop>()
  /** `next()` calls of the loop that wait for an event. */
  readonly #loops: ((result: IteratorResult<MeshEvent, undefined>) => void)[] = []
  #busy = false
  #closed = false
  #delivered = 0
  /** Handed to the loop, which has not asked for the next slot. */
  #unacknowledged: CursorSlot | undefined
  readonly #cursors: PublisherCursors

  constructor(
    port: Pick<Port, 'clock' | 'timers' | 'log'>,
    listener: Listener<unknown> | undefined,
    options: CatchupOptions,
    hooks: CatchupHooks,
  ) {
    this.#port = port
    this.#listener = listener
    this.#options = options
    this.#hooks = hooks
    this.#cursors = new PublisherCursors(port, options, {
      ...hooks,
      missed: (series, range) => hooks.missed({ ...series, ...range, reason: 'gap' }),
      changed: () => this.#pump(),
    })
  }

  /** Begins with a word: finds out what is held of it. */
  begin(word: string): Promise<void> {
    return this.#cursors.begin(word)
  }

  /** A batch was let in, or published here, in order. */
  offer(proven: VerifiedBatch): void {
    this.#cursors.offer(proven)
  }

  /** Gossip's side gave these up. */
  lost(series: EventSeries, range: SequenceRange): void {
    this.#cursors.lost(series, range)
  }

  /** More may be known of what this publisher said. */
  refresh(publisher: string, word: string): void {
    this.#cursors.refresh(publisher, word)
  }

  /** A neighbour came, which may hold more. */
  neighbourJoined(peer: string): void {
    this.#cursors.neighbourJoined(peer)
  }

  positions(): CursorPosition[] {
    return this.#cursors.positions()
  }

  bytes(): number {
    return this.#cursors.bytes()
  }

  iterate(unsubscribe: () => void): AsyncIterator<MeshEvent> {
    checkHasNoListener(this.#listener)
    return {
      next: () => {
        if (this.#closed) return Promise.resolve(DONE)
        this.#acknowledge()
        return new Promise((resolve) => {
          this.#loops.push(resolve)
          this.#pump()
        })
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

  close(): void {
    this.#closed = true
    for (const stop of this.#timers) stop()
    this.#timers.clear()
    this.#cursors.close()
    for (const resolve of this.#loops.splice(0)) resolve(DONE)
  }

  /** The next event in turn, and whose it is. */
  #next(): { slot: CursorSlot; event: MeshEvent } | undefined {
    for (let slot = this.#cursors.takeReady(); slot !== undefined; slot = this.#cursors.takeReady()) {
      for (let found = slot.cursor.peek(); found !== undefined; found = slot.cursor.peek()) {
        const event = this.#hooks.eventFor(found)
        if (event !== undefined) {
          this.#cursors.markReady(slot)
          return { slot, event }
        }
        slot.cursor.advance()
        this.#hooks.moved()
      }
      // It has nothing any more: the next look has it read on.
      this.#cursors.markReady(slot)
    }
    return undefined
  }

  #markHandled(slot: CursorSlot): void {
    slot.attempts = 0
    slot.cursor.advance()
    this.#hooks.moved()
  }

  #markDelivered(slot: CursorSlot): void {
    this.#delivered += 1
    this.#hooks.delivered()
    this.#markHandled(slot)
  }

  #after(ms: number, fn: () => void): void {
    const stop = this.#port.timers.after(ms, () => {
      this.#timers.delete(stop)
      fn()
    })
    this.#timers.add(stop)
  }

  #handleFailure(slot: CursorSlot, event: MeshEvent, error: unknown): void {
    if (this.#closed) return
    slot.attempts += 1
    if (!this.#options.ack) this.#hooks.failed(error)
    else if (slot.attempts < this.#options.attempts) {
      this.#hooks.redelivered()
      slot.isPaused = true
      this.#after(Math.min(MAX_BACKOFF_MS, this.#options.retryMs * 2 ** (slot.attempts - 1)), () => {
        slot.isPaused = false
        this.#cursors.markReady(slot)
        this.#pump()
      })
      return
    } else this.#hooks.givenUp(event, error)
    this.#markHandled(slot)
  }

  #hand(slot: CursorSlot, event: MeshEvent): void {
    try {
      const pending = this.#listener?.(event)
      if (pending !== undefined && typeof pending.then === 'function') {
        this.#busy = true
        pending
          .then(
            () => this.#markDelivered(slot),
            (error: unknown) => this.#handleFailure(slot, event, error),
          )
          .finally(() => {
            this.#busy = false
            this.#pump()
          })
        return
      }
      this.#markDelivered(slot)
    } catch (error) {
      this.#handleFailure(slot, event, error)
    }
  }

  #pump(): void {
    while (!this.#busy && !this.#closed) {
      const loop = this.#listener === undefined ? this.#loops[0] : undefined
      if (this.#listener === undefined && loop === undefined) break
      const found = this.#next()
      if (found === undefined) break
      if (loop === undefined) this.#hand(found.slot, found.event)
      else {
        this.#loops.shift()
        if (this.#options.ack) {
          // Its cursor stands still until it is acknowledged.
          found.slot.isPaused = true
          this.#unacknowledged = found.slot
        } else this.#markDelivered(found.slot)
        loop({ done: false, value: found.event })
      }
    }
    this.#cursors.readOn()
  }

  #acknowledge(): void {
    const slot = this.#unacknowledged
    this.#unacknowledged = undefined
    if (slot === undefined) return
    slot.isPaused = false
    this.#cursors.markReady(slot)
    this.#markDelivered(slot)
  }
}
