/**
 * The segments of a log, as they lie on the disk: read as far as they are good, with what is wrong behind that. Changes
 * nothing, keeps no state.
 */
import type { LogState } from '../../protocols/consensus/storage.ts'
import { ParleyError } from '../../protocols/errors.ts'
import type { Disk } from './disk.ts'
import { decodeHeader, type FileHeader, FORMAT, HEADER_BYTES, readFrames } from './frames.ts'
import { applyPayload, emptyLog, isWhole } from './log-items.ts'

export interface Segment {
  readonly name: string
  readonly header: FileHeader
  /** Highest index of an entry in it. */
  lastIndex: number
}

export interface ReadSegments {
  /** What the good part comes to. */
  readonly state: LogState
  readonly segments: Segment[]
  /** Where the last good segment ends, and the checksum of its last frame. */
  readonly end: number
  readonly crc: number
  /** Bytes behind `end` that are no frame: a write that a crash cut off. */
  readonly torn: number
  /** A last file that was begun and has nothing whole in it: all that counts is in those before it. */
  readonly begun: string | undefined
  /** STA003 with `details`: `reason` `damaged` or `newer`, and the `file`. */
  readonly problem: ParleyError | undefined
}

const SEGMENT_NAME = /^\d{16}\.log$/

export const nameOf = (sequence: number): string => `${String(sequence).padStart(16, '0')}.log`
export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

export const refuse = (reason: string, message: string, hint: string, cause?: unknown): ParleyError =>
  new ParleyError('STA003', message, { hint, details: { reason }, ...(cause === undefined ? {} : { cause }) })

const damaged = (file: string, what: string, cause?: unknown): ParleyError =>
  new ParleyError('STA003', `the log is damaged: ${file} ${what}`, {
    hint: 'parley store verify shows what is left, parley store repair keeps it',
    details: { reason: 'damaged', file },
    ...(cause === undefined ? {} : { cause }),
  })

const sameDisk = (a: FileHeader, b: FileHeader): boolean => hex(a.storageId) === hex(b.storageId)

/** @throws STA003 for a file that does not follow the one before it */
const headerOf = (name: string, bytes: Uint8Array, before: Segment | undefined, crc: number): FileHeader => {
  const header = decodeHeader(bytes)
  if (header === undefined) throw damaged(name, 'has no header')
  if (header.format > FORMAT)
    throw refuse('newer', `${name} was written by a later version`, 'start the version that wrote it, or a later one')
  const follows =
    before === undefined ||
    (header.sequence === before.header.sequence + 1 && header.previous === crc && sameDisk(header, before.header))
  if (!follows || name !== nameOf(header.sequence)) throw damaged(name, 'does not follow the file before it')
  return header
}

export const readSegments = async (disk: Disk): Promise<ReadSegments> => {
  const state = emptyLog()
  const segments: Segment[] = []
  let [end, crc, torn] = [HEADER_BYTES, 0, 0]
  let begun: string | undefined
  const readOne = (name: string, bytes: Uint8Array, isLast: boolean): void => {
    const segment: Segment = { name, header: headerOf(name, bytes, segments.at(-1), crc), lastIndex: 0 }
    const frames = readFrames(bytes, segment.header)
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
      try {
        applyPayload(state, payload)
      } catch (error) {
        throw damaged(name, 'has an item that does not fit', error)
      }
      segment.lastIndex = Math.max(segment.lastIndex, state.entries.at(-1)?.index ?? 0)
    }
    end = frames.end
    crc = frames.crc
    torn = bytes.length - frames.end
    if (frames.fault === 'damaged' || (frames.fault === 'torn' && !isLast)) throw damaged(name, `at byte ${frames.end}`)
  }

  let problem: ParleyError | undefined
  try {
    const names = (await disk.list()).filter((name) => SEGMENT_NAME.test(name)).sort()
    for (const [i, name] of names.entries()) {
      const isLast = i === names.length - 1
      const bytes = await disk.read(name)
      // A file that ends within its header was begun when the process died; nothing was written into it yet.
      if (isLast && bytes.length <= HEADER_BYTES && decodeHeader(bytes) === undefined) begun = name
      else readOne(name, bytes, isLast)
    }
    if (!isWhole(state)) throw damaged(segments[0]?.name ?? '', 'begins after the snapshot: entries are missing')
  } catch (error) {
    if (!(error instanceof ParleyError)) throw error
    problem = error
  }
  return { state, segments, end, crc, torn, begun, problem }
}
