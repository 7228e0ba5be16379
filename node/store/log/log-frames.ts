/**
 * The form of a log's files: a header, then frames that follow one another. Pure.
 *
 * A frame is what was made durable by one write: magic, length, the checksum of the frame before, its own checksum, the
 * payload, zeros up to a multiple of 8. Checksums are CRC-32 (ISO 3309) over a salt of the file, the checksum before, the
 * length and the payload, so that a frame of another file or another place is none here.
 *
 * A write that a crash cut off leaves a tail that is no frame, and nothing after it, since the next write waits for the
 * one before. So a bad frame with a good one behind it is damage, and so is one that a file goes on behind. A bad frame at
 * the end is a torn tail, or was durable and is lost: a mark beside the log (log-marker.ts) tells the two apart, and an empty
 * frame, the seal, stands behind the last record while nothing is written. The salt keeps what users write into the log
 * from looking like a frame. A file may end in zeros, room that was made before it was needed.
 */
import { crc32 } from 'node:zlib'
import { ParleyError } from '../../../protocols/errors.ts'

const HEADER_MAGIC = 0x50_4c_53_31
const FRAME_MAGIC = 0x50_4c_46_31
export const LOG_FORMAT = 1
export const LOG_HEADER_BYTES = 64
/** Bytes before a payload in its frame. */
export const FRAME_HEAD = 16
const ALIGN = 8
export const SALT_BYTES = 8
export const ID_BYTES = 16
/** One write; a larger length is no frame. */
export const MAX_PAYLOAD = 1024 * 1024 * 1024

/** What is kept for the next frame. */
const MIN_ROOM = 64 * 1024
const MAX_ROOM = 2 * 1024 * 1024

export interface LogFileHeader {
  readonly format: number
  readonly sequence: number
  readonly salt: Uint8Array
  /** Of the disk's contents as a whole; another one is another disk. */
  readonly storageId: Uint8Array
  /** Checksum of the last frame of the file before. */
  readonly previous: number
  /** There is a mark beside this log, and it was durable before this file. Files of older versions say nothing. */
  readonly marked?: boolean
  /** Highest number of what is in the files before; 0: none, or an older version wrote it. */
  readonly before?: number
}

const MARKED = 1
const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

export const encodeHeader = (header: LogFileHeader): Uint8Array => {
  const { format, sequence, salt, storageId, previous, marked = false, before = 0 } = header
  const bytes = new Uint8Array(LOG_HEADER_BYTES)
  const view = viewOf(bytes)
  view.setUint32(0, HEADER_MAGIC)
  view.setUint32(4, format)
  view.setBigUint64(8, BigInt(sequence))
  bytes.set(salt, 16)
  bytes.set(storageId, 24)
  view.setUint32(40, previous)
  view.setUint32(44, marked ? MARKED : 0)
  view.setBigUint64(48, BigInt(before))
  view.setUint32(LOG_HEADER_BYTES - 4, crc32(bytes.subarray(0, LOG_HEADER_BYTES - 4)))
  return bytes
}

/** @returns undefined for what is no header, or a damaged one */
export const decodeHeader = (bytes: Uint8Array): LogFileHeader | undefined => {
  if (bytes.length < LOG_HEADER_BYTES) return undefined
  const view = viewOf(bytes)
  const isWhole = view.getUint32(LOG_HEADER_BYTES - 4) === crc32(bytes.subarray(0, LOG_HEADER_BYTES - 4))
  if (!isWhole || view.getUint32(0) !== HEADER_MAGIC) return undefined
  return {
    format: view.getUint32(4),
    sequence: Number(view.getBigUint64(8)),
    salt: bytes.slice(16, 16 + SALT_BYTES),
    storageId: bytes.slice(24, 24 + ID_BYTES),
    previous: view.getUint32(40),
    marked: (view.getUint32(44) & MARKED) !== 0,
    before: Number(view.getBigUint64(48)),
  }
}

const checksum = (salt: Uint8Array, head: Uint8Array, payload: Uint8Array): number =>
  crc32(payload, crc32(head, crc32(salt)))

const paddedSize = (payload: number): number => Math.ceil((FRAME_HEAD + payload) / ALIGN) * ALIGN

/** A payload with room for the rest of its frame around it, so that nothing has to be copied. */
export interface FrameBuffer {
  /** From FRAME_HEAD on the payload, behind it zeros. */
  readonly bytes: Uint8Array
  /** Of the payload. */
  readonly length: number
}

/**
 * @param length of the payload that is going to be written at FRAME_HEAD
 * @throws COM003 for one that could not be read again
 */
export const frameBuffer = (length: number): FrameBuffer => {
  if (length > MAX_PAYLOAD)
    throw new ParleyError('COM003', `${length} bytes are too much for one write`, { hint: 'write less at once' })
  const bytes = Buffer.allocUnsafeSlow(paddedSize(length))
  bytes.fill(0, FRAME_HEAD + length)
  return { bytes, length }
}

/** Room for frames that are used up one after the other. State: that room. */
export class FrameRoom {
  #bytes = Buffer.allocUnsafeSlow(MIN_ROOM)

  /** As `frameBuffer`; good until the next one. */
  frame(length: number): FrameBuffer {
    const size = paddedSize(length)
    if (size > MAX_ROOM) return frameBuffer(length)
    if (size > this.#bytes.length) this.#bytes = Buffer.allocUnsafeSlow(Math.min(2 * size, MAX_ROOM))
    const bytes = this.#bytes.subarray(0, size)
    bytes.fill(0, FRAME_HEAD + length)
    return { bytes, length }
  }
}

/** A copy. */
export const frameOf = (payload: Uint8Array): FrameBuffer => {
  const frame = frameBuffer(payload.length)
  frame.bytes.set(payload, FRAME_HEAD)
  return frame
}

/** Completes a frame where it is. @returns its checksum */
export const sealFrame = ({ bytes, length }: FrameBuffer, salt: Uint8Array, previous: number): number => {
  const view = viewOf(bytes)
  view.setUint32(0, FRAME_MAGIC)
  view.setUint32(4, length)
  view.setUint32(8, previous)
  const crc = checksum(salt, bytes.subarray(4, 12), bytes.subarray(FRAME_HEAD, FRAME_HEAD + length))
  view.setUint32(12, crc)
  return crc
}

export const encodeFrame = (
  salt: Uint8Array,
  previous: number,
  payload: Uint8Array,
): { bytes: Uint8Array; crc: number } => {
  const frame = frameOf(payload)
  return { bytes: frame.bytes, crc: sealFrame(frame, salt, previous) }
}

export interface LogFrame {
  readonly payload: Uint8Array
  readonly previous: number
  readonly crc: number
  readonly end: number
}

const frameAt = (bytes: Uint8Array, view: DataView, at: number, salt: Uint8Array): LogFrame | undefined => {
  if (at + FRAME_HEAD > bytes.length || view.getUint32(at) !== FRAME_MAGIC) return undefined
  const length = view.getUint32(at + 4)
  const end = at + paddedSize(length)
  if (length > MAX_PAYLOAD || end > bytes.length) return undefined
  const payload = bytes.subarray(at + FRAME_HEAD, at + FRAME_HEAD + length)
  const crc = view.getUint32(at + 12)
  if (crc !== checksum(salt, bytes.subarray(at + 4, at + 12), payload)) return undefined
  if (bytes.subarray(at + FRAME_HEAD + length, end).some((byte) => byte !== 0)) return undefined
  return { payload, previous: view.getUint32(at + 8), crc, end }
}

/** The frame that these bytes begin with. @returns undefined: there is no good one */
export const decodeFrame = (
  bytes: Uint8Array,
  salt: Uint8Array,
): Pick<LogFrame, 'payload' | 'previous' | 'crc' | 'end'> | undefined => frameAt(bytes, viewOf(bytes), 0, salt)

export interface LogFrames {
  readonly payloads: Uint8Array[]
  /** Where the good part ends, and the checksum of its last frame. */
  readonly end: number
  readonly crc: number
  /** Undefined: the good part is all there is. `damaged`: there are frames behind what is bad. */
  readonly fault: 'torn' | 'damaged' | undefined
  /** Checksum of the frame that ends where it was asked for; undefined: none does. */
  readonly crcAt: number | undefined
}

const ZEROS = new Uint8Array(64 * 1024)

/** Whether nothing but zeros is there from `at` on. */
export const isEmptyFrom = (bytes: Uint8Array, at: number): boolean => {
  for (let from = at; from < bytes.length; from += ZEROS.length) {
    const part = bytes.subarray(from, from + ZEROS.length)
    if (Buffer.compare(part, ZEROS.subarray(0, part.length)) !== 0) return false
  }
  return true
}

/** Whether the frame that should be here was followed by more: then it was whole once. A length is not torn from its magic. */
const wentOn = (bytes: Uint8Array, view: DataView, at: number): boolean => {
  if (at + FRAME_HEAD > bytes.length || view.getUint32(at) !== FRAME_MAGIC) return false
  const length = view.getUint32(at + 4)
  return length <= MAX_PAYLOAD && !isEmptyFrom(bytes, at + paddedSize(length))
}

/** Whether there is a good frame anywhere from `from` on. */
const hasFrameAfter = (bytes: Uint8Array, view: DataView, from: number, salt: Uint8Array): boolean => {
  for (let at = from; at + FRAME_HEAD <= bytes.length; at += ALIGN)
    if (frameAt(bytes, view, at, salt) !== undefined) return true
  return false
}

/**
 * @param bytes a whole file with its header
 * @param asked an offset, where `crcAt` is wanted
 */
export const readFrames = (bytes: Uint8Array, { salt, previous }: LogFileHeader, asked?: number): LogFrames => {
  const view = viewOf(bytes)
  const payloads: Uint8Array[] = []
  let at = LOG_HEADER_BYTES
  let crc = previous
  let crcAt: number | undefined
  while (at < bytes.length) {
    const frame = frameAt(bytes, view, at, salt)
    if (frame === undefined || frame.previous !== crc) {
      if (isEmptyFrom(bytes, at)) break
      const isDamaged = frame !== undefined || wentOn(bytes, view, at) || hasFrameAfter(bytes, view, at + ALIGN, salt)
      return { payloads, end: at, crc, fault: isDamaged ? 'damaged' : 'torn', crcAt }
    }
    payloads.push(frame.payload)
    at = frame.end
    crc = frame.crc
    if (at === asked) crcAt = crc
  }
  return { payloads, end: at, crc, fault: undefined, crcAt }
}

/** All good frames of a file, whatever lies between them. For what is damaged: nothing says that none is missing. */
export const salvageFrames = function* (
  bytes: Uint8Array,
  salt: Uint8Array,
): Generator<LogFrame & { readonly at: number }> {
  const view = viewOf(bytes)
  for (let at = LOG_HEADER_BYTES; at + FRAME_HEAD <= bytes.length; ) {
    const frame = frameAt(bytes, view, at, salt)
    if (frame !== undefined) yield { ...frame, at }
    at = frame?.end ?? at + ALIGN
  }
}
