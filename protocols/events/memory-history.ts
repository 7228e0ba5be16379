/** The history of one word in memory. State: the batches, in the order in which they came and by series. */
import type { Found, HistoryBounds, WordHistory } from './history-store.ts'
import { MAX_FETCH_BATCHES, MAX_FETCH_BYTES } from './protocol.ts'
import { firstReaching, keyOf, type Range, type Series } from './series.ts'

interface Entry extends Range {
  readonly run: Run
  readonly bytes: Uint8Array
  readonly sentAt: number
  /** Monotonic. */
  readonly at: number
}

/** The batches of one series, in ascending order. */
interface Run {
  readonly series: Series
  readonly entries: Entry[]
}

export interface MemoryHistory extends WordHistory {
  find(series: Series, range: Range): Found
}

/** A part of a larger buffer keeps all of it in memory; a copy does not. */
const detached = (bytes: Uint8Array): Uint8Array => (bytes.buffer.byteLength > 2 * bytes.length ? bytes.slice() : bytes)

export const createMemoryHistory = (bounds: HistoryBounds, monotonic: () => number): MemoryHistory => {
  const queue: (Entry | undefined)[] = []
  let head = 0
  const runs = new Map<string, Run>()
  let bytes = 0
  let events = 0

  const dropOldest = (): void => {
    const entry = queue[head]
    if (entry === undefined) return
    queue[head] = undefined
    head += 1
    bytes -= entry.bytes.length
    events -= entry.to - entry.from + 1
    const { entries, series } = entry.run
    // Nearly always the first: numbers come in order.
    entries.splice(entries.indexOf(entry), 1)
    if (entries.length === 0) runs.delete(keyOf(series))
    if (head > 1024 && head * 2 > queue.length) {
      queue.splice(0, head)
      head = 0
    }
  }

  const trim = (): void => {
    const oldest = monotonic() - bounds.maxAgeMs
    for (let entry = queue[head]; entry !== undefined; entry = queue[head]) {
      if (bytes <= bounds.maxBytes && events <= bounds.maxEvents && entry.at > oldest) break
      dropOldest()
    }
  }

  return {
    oldestAt: () => queue[head]?.at,
    dropOldest,
    keep(series, { from, to }, given, sentAt) {
      if (given.length > bounds.maxBytes || to - from + 1 > bounds.maxEvents) return
      trim()
      const key = keyOf(series)
      const run = runs.get(key) ?? { series, entries: [] }
      const at = firstReaching(run.entries, from)
      // Held already, or at odds with what is.
      if (run.entries[at] !== undefined && run.entries[at].from <= to) return
      if (run.entries.length === 0) runs.set(key, run)
      const entry: Entry = { run, from, to, bytes: detached(given), sentAt, at: monotonic() }
      if (at === run.entries.length) run.entries.push(entry)
      else run.entries.splice(at, 0, entry)
      queue.push(entry)
      bytes += given.length
      events += to - from + 1
      trim()
    },
    find(series, range) {
      trim()
      const entries = runs.get(keyOf(series))?.entries ?? []
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
