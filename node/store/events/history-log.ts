/**
 * The history of one first word on disk: segments (history-segment.ts) that are only appended to, and removed as a whole when
 * the history is larger or older than it may be (history-index.ts).
 *
 * Best effort: batches are written one write after another, not synced, so that a crash may lose the last of them, and a
 * full disk loses what cannot be written; the checksum of each is looked at when it is read, so that what is damaged is
 * missing, and never something else. Opening reads the index that a segment ends with; one that a crash left without is read
 * whole, once, and gets it then. What is caught up goes into segments of its own: the oldest goes first, whenever it came.
 * State: where each batch lies, those that are not written yet, at most MAX_UNWRITTEN_BYTES of them; two open files.
 */
import type {
  ChannelHistory,
  FoundBatches,
  HistoryBounds,
  KeptBatch,
} from '../../../protocols/events/history/history-contract.ts'
import type { Log } from '../../../protocols/port.ts'
import type { Disk, DiskFile } from '../files/disk.ts'
import { SALT_BYTES } from '../log/log-frames.ts'
import { segmentName } from '../log/log-segments.ts'
import { removeUnfinishedFile } from '../log/log-tail.ts'
import { openSegments } from './history-files.ts'
import { createHistoryIndex, type HistoryEntry, type HistorySegment } from './history-index.ts'
import { decodeBatch, encodeBatch, encodeEnd, segmentHeader } from './history-segment.ts'

const MAX_SEGMENT_BYTES = 8 * 1024 * 1024
const MIN_SEGMENT_BYTES = 64 * 1024
/** Of a history: what goes at a time. */
const SEGMENT_SHARE = 8
export const MAX_UNWRITTEN_BYTES = 32 * 1024 * 1024
const LOG_EVERY_MS = 10_000

const nameOf = ({ number }: HistorySegment): string => segmentName(number)

export interface HistoryDeps {
  /** Of the wall, milliseconds since 1970. */
  now(): number
  readonly log: Log
  readonly random: (bytes: number) => Uint8Array
}

/**
 * Opens what is there.
 * @throws STA003 with `details.reason` `newer` for a format of a later version; what the disk says
 */
export const openHistoryLog = async (
  disk: Disk,
  word: string,
  bounds: HistoryBounds,
  deps: HistoryDeps,
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
  const files = new Map<HistorySegment, DiskFile>()
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
    const removal = disk
      .remove(nameOf(segment))
      .catch((error: unknown) => complain('an old part of the history of events cannot be removed', { error }))
      .finally(() => removals.delete(removal))
    removals.add(removal)
  }
  const index = createHistoryIndex(bounds, deps.now, removeFile)

  /** Nothing is appended to it any more. */
  const finish = async (segment: HistorySegment, file: DiskFile): Promise<void> => {
    retire(segment)
    files.delete(segment)
    try {
      if (segment.isWhole && index.has(segment))
        await file.write(encodeEnd(index.batches(segment), segment.bytes, segment), segment.bytes)
    } catch (error) {
      complain('a part of the history of events has no index; it is read whole when it is opened', { error })
    } finally {
      await file.close()
    }
  }

  const fileOf = async (segment: HistorySegment): Promise<DiskFile> => {
    const known = files.get(segment)
    if (known !== undefined) return known
    // What waits is of one of these two, or of one that is full: that one was opened before.
    for (const [other, file] of files) {
      if (isCurrent(other) || unwritten.some((entry) => entry.segment === other)) continue
      await finish(other, file)
    }
    const name = nameOf(segment)
    const file = await disk.create(name)
    try {
      await file.write(segmentHeader(segment.number, segment.salt), 0)
    } catch (error) {
      // What waits behind this one makes it again: without its header nothing of it could be read.
      await removeUnfinishedFile(disk, { file, segment: { name } })
      throw error
    }
    files.set(segment, file)
    return file
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
      const file = await fileOf(segment)
      await file.write(data, batch[0]?.at ?? 0)
    } catch (error) {
      complain('events cannot be kept on disk', { error })
      segment.isWhole = false
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
    opened: Map<HistorySegment, DiskFile>,
    segment: HistorySegment,
    at: number,
    size: number,
  ): Promise<Uint8Array | undefined> => {
    try {
      const file = opened.get(segment) ?? (await disk.open(nameOf(segment)))
      opened.set(segment, file)
      return await file.read(size, at)
    } catch (error) {
      complain('a part of the history of events cannot be read', { error })
      return undefined
    }
  }

  /** Entries that lie behind one another in one segment, read at once. */
  const readRow = async (opened: Map<HistorySegment, DiskFile>, row: readonly HistoryEntry[]): Promise<KeptBatch[]> => {
    const [first, last] = [row[0], row.at(-1)]
    if (first === undefined || last === undefined) return []
    const size = last.at + last.size - first.at
    const part = first.record === undefined ? await readPart(opened, first.segment, first.at, size) : undefined
    return row.flatMap((entry) => {
      const { record, run, from, segment } = entry
      const at = entry.at - first.at
      const bytes = record ?? part?.subarray(at, at + entry.size)
      const batch = bytes && decodeBatch(bytes, segment.salt)
      if (batch?.range.from === from && batch.series.publisher === run.publisher)
        return [{ bytes: batch.payload, ageMs: Math.max(0, deps.now() - entry.keptAt) }]
      if (index.has(segment)) complain('a batch in the history of events is damaged', { file: nameOf(segment) })
      index.forget(entry)
      return []
    })
  }

  for (const { number, salt, found, lost } of await openSegments(disk, deps.random)) {
    if (lost > 0) {
      const fields = { word, file: segmentName(number), bytes: lost }
      deps.log.warn('a part of the history of events is damaged and left out', fields)
    }
    const segment = index.begin(0, salt, number)
    for (const { series, range, ...place } of found)
      if (!index.overlaps(series, range)) index.add(series, { ...range, ...place, segment, record: undefined })
  }
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
      const keptAt = Math.max(0, Math.round(deps.now() - ageMs))
      const which = ageMs === 0 ? 'heard' : 'caughtUp'
      // It would go first.
      if (index.isFull(payload.length, range) && keptAt < (index.oldest()?.keptAt ?? 0)) return false
      let segment = current[which]
      if (segment === undefined || segment.bytes >= segmentBytes || segment.events >= segmentEvents) {
        segment = index.begin(keptAt, deps.random(SALT_BYTES))
        current[which] = segment
      }
      const { bytes: record, crc } = encodeBatch({ series, range, keptAt, sentAt, payload }, segment)
      segment.crc = crc
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
      const opened = new Map<HistorySegment, DiskFile>()
      try {
        const batches: KeptBatch[] = []
        for (const row of rows) batches.push(...(await readRow(opened, row)))
        return { batches, more }
      } finally {
        for (const file of opened.values()) await file.close()
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
      while (writing !== undefined) await writing
      await Promise.all([...files].map(([segment, file]) => finish(segment, file)))
      await Promise.all(removals)
    },
  }
}
