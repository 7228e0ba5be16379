/**
 * The history of one first word on disk: segments that are only appended to, and removed as a whole when the history is
 * larger or older than it may be (history-index.ts).
 *
 * Best effort: batches are written one write after another, not synced, so that a crash may lose the last of them, and a
 * full disk loses what cannot be written; each record has a checksum (history-records.ts) that is looked at when the
 * history is opened and again when the record is read, so that what is damaged is missing, and never something else.
 * What is caught up goes into segments of its own: the oldest goes first, whenever it came.
 * State: where each batch lies, those that are not written yet, at most MAX_UNWRITTEN_BYTES of them; two open files.
 */
import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type {
  ChannelHistory,
  FoundBatches,
  HistoryBounds,
  KeptBatch,
} from '../../../protocols/events/history/history-contract.ts'
import type { Log } from '../../../protocols/port.ts'
import { DIRECTORY_MODE, FILE_MODE, systemCode } from '../../platform/private-file.ts'
import { createHistoryIndex, type HistoryEntry, type HistorySegment } from './history-index.ts'
import { decodeRecord, encodeRecord, readRecords } from './history-records.ts'

const NAME = /^\d{12}\.history$/
const MAX_SEGMENT_BYTES = 8 * 1024 * 1024
const MIN_SEGMENT_BYTES = 64 * 1024
/** Of a history: what goes at a time. */
const SEGMENT_SHARE = 8
export const MAX_UNWRITTEN_BYTES = 32 * 1024 * 1024
const LOG_EVERY_MS = 10_000

const nameOf = ({ number }: HistorySegment): string => `${String(number).padStart(12, '0')}.history`

/** Opens what is there. @throws what reading the folder throws, but for one that is not there */
export const openHistoryLog = async (
  folder: string,
  word: string,
  bounds: HistoryBounds,
  deps: { now(): number; log: Log },
): Promise<ChannelHistory> => {
  const shareBytes = Math.floor(bounds.maxBytes / SEGMENT_SHARE)
  const segmentBytes = Math.min(MAX_SEGMENT_BYTES, Math.max(MIN_SEGMENT_BYTES, shareBytes))
  const segmentEvents = Math.max(1, Math.floor(bounds.maxEvents / SEGMENT_SHARE))
  const removals = new Set<Promise<void>>()
  /** What is appended to, by what it is of. */
  const current: { heard?: HistorySegment | undefined; caughtUp?: HistorySegment | undefined } = {}
  let unwritten: HistoryEntry[] = []
  let unwrittenBytes = 0
  let writing: Promise<void> | undefined
  const files = new Map<HistorySegment, FileHandle>()
  let loggedAt = Number.NEGATIVE_INFINITY

  const complain = (message: string, fields: Record<string, unknown>): void => {
    if (deps.now() - loggedAt < LOG_EVERY_MS) return
    loggedAt = deps.now()
    deps.log.warn(message, { word, ...fields })
  }

  const isCurrent = (segment: HistorySegment): boolean => segment === current.heard || segment === current.caughtUp
  const retire = (segment: HistorySegment): void => {
    if (segment === current.heard) current.heard = undefined
    if (segment === current.caughtUp) current.caughtUp = undefined
  }

  const removeFile = (segment: HistorySegment): void => {
    retire(segment)
    const removal = rm(join(folder, nameOf(segment)), { force: true })
      .catch((error: unknown) => complain('an old part of the history of events cannot be removed', { error }))
      .finally(() => removals.delete(removal))
    removals.add(removal)
  }
  const index = createHistoryIndex(bounds, deps.now, removeFile)

  const handleOf = async (segment: HistorySegment): Promise<FileHandle> => {
    const known = files.get(segment)
    if (known !== undefined) return known
    // What waits is of one of these two, or of one that is full: that one was opened before.
    for (const [other, handle] of files) {
      if (isCurrent(other) || unwritten.some((entry) => entry.segment === other)) continue
      files.delete(other)
      await handle.close()
    }
    await mkdir(folder, { recursive: true, mode: DIRECTORY_MODE })
    const flags = constants.O_CREAT | constants.O_WRONLY | constants.O_TRUNC
    const made = await open(join(folder, nameOf(segment)), flags, FILE_MODE)
    files.set(segment, made)
    return made
  }

  /** Writes those of `some` that belong to the first one's segment, in one write. @returns how many those are */
  const writeSome = async (some: readonly HistoryEntry[]): Promise<number> => {
    const segment = some[0]?.segment
    if (segment === undefined) return 0
    const end = some.findIndex((entry) => entry.segment !== segment)
    // A copy: more may come while it is written.
    const batch = some.slice(0, end < 0 ? some.length : end)
    if (!index.has(segment)) return batch.length
    try {
      const data = Buffer.concat(batch.map(({ record }) => record ?? new Uint8Array()))
      const handle = await handleOf(segment)
      const at = batch[0]?.at ?? 0
      for (let done = 0; done < data.length; ) {
        done += (await handle.write(data, done, data.length - done, at + done)).bytesWritten
      }
    } catch (error) {
      complain('events cannot be kept on disk', { error })
      for (const entry of batch) index.forget(entry)
      // What follows goes into another file.
      retire(segment)
    }
    // Removed before it was made.
    if (!index.has(segment)) removeFile(segment)
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
    handles: Map<HistorySegment, FileHandle>,
    segment: HistorySegment,
    at: number,
    size: number,
  ): Promise<Uint8Array | undefined> => {
    try {
      const handle = handles.get(segment) ?? (await open(join(folder, nameOf(segment)), 'r'))
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
  const readRow = async (
    handles: Map<HistorySegment, FileHandle>,
    row: readonly HistoryEntry[],
  ): Promise<KeptBatch[]> => {
    const [first, last] = [row[0], row.at(-1)]
    if (first === undefined || last === undefined) return []
    const size = last.at + last.size - first.at
    const part = first.record === undefined ? await readPart(handles, first.segment, first.at, size) : undefined
    return row.flatMap((entry) => {
      const { record, run, from } = entry
      const decoded = record === undefined ? part && decodeRecord(part, entry.at - first.at) : decodeRecord(record, 0)
      if (decoded?.record.range.from === from && decoded.record.series.publisher === run.publisher) {
        return [{ bytes: decoded.record.payload, ageMs: Math.max(0, deps.now() - entry.keptAt) }]
      }
      if (index.has(entry.segment))
        complain('a batch in the history of events is damaged', { file: nameOf(entry.segment) })
      index.forget(entry)
      return []
    })
  }

  const load = async (name: string): Promise<void> => {
    const segment = index.begin(0, Number.parseInt(name, 10))
    const { found, lost } = readRecords(await readFile(join(folder, name)))
    if (lost > 0) {
      deps.log.warn('a part of the history of events is damaged and left out', { word, file: name, bytes: lost })
    }
    for (const { record, at, size } of found) {
      const { series, range, keptAt, sentAt } = record
      if (!index.overlaps(series, range)) {
        index.add(series, { ...range, segment, at, size, keptAt, sentAt, record: undefined })
      }
    }
  }

  const names = await readdir(folder).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return []
    throw error
  })
  for (const name of names.filter((one) => NAME.test(one)).sort()) await load(name)
  index.sort()
  index.trim()

  return {
    keep(series, range, payload, sentAt, ageMs = 0) {
      if (payload.length > bounds.maxBytes || range.to - range.from + 1 > bounds.maxEvents) return false
      if (ageMs >= bounds.maxAgeMs || index.overlaps(series, range)) return false
      if (unwrittenBytes + payload.length > MAX_UNWRITTEN_BYTES) {
        complain('the disk is too slow to keep all events', { bytes: payload.length })
        return false
      }
      const keptAt = deps.now() - ageMs
      const record = encodeRecord({ series, range, keptAt, sentAt, payload })
      const which = ageMs === 0 ? 'heard' : 'caughtUp'
      // It would go first.
      if (index.isFull(record.length, range) && keptAt < (index.oldest()?.keptAt ?? 0)) return false
      let segment = current[which]
      if (segment === undefined || segment.bytes >= segmentBytes || segment.events >= segmentEvents) {
        segment = index.begin(keptAt)
        current[which] = segment
      }
      const place = { segment, at: segment.bytes, size: record.length }
      unwritten.push(index.add(series, { from: range.from, to: range.to, ...place, keptAt, sentAt, record }))
      unwrittenBytes += record.length
      index.trim()
      writing ??= writeAll()
      return true
    },
    holds: index.overlaps,
    async find(series, range): Promise<FoundBatches> {
      index.trim()
      const { rows, more } = index.select(series, range)
      const handles = new Map<HistorySegment, FileHandle>()
      try {
        const batches: KeptBatch[] = []
        for (const row of rows) batches.push(...(await readRow(handles, row)))
        return { batches, more }
      } finally {
        for (const handle of handles.values()) await handle.close()
      }
    },
    list(since) {
      index.trim()
      return index.list(word, since)
    },
    figures: index.figures,
    oldestAt: () => index.oldest()?.keptAt,
    dropOldest: index.dropOldest,
    async close() {
      await writing
      await Promise.all(removals)
      for (const handle of files.values()) await handle.close()
      files.clear()
    },
  }
}
