/**
 * The history of one word in memory. What is caught up is older than what comes live meanwhile, and stands in a line of its
 * own: so the oldest goes first in either case. State: the batches, in the order in which they came and by series.
 */
import { Fifo } from '../../async.ts'
import { MAX_FETCH_BATCHES, MAX_FETCH_BYTES } from '../protocol.ts'
import { type EventSeries, firstReaching, type SequenceRange, seriesKey } from '../series.ts'
import type { ChannelHistory, FoundBatches, HistoryBounds } from './history-contract.ts'

interface Entry extends SequenceRange {
  readonly run: Run
  readonly bytes: Uint8Array
  readonly sentAt: number
  /** Monotonic. */
  readonly at: number
}

/** The batches of one series, in ascending order. */
interface Run {
  readonly series: EventSeries
  readonly entries: Entry[]
}

export interface MemoryHistory extends ChannelHistory {
  find(series: EventSeries, range: SequenceRange): FoundBatches
}

/** A part of a larger buffer keeps all of it in memory; a copy does not, and slice() of a Node Buffer makes none. */
const detached = (bytes: Uint8Array): Uint8Array =>
  bytes.buffer.byteLength > 2 * bytes.length ? new Uint8Array(bytes) : bytes

export const createMemoryHistory = (bounds: HistoryBounds, monotonic: () => number): MemoryHistory => {
  const live = new Fifo<Entry>()
  const caughtUp = new Fifo<Entry>()
  const runs = new Map<string, Run>()
  let bytes = 0
  let events = 0

  /** The line whose first goes next. */
  const oldest = (): Fifo<Entry> => {
    const [past, newest] = [caughtUp.first(), live.first()]
    return past !== undefined && (newest === undefined || past.at <= newest.at) ? caughtUp : live
  }

  const dropOldest = (): void => {
    const entry = oldest().take()
    if (entry === undefined) return
    bytes -= entry.bytes.length
    events -= entry.to - entry.from + 1
    const { entries, series } = entry.run
    // Nearly always the first: numbers come in order.
    entries.splice(entries.indexOf(entry), 1)
    if (entries.length === 0) runs.delete(seriesKey(series))
  }

  const trim = (): void => {
    const since = monotonic() - bounds.maxAgeMs
    for (let entry = oldest().first(); entry !== undefined; entry = oldest().first()) {
      if (bytes <= bounds.maxBytes && events <= bounds.maxEvents && entry.at > since) break
      dropOldest()
    }
  }

  const holds = (series: EventSeries, { from, to }: SequenceRange): boolean => {
    const entries = runs.get(seriesKey(series))?.entries ?? []
    const next = entries[firstReaching(entries, from)]
    return next !== undefined && next.from <= to
  }

  return {
    holds,
    oldestAt: () => oldest().first()?.at,
    dropOldest,
    keep(series, { from, to }, given, sentAt, ageMs = 0) {
      if (given.length > bounds.maxBytes || to - from + 1 > bounds.maxEvents || ageMs >= bounds.maxAgeMs) return false
      trim()
      const at = monotonic() - ageMs
      const isFull = bytes + given.length > bounds.maxBytes || events + to - from + 1 > bounds.maxEvents
      if (isFull && at < (oldest().first()?.at ?? at)) return false
      const key = seriesKey(series)
      const run = runs.get(key) ?? { series, entries: [] }
      const index = firstReaching(run.entries, from)
      // Held already, or at odds with what is.
      if (run.entries[index] !== undefined && run.entries[index].from <= to) return false
      if (run.entries.length === 0) runs.set(key, run)
      const entry: Entry = { run, from, to, bytes: detached(given), sentAt, at }
      if (index === run.entries.length) run.entries.push(entry)
      else run.entries.splice(index, 0, entry)
      const line = ageMs === 0 ? live : caughtUp
      line.put(entry)
      bytes += given.length
      events += to - from + 1
      trim()
      return true
    },
    find(series, range) {
      trim()
      const entries = runs.get(seriesKey(series))?.entries ?? []
      const found: { bytes: Uint8Array; ageMs: number }[] = []
      const now = monotonic()
      let size = 0
      for (let at = firstReaching(entries, range.from); at < entries.length; at += 1) {
        const entry = entries[at]
        if (entry === undefined || entry.from > range.to) break
        size += entry.bytes.length
        const isTooMuch = found.length > 0 && (size > MAX_FETCH_BYTES || found.length >= MAX_FETCH_BATCHES)
        if (isTooMuch) return { batches: found, more: true }
        found.push({ bytes: entry.bytes, ageMs: now - entry.at })
      }
      return { batches: found, more: false }
    },
    list(since) {
      trim()
      return [...runs.values()].flatMap(({ series, entries }) => {
        const [first, last] = [entries[0], entries.at(-1)]
        if (first === undefined || last === undefined) return []
        const held = { ...series, from: first.from, to: last.to }
        return since === undefined ? held : { ...held, since: entries.find(({ sentAt }) => sentAt >= since)?.from }
      })
    },
    figures() {
      trim()
      return { bytes, events }
    },
    async close() {},
  }
}
