/**
 * Where the batches of a word's history lie on the disk: by series, in ascending order, and by segment. What is larger or
 * older than it may be goes a segment at a time. State: the entries, about 100 bytes each.
 */
import type { HeldRange, HistoryBounds } from '../../../protocols/events/history/history-contract.ts'
import { MAX_FETCH_BATCHES, MAX_FETCH_BYTES } from '../../../protocols/events/protocol.ts'
import { type EventSeries, firstReaching, type SequenceRange } from '../../../protocols/events/series.ts'
import { LOG_HEADER_BYTES } from '../log/log-frames.ts'
import type { FoundBatch } from './history-segment.ts'

export interface HistorySegment {
  readonly number: number
  readonly salt: Uint8Array
  /** Checksum of its last frame. */
  crc: number
  /** All that was added to it is in it: then it can end with its index. */
  isWhole: boolean
  /** Of its file, with what is not written yet. */
  bytes: number
  events: number
  /** Of its last batch, milliseconds since 1970. */
  keptAt: number
  readonly entries: Set<HistoryEntry>
}

/** The batches of one series. */
interface Run {
  readonly publisher: string
  readonly epoch: number
  readonly entries: HistoryEntry[]
}

export interface HistoryEntry extends SequenceRange {
  readonly run: Run
  readonly segment: HistorySegment
  readonly at: number
  readonly size: number
  readonly keptAt: number
  readonly sentAt: number
  /** Its frame, until that is written. */
  record: Uint8Array | undefined
}

export interface HistoryIndex {
  /**
   * A new segment, for what was kept at that time or later.
   * @param keptAt those that are older go before it
   */
  begin(keptAt: number, salt: Uint8Array, number?: number): HistorySegment
  has(segment: HistorySegment): boolean
  add(series: Omit<EventSeries, 'word'>, entry: Omit<HistoryEntry, 'run'>): HistoryEntry
  /** Puts the segments in the order in which they go, after they were read. */
  sort(): void
  /** As they lie in their segment. */
  batches(segment: HistorySegment): FoundBatch[]
  /** It is not to be found any more; what it takes in its segment stays. */
  forget(entry: HistoryEntry): void
  /** Something of this range is held. */
  overlaps(series: Omit<EventSeries, 'word'>, range: SequenceRange): boolean
  /** Entries that hold something of `range`, in order; those that lie behind one another in one segment are one row. */
  select(series: Omit<EventSeries, 'word'>, range: SequenceRange): { rows: HistoryEntry[][]; more: boolean }
  list(word: string, since: number | undefined): HeldRange[]
  trim(): void
  /** So much more would have something go. */
  isFull(bytes: number, range: SequenceRange): boolean
  /** The segment that goes first. */
  oldest(): HistorySegment | undefined
  dropOldest(): void
  figures(): { bytes: number; events: number }
}

const keyOf = ({ publisher, epoch }: Omit<EventSeries, 'word'>): string => `${publisher} ${epoch}`

const follows = (before: HistoryEntry | undefined, entry: HistoryEntry): boolean =>
  before?.segment === entry.segment &&
  before.at + before.size === entry.at &&
  (before.record === undefined) === (entry.record === undefined)

/** Rows of the entries that hold something of `range`, as much as one answer takes. */
const rowsOf = (entries: readonly HistoryEntry[], range: SequenceRange): { rows: HistoryEntry[][]; more: boolean } => {
  const rows: HistoryEntry[][] = []
  let size = 0
  let count = 0
  for (let at = firstReaching(entries, range.from); at < entries.length; at += 1) {
    const entry = entries[at]
    if (entry === undefined || entry.from > range.to) break
    size += entry.size
    if (count > 0 && (size > MAX_FETCH_BYTES || count >= MAX_FETCH_BATCHES)) return { rows, more: true }
    count += 1
    const row = rows.at(-1)
    if (row !== undefined && follows(row.at(-1), entry)) row.push(entry)
    else rows.push([entry])
  }
  return { rows, more: false }
}

/** @param removed a segment went */
export const createHistoryIndex = (
  bounds: HistoryBounds,
  now: () => number,
  removed: (segment: HistorySegment) => void,
): HistoryIndex => {
  /** The one that goes first in front. */
  const segments: HistorySegment[] = []
  let highest = 0
  const runs = new Map<string, Run>()
  let bytes = 0
  let events = 0

  const forget = (entry: HistoryEntry): void => {
    const { entries } = entry.run
    const index = entries.indexOf(entry)
    if (index >= 0) entries.splice(index, 1)
    if (entries.length === 0) runs.delete(keyOf(entry.run))
    entry.segment.entries.delete(entry)
  }

  const dropOldest = (): void => {
    const first = segments.shift()
    if (first === undefined) return
    for (const entry of [...first.entries]) forget(entry)
    bytes -= first.bytes
    events -= first.events
    removed(first)
  }

  const trim = (): void => {
    const oldest = now() - bounds.maxAgeMs
    for (let first = segments[0]; first !== undefined; first = segments[0]) {
      if (bytes <= bounds.maxBytes && events <= bounds.maxEvents && first.keptAt > oldest) break
      dropOldest()
    }
  }

  return {
    begin(keptAt, salt, number = highest + 1) {
      highest = Math.max(highest, number)
      const entries = new Set<HistoryEntry>()
      const segment = { number, salt, crc: 0, isWhole: true, bytes: LOG_HEADER_BYTES, events: 0, keptAt, entries }
      bytes += LOG_HEADER_BYTES
      const before = segments.findLastIndex((other) => other.keptAt <= keptAt)
      segments.splice(before + 1, 0, segment)
      return segment
    },
    sort() {
      segments.sort((a, b) => a.keptAt - b.keptAt || a.number - b.number)
    },
    has: (segment) => segments.includes(segment),
    add({ publisher, epoch }, given) {
      const key = keyOf({ publisher, epoch })
      const run = runs.get(key) ?? { publisher, epoch, entries: [] }
      runs.set(key, run)
      const entry = { ...given, run }
      run.entries.splice(firstReaching(run.entries, entry.from), 0, entry)
      const { segment } = entry
      const count = entry.to - entry.from + 1
      segment.entries.add(entry)
      segment.bytes += entry.size
      segment.events += count
      segment.keptAt = Math.max(segment.keptAt, entry.keptAt)
      bytes += entry.size
      events += count
      return entry
    },
    batches: ({ entries }) =>
      [...entries].map(({ run: { publisher, epoch }, from, to, at, size, keptAt, sentAt }) => ({
        series: { publisher, epoch },
        range: { from, to },
        ...{ at, size, keptAt, sentAt },
      })),
    forget,
    oldest: () => segments[0],
    dropOldest,
    overlaps(series, { from, to }) {
      const entries = runs.get(keyOf(series))?.entries ?? []
      const next = entries[firstReaching(entries, from)]
      return next !== undefined && next.from <= to
    },
    select: (series, range) => rowsOf(runs.get(keyOf(series))?.entries ?? [], range),
    list: (word, since) =>
      [...runs.values()].flatMap(({ publisher, epoch, entries }): HeldRange[] => {
        const [first, last] = [entries[0], entries.at(-1)]
        if (first === undefined || last === undefined) return []
        const held = { publisher, word, epoch, from: first.from, to: last.to }
        return since === undefined ? [held] : [{ ...held, since: entries.find(({ sentAt }) => sentAt >= since)?.from }]
      }),
    trim,
    isFull: (more, { from, to }) => bytes + more > bounds.maxBytes || events + to - from + 1 > bounds.maxEvents,
    figures: () => ({ bytes, events }),
  }
}
