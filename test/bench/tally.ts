/**
 * Counts the events of one measurement at the subscriber. State: one bit of memory per expected sequence number.
 * Guarantees: every event is counted once; a second copy, and one that nobody sent, is told apart.
 */
import { latencies, MOST_LATENCIES } from './statistics.ts'

export interface Count {
  readonly received: number
  /** Copies beyond the first. */
  readonly doubled: number
  /** When the last new event came, on the shared clock; 0 when none came. */
  readonly lastAtMs: number
}

export interface Tally {
  /** Events outside the range are of an earlier measurement or of none; they are not counted here. */
  add(sequence: number, sentAtMs: number, nowMs: number): void
  received(): number
  lastAtMs(): number
  count(): Count
  /** From publishing to arrival, of the first copies; spread evenly over the measurement where there are very many. */
  latenciesMs(): Float64Array
}

/** @param capacity sequence numbers `first` to `first + capacity - 1` belong to this measurement */
export const createTally = (first: number, capacity: number): Tally => {
  const seen = new Uint8Array(Math.ceil(capacity / 8))
  const kept = latencies(Math.min(MOST_LATENCIES, capacity))
  let received = 0
  let doubled = 0
  let lastAtMs = 0
  return {
    add: (sequence, sentAtMs, nowMs) => {
      const offset = sequence - first
      if (!(offset >= 0 && offset < capacity)) return
      const bit = 1 << (offset & 7)
      const byte = seen[offset >> 3] ?? 0
      if ((byte & bit) !== 0) {
        doubled++
        return
      }
      seen[offset >> 3] = byte | bit
      received++
      lastAtMs = nowMs
      kept.add(nowMs - sentAtMs)
    },
    received: () => received,
    lastAtMs: () => lastAtMs,
    count: () => ({ received, doubled, lastAtMs }),
    latenciesMs: () => kept.values(),
  }
}
