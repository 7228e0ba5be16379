/**
 * The last events, for the debug page: a ring, bounded in number and in the size of each.
 *
 * The payload is kept as text and read again when somebody looks; a payload of more than 4 KiB is left out.
 */
import type { RecentEvent } from '../api.ts'

export const MAX_RECENT_CHARS = 4096

export interface RecentEvents {
  add(id: string, topic: string, source: string, timestamp: number, type: string | undefined, text: string): void
  /** Oldest first. */
  list(): RecentEvent[]
}

interface Slot {
  id: string
  topic: string
  source: string
  timestamp: number
  type: string | undefined
  size: number
  text: string | undefined
}

export const createRecentEvents = (limit: number): RecentEvents => {
  // Slots are written over: nothing is allocated per event once the ring is full.
  const slots: Slot[] = []
  let next = 0
  return {
    add(id, topic, source, timestamp, type, text) {
      if (limit === 0) return
      const size = text.length
      const kept = size <= MAX_RECENT_CHARS ? text : undefined
      const slot = slots[next]
      if (slot === undefined) slots.push({ id, topic, source, timestamp, type, size, text: kept })
      else {
        slot.id = id
        slot.topic = topic
        slot.source = source
        slot.timestamp = timestamp
        slot.type = type
        slot.size = size
        slot.text = kept
      }
      next = (next + 1) % limit
    },
    list() {
      const ordered = slots.length < limit ? slots : [...slots.slice(next), ...slots.slice(0, next)]
      return ordered.map(({ text, ...slot }) => (text === undefined ? slot : { ...slot, data: JSON.parse(text) }))
    },
  }
}
