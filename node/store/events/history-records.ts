/**
 * The form of a segment of history: records one after another, each with a checksum of its own (CRC-32, ISO 3309), so that
 * one that is damaged or torn is left out and those behind it are still found. Pure.
 */
import { crc32 } from 'node:zlib'
import type { EventSeries, SequenceRange } from '../../../protocols/events/series.ts'

const MAGIC = 0x50_45_48_31
/** Magic, checksum, lengths, epoch, first number, count, two times. */
const HEAD_BYTES = 56
const MAX_PAYLOAD = 2 * 1024 * 1024
const MAX_PUBLISHER = 512

export interface HistoryRecord {
  readonly series: Omit<EventSeries, 'word'>
  readonly range: SequenceRange
  /** Milliseconds since 1970: when it was written here, and when its publisher sent it. */
  readonly keptAt: number
  readonly sentAt: number
  readonly payload: Uint8Array
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

export const encodeRecord = ({ series, range, keptAt, sentAt, payload }: HistoryRecord): Uint8Array => {
  const publisher = Buffer.from(series.publisher)
  const bytes = new Uint8Array(HEAD_BYTES + publisher.length + payload.length)
  const view = viewOf(bytes)
  view.setUint32(0, MAGIC)
  view.setUint32(8, payload.length)
  view.setUint16(12, publisher.length)
  view.setFloat64(16, series.epoch)
  view.setFloat64(24, range.from)
  view.setUint32(32, range.to - range.from + 1)
  view.setFloat64(40, keptAt)
  view.setFloat64(48, sentAt)
  bytes.set(publisher, HEAD_BYTES)
  bytes.set(payload, HEAD_BYTES + publisher.length)
  view.setUint32(4, crc32(bytes.subarray(8)))
  return bytes
}

/** The record at `at`, with its size; undefined where there is no whole one. */
export const decodeRecord = (bytes: Uint8Array, at: number): { record: HistoryRecord; size: number } | undefined => {
  if (at + HEAD_BYTES > bytes.length) return undefined
  const view = viewOf(bytes)
  if (view.getUint32(at) !== MAGIC) return undefined
  const [length, named] = [view.getUint32(at + 8), view.getUint16(at + 12)]
  const size = HEAD_BYTES + named + length
  if (length > MAX_PAYLOAD || named > MAX_PUBLISHER || at + size > bytes.length) return undefined
  if (view.getUint32(at + 4) !== crc32(bytes.subarray(at + 8, at + size))) return undefined
  const from = view.getFloat64(at + 24)
  const publisher = Buffer.from(bytes.subarray(at + HEAD_BYTES, at + HEAD_BYTES + named)).toString()
  const record = {
    series: { publisher, epoch: view.getFloat64(at + 16) },
    range: { from, to: from + view.getUint32(at + 32) - 1 },
    keptAt: view.getFloat64(at + 40),
    sentAt: view.getFloat64(at + 48),
    payload: bytes.subarray(at + HEAD_BYTES + named, at + size),
  }
  return { record, size }
}

/** All whole records of a segment, and how many bytes are in none. */
export const readRecords = (
  bytes: Uint8Array,
): { found: { record: HistoryRecord; at: number; size: number }[]; lost: number } => {
  const found: { record: HistoryRecord; at: number; size: number }[] = []
  const start = Buffer.from([0x50, 0x45, 0x48, 0x31])
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let lost = 0
  for (let at = 0; at < bytes.length; ) {
    const next = decodeRecord(bytes, at)
    if (next !== undefined) {
      found.push({ record: next.record, at, size: next.size })
      at += next.size
      continue
    }
    const again = buffer.indexOf(start, at + 1)
    const to = again < 0 ? bytes.length : again
    lost += to - at
    at = to
  }
  return { found, lost }
}
