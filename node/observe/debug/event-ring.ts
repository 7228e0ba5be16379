/**
 * The last events of this node, numbered, for readers that come and go.
 *
 * State: a ring of RING_EVENTS events. Guarantees: adding one costs the same whatever it holds and whoever reads;
 * a reader that is too slow loses the oldest events and gets their count. Readers keep nothing but their position, so
 * the ring is the only queue however many they are.
 */
import type { DebugEvent } from './debug-schemas.ts'

export const RING_EVENTS = 500

/** The same object for all readers. */
export interface NumberedEvent {
  readonly number: number
  readonly event: DebugEvent
}

export interface EventRingReader {
  /** At most `max` events after the last ones that were read, and how many were lost before them. */
  read(max: number): { lost: number; events: NumberedEvent[] }
  /** Id of the last event that was read, or of the place where reading began. */
  position(): string
}

export interface EventRing {
  push(event: DebugEvent): void
  idOf(number: number): string
  /**
   * Reads on after the event with this id, or what comes from now on.
   * @returns undefined where the id is not of this log: of an earlier run of the node, or made up
   */
  readAfter(id: string | undefined): EventRingReader | undefined
  /** Reads from the oldest event on that is still there. */
  readAll(): EventRingReader
}

const ID = /^([0-9a-z]{1,16})-(\d{1,15})$/

/** @param run tells the ids of this run of the node from those of others: 1 to 16 characters of 0-9 and a-z */
export const createEventRing = (run: string): EventRing => {
  const ring: NumberedEvent[] = []
  /** Events so far, and the number of the last one. */
  let count = 0
  const oldest = (): number => count - ring.length

  const idOf = (number: number): string => `${run}-${number}`

  const reader = (from: number): EventRingReader => {
    let at = from
    return {
      read(max) {
        const lost = Math.max(0, oldest() - at)
        at += lost
        const events: NumberedEvent[] = []
        while (at < count && events.length < max) {
          const next = ring[at % RING_EVENTS]
          at += 1
          if (next !== undefined) events.push(next)
        }
        return { lost, events }
      },
      position: () => idOf(at),
    }
  }

  return {
    push(event) {
      ring[count % RING_EVENTS] = { number: count + 1, event }
      count += 1
    },
    readAfter(id) {
      if (id === undefined) return reader(count)
      const [, ofRun, number] = ID.exec(id) ?? []
      return ofRun === run && Number(number) <= count ? reader(Number(number)) : undefined
    },
    idOf,
    readAll: () => reader(oldest()),
  }
}
