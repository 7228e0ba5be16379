/**
 * The messages of the events feature by their type (wire/envelope.ts): events, the coordinator's notifications, which are
 * events on a topic of their own, and the gossiped batches of both.
 *
 * State: plain numbers, which never go down. Counted once a batch: only batches under the notifications' first word, of
 * which there are few, are looked into.
 */
import { type DecodedBatch, decodeBatch, eventDecoder } from './batch/batch-decoder.ts'
import { firstWord } from './topic.ts'

export const NOTIFICATION_TOPIC = 'coordination.notification'
const NOTIFICATION_WORD = firstWord(NOTIFICATION_TOPIC)

export interface TrafficCounts {
  events: number
  notifications: number
  batches: number
  /** Batches that could not be sent, or were not let in. */
  failed: number
}

export interface EventTraffic {
  readonly in: Readonly<TrafficCounts>
  readonly out: Readonly<TrafficCounts>
}

const none = (): TrafficCounts => ({ events: 0, notifications: 0, batches: 0, failed: 0 })

const notificationsIn = (batch: DecodedBatch): number => {
  const read = eventDecoder(batch)
  const indexes = Array.from({ length: batch.spans.length / 2 }, (_, index) => index)
  return indexes.filter((index) => {
    try {
      return read(index).topic === NOTIFICATION_TOPIC
    } catch {
      // One that cannot be read is an event that arrived; who hands it out counts it as malformed.
      return false
    }
  }).length
}

export const createEventTraffic = () => {
  const all = { in: none(), out: none() }
  const add = (to: TrafficCounts, events: number, notifications: number): void => {
    to.batches += 1
    to.events += events - notifications
    to.notifications += notifications
  }
  return {
    all: (): EventTraffic => ({ in: { ...all.in }, out: { ...all.out } }),
    sent(word: string, events: number, bytes: Uint8Array) {
      const batch = word === NOTIFICATION_WORD ? decodeBatch(bytes) : undefined
      add(all.out, events, batch === undefined ? 0 : notificationsIn(batch))
    },
    received(batch: DecodedBatch) {
      add(all.in, batch.spans.length / 2, batch.word === NOTIFICATION_WORD ? notificationsIn(batch) : 0)
    },
    unsent() {
      all.out.failed += 1
    },
    refused() {
      all.in.failed += 1
    },
  }
}
