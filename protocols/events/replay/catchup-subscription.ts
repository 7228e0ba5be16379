/**
 * A subscription that reads: from a point in the past on, or acknowledged, or with a name under which its position is
 * kept. It hands out one event at a time, in order for each publisher, publishers (lanes.ts) taking turns; a slow listener
 * slows the reading, and nothing overflows.
 *
 * Acknowledged: an event is handled when the listener's promise resolves, or when the loop asks for the next one. One
 * that fails is handed out again after a growing pause, other publishers' events meanwhile; after the last attempt it is
 * told and left behind.
 *
 * State: the event that is being handled, attempts that wait, the loop that waits for an event.
 */
import { ParleyError } from '../../errors.ts'
import type { Port, Stop } from '../../port.ts'
import type { Listener, MeshEvent, Missed } from '../event.ts'
import type { CursorEvent } from './publisher-cursor.ts'
import {
  type CursorSlot,
  createPublisherCursors,
  type PublisherCursors,
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

export interface CatchupSubscription
  extends Pick<PublisherCursors, 'begin' | 'offer' | 'lost' | 'refresh' | 'neighbourJoined' | 'positions' | 'bytes'> {
  iterate(unsubscribe: () => void): AsyncIterator<MeshEvent>
  delivered(): number
  close(): void
}

export const createCatchupSubscription = (
  port: Pick<Port, 'clock' | 'timers' | 'log'>,
  listener: Listener<unknown> | undefined,
  options: CatchupOptions,
  hooks: CatchupHooks,
): CatchupSubscription => {
  const { ack } = options
  const timers = new Set<Stop>()
  const waiting: ((result: IteratorResult<MeshEvent, undefined>) => void)[] = []
  let busy = false
  let closed = false
  let delivered = 0
  /** Handed to the loop, which has not asked for the next one. */
  let unacknowledged: CursorSlot | undefined

  const lanes = createPublisherCursors(port, options, {
    ...hooks,
    missed: (series, range) => hooks.missed({ ...series, ...range, reason: 'gap' }),
    changed: () => pump(),
  })

  /** The next event in turn, and whose it is. */
  const next = (): { seat: CursorSlot; event: MeshEvent } | undefined => {
    for (let seat = lanes.takeReady(); seat !== undefined; seat = lanes.takeReady()) {
      for (let found = seat.lane.peek(); found !== undefined; found = seat.lane.peek()) {
        const event = hooks.eventFor(found)
        if (event !== undefined) {
          lanes.markReady(seat)
          return { seat, event }
        }
        seat.lane.advance()
        hooks.moved()
      }
      // It has nothing any more: the next look has it read on.
      lanes.markReady(seat)
    }
    return undefined
  }

  const handled = (one: CursorSlot): void => {
    one.attempts = 0
    one.lane.advance()
    hooks.moved()
  }

  const taken = (one: CursorSlot): void => {
    delivered += 1
    hooks.delivered()
    handled(one)
  }

  const later = (ms: number, fn: () => void): void => {
    const stop = port.timers.after(ms, () => {
      timers.delete(stop)
      fn()
    })
    timers.add(stop)
  }

  const failed = (one: CursorSlot, event: MeshEvent, error: unknown): void => {
    if (closed) return
    one.attempts += 1
    if (!ack) hooks.failed(error)
    else if (one.attempts < options.attempts) {
      hooks.redelivered()
      one.resting = true
      later(Math.min(MAX_BACKOFF_MS, options.retryMs * 2 ** (one.attempts - 1)), () => {
        one.resting = false
        lanes.markReady(one)
        pump()
      })
      return
    } else hooks.givenUp(event, error)
    handled(one)
  }

  const hand = (one: CursorSlot, event: MeshEvent): void => {
    try {
      const pending = listener?.(event)
      if (pending !== undefined && typeof pending.then === 'function') {
        busy = true
        pending
          .then(
            () => taken(one),
            (error: unknown) => failed(one, event, error),
          )
          .finally(() => {
            busy = false
            pump()
          })
        return
      }
      taken(one)
    } catch (error) {
      failed(one, event, error)
    }
  }

  const pump = (): void => {
    while (!busy && !closed) {
      const loop = listener === undefined ? waiting[0] : undefined
      if (listener === undefined && loop === undefined) break
      const found = next()
      if (found === undefined) break
      if (loop === undefined) hand(found.seat, found.event)
      else {
        waiting.shift()
        if (ack) {
          // Its lane stands still until it is acknowledged.
          found.seat.resting = true
          unacknowledged = found.seat
        } else taken(found.seat)
        loop({ done: false, value: found.event })
      }
    }
    lanes.readOn()
  }

  const acknowledge = (): void => {
    const one = unacknowledged
    unacknowledged = undefined
    if (one === undefined) return
    one.resting = false
    lanes.markReady(one)
    taken(one)
  }

  return {
    begin: lanes.begin,
    offer: lanes.offer,
    lost: lanes.lost,
    refresh: lanes.refresh,
    neighbourJoined: lanes.neighbourJoined,
    positions: lanes.positions,
    bytes: lanes.bytes,
    iterate(unsubscribe) {
      if (listener !== undefined) {
        throw new ParleyError('MSG001', 'this subscription has a listener and cannot be read by a loop as well', {
          hint: 'subscribe a second time without a listener',
        })
      }
      return {
        next() {
          if (closed) return Promise.resolve(DONE)
          acknowledge()
          return new Promise((resolve) => {
            waiting.push(resolve)
            pump()
          })
        },
        return() {
          unsubscribe()
          return Promise.resolve(DONE)
        },
      }
    },
    delivered: () => delivered,
    close() {
      closed = true
      for (const stop of timers) stop()
      timers.clear()
      lanes.close()
      for (const resolve of waiting.splice(0)) resolve(DONE)
    },
  }
}
