/**
 * The history of one first word on disk: segments that are only appended to, and removed as a whole when the history is
 * larger or older than it may be.
 *
 * Best effort: batches are written one write after another, not synced, so that a crash may lose the last of them, and a
 * full disk loses what cannot be written; each record has a checksum (history-records.ts) that is looked at when the
 * history is opened and again when the record is read, so that what is damaged is missing, and never something else.
 * State: where each batch lies, those that are not written yet, at most MAX_UNWRITTEN_BYTES of them.
 */
import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Found, Held, HistoryBounds, KeptBatch, WordHistory } from '../../protocols/events/history-store.ts'
import { MAX_FETCH_BATCHES, MAX_FETCH_BYTES } from '../../protocols/events/protocol.ts'
import { firstReaching, type Range, type Series } from '../../protocols/events/series.ts'
import type { Log } from '../../protocols/port.ts'
import { DIRECTORY_MODE, FILE_MODE, systemCode } from '../private-file.ts'
import { decodeRecord, encodeRecord, readRecords } from './history-records.ts'

const NAME = /^\d{12}\.history$/
const MAX_SEGMENT_BYTES = 8 * 1024 * 1024
const MIN_SEGMENT_BYTES = 64 * 1024
export const MAX_UNWRITTEN_BYTES = 32 * 1024 * 1024
const LOG_EVERY_MS = 10_000

interface Segment {
  readonly number: number
  bytes: number
  events: number
  /** Of its last batch, milliseconds since 1970. */
  keptAt: number
  readonly entries: Set<Entry>
}

interface Entry extends Range {
  readonly run: Run
  readonly segment: Segment
  readonly at: number
  readonly size: number
  readonly keptAt: number
  readonly sentAt: number
  /** Until it is written. */
  record: Uint8Array | undefined
}

interface Run {
  readonly publisher: string
  readonly epoch: number
  readonly entries: Entry[]
}

const nameOf = (number: number): string => `${String(number).padStart(12, '0')}.history`
const keyOf = ({ publisher, epoch }: Omit<Series, 'word'>): string => `${publisher} ${epoch}`

/** Opens what is there. @throws what reading the folder throws, but for one that is not there */
export const openHistoryLog = async (
  folder: string,
  word: string,
  bounds: HistoryBounds,
  deps: { now(): number; log: Log },
): Promise<WordHistory> => {
  const segmentBytes = Math.min(MAX_SEGMENT_BYTES, Math.max(MIN_SEGMENT_BYTES, Math.floor(bounds.maxBytes / 8)))
  const segmentEvents = Math.max(1, Math.floor(bounds.maxEvents / 8))
  const segments: Segment[] = []
  const runs = new Map<string, Run>()
  let bytes = 0
  let events = 0
  let current: Segment | undefined
  let unwritten: Entry[] = []
  let unwrittenBytes = 0
  let writing: Promise<void> | undefined
  let file: { segment: Segment; handle: FileHandle } | undefined
  const removals = new Set<Promise<void>>()
  let loggedAt = Number.NEGATIVE_INFINITY

  const complain = (message: string, fields: Record<string, unknown>): void => {
    if (deps.now() - loggedAt < LOG_EVERY_MS) return
    loggedAt = deps.now()
    deps.log.warn(message, { word, ...fields })
  }

  const add = (entry: Entry): void => {
    const { entries } = entry.run
    const index = firstReaching(entries, entry.from)
    entries.splice(index, 0, entry)
    const count = entry.to - entry.from + 1
    entry.segment.entries.add(entry)
    entry.segment.bytes += entry.size
    entry.segment.events += count
    entry.segment.keptAt = Math.max(entry.segment.keptAt, entry.keptAt)
    bytes += entry.size
    events += count
  }

  /** It is not to be found any more; what it takes in its segment stays. */
  const forget = (entry: Entry): void => {
    const { entries } = entry.run
    const index = entries.indexOf(entry)
    if (index >= 0) entries.splice(index, 1)
    if (entries.length === 0) runs.delete(keyOf(entry.run))
    entry.segment.entries.delete(entry)
  }

  const runOf = (series: Omit<Series, 'word'>): Run => {
    const key = keyOf(series)
    const run = runs.get(key) ?? { publisher: series.publisher, epoch: series.epoch, entries: [] }
    runs.set(key, run)
    return run
  }

  const overlaps = (run: Run | undefined, { from, to }: Range): boolean => {
    const next = run?.entries[firstReaching(run.entries, from)]
    return next !== undefined && next.from <= to
  }

  const removeFile = (segment: Segment): void => {
    const removal = rm(join(folder, nameOf(segment.number)), { force: true })
      .catch((error: unknown) => complain('an old part of the history of events cannot be removed', { error }))
      .finally(() => removals.delete(removal))
    removals.add(removal)
  }

  const removeOldest = (): void => {
    const segment = segments.shift()
    if (segment === undefined) return
    for (const entry of [...segment.entries]) forget(entry)
    bytes -= segment.bytes
    events -= segment.events
    if (segment === current) current = undefined
    removeFile(segment)
  }

  const trim = (): void => {
    const oldest = deps.now() - bounds.maxAgeMs
    for (let first = segments[0]; first !== undefined; first = segments[0]) {
      if (bytes <= bounds.maxBytes && events <= bounds.maxEvents && first.keptAt > oldest) break
      removeOldest()
    }
  }

  const begin = (): Segment => {
    const segment = {
      number: (segments.at(-1)?.number ?? 0) + 1,
      bytes: 0,
      events: 0,
      keptAt: 0,
      entries: new Set<Entry>(),
    }
    segments.push(segment)
    return segment
  }

  const handleOf = async (segment: Segment): Promise<FileHandle> => {
    if (file?.segment === segment) return file.handle
    await file?.handle.close()
    file = undefined
    await mkdir(folder, { recursive: true, mode: DIRECTORY_MODE })
    const flags = constants.O_CREAT | constants.O_WRONLY | constants.O_TRUNC
    file = { segment, handle: await open(join(folder, nameOf(segment.number)), flags, FILE_MODE) }
    return file.handle
  }

  /** Writes those of `some` that belong to the first one's segment, in one write. @returns how many those are */
  const writeSome = async (some: readonly Entry[]): Promise<number> => {
    const segment = some[0]?.segment
    if (segment === undefined) return 0
    const end = some.findIndex((entry) => entry.segment !== segment)
    // A copy: more may come while it is written.
    const batch = some.slice(0, end < 0 ? some.length : end)
    if (!segments.includes(segment)) return batch.length
    try {
      const data = Buffer.concat(batch.map(({ record }) => record ?? new Uint8Array()))
      const handle = await handleOf(segment)
      const at = batch[0]?.at ?? 0
      for (let done = 0; done < data.length; ) {
        done += (await handle.write(data, done, data.length - done, at + done)).bytesWritten
      }
    } catch (error) {
      complain('events cannot be kept on disk', { error })
      for (const entry of batch) forget(entry)
      if (current === segment) current = undefined
    }
    // Removed before it was made.
    if (!segments.includes(segment)) removeFile(segment)
    return batch.length
  }

  const writeAll = async (): Promise<void> => {
    while (unwritten.length > 0) {
      const count = await writeSome(unwritten)
      for (const entry of unwritten.slice(0, count)) {
        unwrittenBytes -= entry.size
        entry.record = undefined
      }
      unwritten = unwritten.slice(count)
    }
    writing = undefined
  }

  /** Bytes of a segment; undefined where they cannot be read. */
  const readPart = async (
    handles: Map<Segment, FileHandle>,
    segment: Segment,
    at: number,
    size: number,
  ): Promise<Uint8Array | undefined> => {
    try {
      const handle = handles.get(segment) ?? (await open(join(folder, nameOf(segment.number)), 'r'))
      handles.set(segment, handle)
      const part = new Uint8Array(size)
      const { bytesRead } = await handle.read(part, 0, size, at)
      return part.subarray(0, bytesRead)
    } catch (error) {
      complain('a part of the history of events cannot be read', { error })
      return undefined
    }
  }

  /** Entries that lie behind one another in one segment, read at once. */
  const readRow = async (handles: Map<Segment, FileHandle>, row: readonly Entry[]): Promise<KeptBatch[]> => {
    const [first, last] = [row[0], row.at(-1)]
    if (first === undefined || last === undefined) return []
    const size = last.at + last.size - first.at
    const part = first.record === undefined ? await readPart(handles, first.segment, first.at, size) : undefined
    return row.flatMap((entry) => {
      const decoded =
        entry.record === undefined
          ? part === undefined
            ? undefined
            : decodeRecord(part, entry.at - first.at)
          : decodeRecord(entry.record, 0)
      const isIt = decoded?.record.range.from === entry.from && decoded.record.series.publisher === entry.run.publisher
      if (decoded === undefined || !isIt) {
        if (segments.includes(entry.segment)) {
          complain('a batch in the history of events is damaged', { segment: nameOf(entry.segment.number) })
        }
        forget(entry)
        return []
      }
      return [{ bytes: decoded.record.payload, ageMs: Math.max(0, deps.now() - entry.keptAt) }]
    })
  }

  const load = async (name: string): Promise<void> => {
    const segment = { number: Number.parseInt(name, 10), bytes: 0, events: 0, keptAt: 0, entries: new Set<Entry>() }
    segments.push(segment)
    const content = await readFile(join(folder, name))
    const { found, lost } = readRecords(content)
    if (lost > 0)
      deps.log.warn('a part of the history of events is damaged and left out', { word, file: name, bytes: lost })
    for (const { record, at, size } of found) {
      const run = runOf(record.series)
      if (overlaps(run, record.range)) continue
      const { keptAt, sentAt } = record
      add({ ...record.range, run, segment, at, size, keptAt, sentAt, record: undefined })
    }
    for (const [key, { entries }] of runs) if (entries.length === 0) runs.delete(key)
  }

  const names = await readdir(folder).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return []
    throw error
  })
  for (const name of names.filter((one) => NAME.test(one)).sort()) await load(name)
  trim()

  return {
    keep(series, range, payload, sentAt) {
      const count = range.to - range.from + 1
      if (payload.length > bounds.maxBytes || count > bounds.maxEvents) return
      if (overlaps(runs.get(keyOf(series)), range)) return
      if (unwrittenBytes + payload.length > MAX_UNWRITTEN_BYTES) {
        complain('the disk is too slow to keep all events', { bytes: payload.length })
        return
      }
      const keptAt = deps.now()
      const record = encodeRecord({ series, range, keptAt, sentAt, payload })
      if (current === undefined || current.bytes >= segmentBytes || current.events >= segmentEvents) current = begin()
      const { from, to } = range
      const run = runOf(series)
      const entry = { from, to, run, segment: current, at: current.bytes, size: record.length, keptAt, sentAt, record }
      add(entry)
      unwritten.push(entry)
      unwrittenBytes += record.length
      trim()
      writing ??= writeAll()
    },
    async find({ publisher, epoch }, range): Promise<Found> {
      trim()
      const entries = runs.get(keyOf({ publisher, epoch }))?.entries ?? []
      const rows: Entry[][] = []
      let size = 0
      let count = 0
      let more = false
      for (let at = firstReaching(entries, range.from); at < entries.length && !more; at += 1) {
        const entry = entries[at]
        if (entry === undefined || entry.from > range.to) break
        size += entry.size
        more = count > 0 && (size > MAX_FETCH_BYTES || count >= MAX_FETCH_BATCHES)
        if (more) break
        count += 1
        const row = rows.at(-1)
        const before = row?.at(-1)
        const follows = before?.segment === entry.segment && before.at + before.size === entry.at
        if (row !== undefined && follows && (before.record === undefined) === (entry.record === undefined))
          row.push(entry)
        else rows.push([entry])
      }
      const handles = new Map<Segment, FileHandle>()
      try {
        const batches: KeptBatch[] = []
        for (const row of rows) batches.push(...(await readRow(handles, row)))
        return { batches, more }
      } finally {
        for (const handle of handles.values()) await handle.close()
      }
    },
    list(since) {
      trim()
      return [...runs.values()].flatMap(({ publisher, epoch, entries }): Held[] => {
        const [first, last] = [entries[0], entries.at(-1)]
        if (first === undefined || last === undefined) return []
        const held = { publisher, word, epoch, from: first.from, to: last.to }
        return since === undefined ? [held] : [{ ...held, since: entries.find(({ sentAt }) => sentAt >= since)?.from }]
      })
    },
    figures: () => ({ bytes, events }),
    async close() {
      await writing
      await Promise.all(removals)
      await file?.handle.close()
      file = undefined
    },
  }
}
