/**
 * The last events of this node, numbered, for readers that come and go.
 *
 * State: a ring of RING_EVENTS events. Guarantees: adding one costs the same whatever it holds and whoever reads;
 * a reader that is too slow loses the oldest events and is told how many. Readers keep nothing but their position, so
 * the ring is the only queue however many they are.
 */
import type { MeshEvent } from './source.ts'

export const RING_EVENTS = 500

/** The same object for all readers. */
export interface Numbered {
  readonly number: number
  readonly event: MeshEvent
}

export interface EventReader {
  /** At most `max` events after the last ones that were read, and how many were lost before them. */
  read(max: number): { lost: number; events: Numbered[] }
  /** Id of the last event that was read, or of the place where reading began. */
  position(): string
}

export interface EventLog {
  push(event: MeshEvent): void
  idOf(number: number): string
  /**
   * Reads on after the event with this id, or what comes from now on.
   * @returns undefined where the id is not of this log: of an earlier run of the node, or made up
   */
  readAfter(id: string | undefined): EventReader | undefined
  /** Reads from the oldest event on that is still there. */
  readAll(): EventReader
}

const ID = /^([0-9a-z]{1,16})-(\d{1,15})$/

/** @param run tells the ids of this run of the node from those of others: 1 to 16 characters of 0-9 and a-z */
export const createEventLog = (run: string): EventLog => {
  const ring: Numbered[] = []
  /** Events so far, and the number of the last one. */
  let count = 0
  const oldest = (): number => count - ring.length

  const idOf = (number: number): string => `${run}-${number}`

  const reader = (from: number): EventReader => {
    let at = from
    return {
      read(max) {
        const lost = Math.max(0, oldest() - at)
        at += lost
        const events: Numbered[] = []
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
