/**
 * The segments of a log, as they lie on the disk: read as far as they are good, with what is wrong behind that. What a
 * payload means is its reader's. Changes nothing, keeps no state.
 */
import { ParleyError } from '../../../protocols/errors.ts'
import type { StateReason } from '../../../protocols/state-reasons.ts'
import type { Disk } from '../files/disk.ts'
import {
  decodeHeader,
  isEmptyFrom,
  LOG_FORMAT,
  LOG_HEADER_BYTES,
  type LogFileHeader,
  readFrames,
} from './log-frames.ts'
import { type GoodPart, LOG_MARKER_FILE, missingByMarker, type ReadLogMarker, readLogMarker } from './log-marker.ts'

/** Whoever knows what the payloads of a log mean. */
export interface LogReader {
  /**
   * Told of each payload in its order, besides those of seals.
   * @param sequence of the segment that it is in
   * @returns the highest number of what is in it, 0 for none: segments are kept as long as what they hold counts
   * @throws for one that does not fit what came before
   */
  apply(payload: Uint8Array, sequence: number): number
  /** Told once all was read: everything up to this number is kept elsewhere, and may be missing here. */
  covered(): number
  /** Told once all was read: what is missing, for a person. */
  missing(): string | undefined
}

export interface LogSegment {
  readonly name: string
  readonly header: LogFileHeader
  /** Highest number of what is in it. */
  reach: number
  /** Of the file. */
  bytes: number
}

export interface LogSegments {
  readonly segments: LogSegment[]
  /** Where the last good segment ends, and the checksum of its last frame. */
  readonly end: number
  readonly crc: number
  /** Of the last good segment's file: behind `end` there may be zeros. */
  readonly size: number
  /** Bytes behind `end` that are no frame: a write that a crash cut off. */
  readonly torn: number
  /** A last file that was begun and has nothing whole in it: all that counts is in those before it. */
  readonly begun: string | undefined
  /** The last frame is an empty one, or there is none. */
  readonly isSealed: boolean
  /** How far the log should go at least. */
  readonly mark: ReadLogMarker
  /** STA003 with `details`: `reason` `damaged` or `newer`, and the `file`. */
  readonly problem: ParleyError | undefined
}

const SEGMENT_NAME = /^\d{16}\.log$/
export const isSegmentName = (name: string): boolean => SEGMENT_NAME.test(name)

export const segmentName = (sequence: number): string => `${String(sequence).padStart(16, '0')}.log`
export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

export const storeError = (reason: StateReason, message: string, hint: string, cause?: unknown): ParleyError =>
  new ParleyError('STA003', message, { hint, details: { reason }, ...(cause === undefined ? {} : { cause }) })

const damaged = (file: string, what: string, cause?: unknown): ParleyError =>
  new ParleyError('STA003', `the log is damaged: ${file} ${what}`, {
    hint: 'parley store verify shows what is left, parley store repair keeps it',
    details: { reason: 'damaged', file },
    ...(cause === undefined ? {} : { cause }),
  })

/** What the mark beside the log, and the beginning of its first file, miss in a log whose files are good. @throws STA003 */
const checkWhole = (mark: ReadLogMarker, good: GoodPart, segments: readonly LogSegment[], reader: LogReader): void => {
  const missed = missingByMarker(mark, good, LOG_HEADER_BYTES)
  if (missed !== undefined) throw damaged(segments.at(-1)?.name ?? LOG_MARKER_FILE, missed)
  const [first] = segments
  const missing = reader.missing()
  const hasGap = (first?.header.before ?? 0) > reader.covered()
  if (hasGap || missing !== undefined)
    throw damaged(first?.name ?? '', missing ?? 'begins too late: entries are missing')
}

/** Nothing was ever written into it but zeros. */
const isUnwritten = (bytes: Uint8Array): boolean =>
  decodeHeader(bytes) === undefined && (bytes.length <= LOG_HEADER_BYTES || isEmptyFrom(bytes, 0))

const sameDisk = (a: LogFileHeader, b: LogFileHeader): boolean => hex(a.storageId) === hex(b.storageId)

/** @throws STA003 for a file that does not follow the one before it */
const headerOf = (name: string, bytes: Uint8Array, before: LogSegment | undefined, crc: number): LogFileHeader => {
  const header = decodeHeader(bytes)
  if (header === undefined) throw damaged(name, 'has no header')
  if (header.format > LOG_FORMAT)
    throw storeError(
      'newer',
      `${name} was written by a later version`,
      'start the version that wrote it, or a later one',
    )
  const follows =
    before === undefined ||
    (header.sequence === before.header.sequence + 1 && header.previous === crc && sameDisk(header, before.header))
  if (!follows || name !== segmentName(header.sequence)) throw damaged(name, 'does not follow the file before it')
  return header
}

export const readSegments = async (disk: Disk, reader: LogReader): Promise<LogSegments> => {
  const segments: LogSegment[] = []
  const mark = await readLogMarker(disk)
  const marked = mark.kind === 'whole' ? mark.value : undefined
  let [end, crc, torn, size] = [LOG_HEADER_BYTES, 0, 0, 0]
  let begun: string | undefined
  let crcAtMark: number | undefined
  let [isSealed, wasMarked] = [true, false]
  const readOne = (name: string, bytes: Uint8Array, isLast: boolean): void => {
    const segment: LogSegment = {
      name,
      header: headerOf(name, bytes, segments.at(-1), crc),
      reach: 0,
      bytes: bytes.length,
    }
    const isMarked = segment.header.sequence === marked?.sequence
    const frames = readFrames(bytes, segment.header, isMarked ? marked.end : undefined)
    if (isMarked) crcAtMark = frames.crcAt
    wasMarked ||= segment.header.marked === true
    if (frames.payloads.length === 0 && frames.fault !== 'damaged') {
      // Its first frame says what those before it come to: without that it must not outlive them.
      if (isLast && segments.length > 0) {
        begun = name
        return
      }
      if (segment.header.sequence > 1) throw damaged(name, 'has lost what it began with')
    }
    segments.push(segment)
    for (const payload of frames.payloads) {
      isSealed = payload.length === 0
      wasMarked ||= isSealed
      if (isSealed) continue
      try {
        segment.reach = Math.max(segment.reach, reader.apply(payload, segment.header.sequence))
      } catch (error) {
        throw damaged(name, 'has an item that does not fit', error)
      }
    }
    end = frames.end
    crc = frames.crc
    torn = frames.fault === undefined ? 0 : bytes.length - frames.end
    size = bytes.length
    if (frames.fault === 'damaged' || (frames.fault === 'torn' && !isLast)) throw damaged(name, `at byte ${frames.end}`)
  }

  let problem: ParleyError | undefined
  try {
    if (mark.kind === 'newer')
      throw storeError(
        'newer',
        'its mark was written by a later version',
        'start the version that wrote it, or a later one',
      )
    const names = (await disk.list()).filter(isSegmentName).sort()
    // A file without a header was made when the process died: the one before it is the last one.
    const newest = names.pop()
    const written = newest === undefined ? new Uint8Array() : await disk.read(newest)
    const isBegun = isUnwritten(written)
    if (isBegun) begun = newest
    for (const [i, name] of names.entries()) readOne(name, await disk.read(name), isBegun && i === names.length - 1)
    if (newest !== undefined && !isBegun) readOne(newest, written, true)
    const [first, last] = [segments[0]?.header, segments.at(-1)?.header]
    const id = first && hex(first.storageId)
    const [firstSequence, lastSequence] = [first?.sequence ?? 0, last?.sequence ?? 0]
    checkWhole(mark, { id, firstSequence, lastSequence, end, crcAtMark, wasMarked }, segments, reader)
  } catch (error) {
    if (!(error instanceof ParleyError)) throw error
    problem = error
  }
  return { segments, end, crc, size, torn, begun, isSealed, mark, problem }
}
