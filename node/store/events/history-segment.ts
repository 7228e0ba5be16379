/**
 * The form of a segment of history: the header of a log, then a frame for each batch (log-frames.ts), so that a batch that is
 * damaged is left out and those behind it are still found. A segment that is finished ends with an index of its batches, and a
 * frame of a fixed size that says where the index is: so opening reads those two. Pure.
 */
import { isParleyError } from '../../../protocols/errors.ts'
import type { EventSeries, SequenceRange } from '../../../protocols/events/series.ts'
import { ProtobufReader, ProtobufWriter } from '../../../protocols/wire/frames/protobuf.ts'
import {
  decodeFrame,
  decodeHeader,
  encodeFrame,
  encodeHeader,
  FRAME_HEAD,
  frameBuffer,
  ID_BYTES,
  LOG_FORMAT,
  LOG_HEADER_BYTES,
  type LogFileHeader,
  salvageFrames,
  sealFrame,
} from '../log/log-frames.ts'
import type { FramePlace } from '../rows/tables/table-format.ts'

/** What a payload begins with. */
const BATCH = 1
const INDEX = 2
const PLACE = 3
const PLACE_BYTES = 16
/** The last frame of a segment that is finished. */
export const END_BYTES = FRAME_HEAD + PLACE_BYTES
const MAX_PUBLISHER = 512
/** Of all numbers of a batch as varints. */
const NUMBERS_ROOM = 64

export interface HistoryBatch {
  readonly series: Omit<EventSeries, 'word'>
  readonly range: SequenceRange
  /** Milliseconds since 1970: when it was written here, and when its publisher sent it. */
  readonly keptAt: number
  readonly sentAt: number
}

/** As read from a segment. */
export interface FoundBatch extends HistoryBatch {
  readonly at: number
  /** Of its frame, bytes. */
  readonly size: number
}

/** What follows another one in its segment. */
interface Following {
  readonly salt: Uint8Array
  /** Checksum of the frame before. */
  readonly crc: number
}

const writeTimes = (writer: ProtobufWriter, { range, keptAt, sentAt }: HistoryBatch): void => {
  writer.reserve(NUMBERS_ROOM)
  writer.varint(range.from)
  writer.varint(range.to - range.from)
  writer.varint(keptAt)
  writer.varint(sentAt)
}

const readTimes = (reader: ProtobufReader): Omit<HistoryBatch, 'series'> => {
  const from = reader.varint()
  return { range: { from, to: from + reader.varint() }, keptAt: reader.varint(), sentAt: reader.varint() }
}

const writeSeries = (writer: ProtobufWriter, { publisher, epoch }: HistoryBatch['series']): void => {
  const name = Buffer.from(publisher)
  writer.reserve(NUMBERS_ROOM + name.length)
  writer.varint(name.length)
  writer.bytes.set(name, writer.at)
  writer.at += name.length
  writer.varint(epoch)
}

const readSeries = (reader: ProtobufReader): HistoryBatch['series'] => ({
  publisher: reader.string(MAX_PUBLISHER),
  epoch: reader.varint(),
})

/** What a segment begins with. */
export const segmentHeader = (number: number, salt: Uint8Array): Uint8Array =>
  encodeHeader({ format: LOG_FORMAT, sequence: number, salt, storageId: new Uint8Array(ID_BYTES), previous: 0 })

/** The frame of a batch. */
export const encodeBatch = (
  batch: HistoryBatch & { readonly payload: Uint8Array },
  { salt, crc }: Following,
): { bytes: Uint8Array; crc: number } => {
  const head = new ProtobufWriter(256)
  head.varint(BATCH)
  writeSeries(head, batch.series)
  writeTimes(head, batch)
  const frame = frameBuffer(head.at + batch.payload.length)
  frame.bytes.set(head.bytes.subarray(0, head.at), FRAME_HEAD)
  frame.bytes.set(batch.payload, FRAME_HEAD + head.at)
  return { bytes: frame.bytes, crc: sealFrame(frame, salt, crc) }
}

/** @returns undefined for a payload that is no batch */
const batchOf = (payload: Uint8Array): (HistoryBatch & { readonly payload: Uint8Array }) | undefined => {
  if (payload[0] !== BATCH) return undefined
  try {
    const reader = new ProtobufReader(payload, 1)
    const head = { series: readSeries(reader), ...readTimes(reader) }
    return { ...head, payload: payload.subarray(reader.at) }
  } catch (error) {
    if (isParleyError(error)) return undefined
    throw error
  }
}

/** The batch whose frame these bytes begin with; undefined where there is no good one. */
export const decodeBatch = (bytes: Uint8Array, salt: Uint8Array) => {
  const frame = decodeFrame(bytes, salt)
  return frame && batchOf(frame.payload)
}

/** What a segment ends with. @param at where that is written */
export const encodeEnd = (batches: Iterable<FoundBatch>, at: number, { salt, crc }: Following): Uint8Array => {
  const series = new ProtobufWriter(1024)
  const rows = new ProtobufWriter(16 * 1024)
  const known = new Map<string, number>()
  for (const batch of batches) {
    const key = `${batch.series.publisher} ${batch.series.epoch}`
    const number = known.get(key) ?? known.size
    if (number === known.size) {
      known.set(key, number)
      writeSeries(series, batch.series)
    }
    rows.reserve(NUMBERS_ROOM)
    for (const value of [number, batch.at, batch.size]) rows.varint(value)
    writeTimes(rows, batch)
  }
  const head = new ProtobufWriter(16)
  head.varint(INDEX)
  head.varint(known.size)
  const parts = [head, series, rows].map(({ bytes, at: end }) => bytes.subarray(0, end))
  const index = encodeFrame(salt, crc, Buffer.concat(parts))
  const place = new DataView(new ArrayBuffer(PLACE_BYTES))
  place.setUint8(0, PLACE)
  place.setUint32(4, at)
  place.setUint32(8, index.bytes.length)
  place.setUint32(12, index.crc)
  return Buffer.concat([index.bytes, encodeFrame(salt, index.crc, new Uint8Array(place.buffer)).bytes])
}

/** Where the index is. @param bytes the last END_BYTES of a segment @returns undefined: it is not finished */
export const decodeEnd = (bytes: Uint8Array, salt: Uint8Array): FramePlace | undefined => {
  const payload = decodeFrame(bytes, salt)?.payload
  if (payload?.length !== PLACE_BYTES || payload[0] !== PLACE) return undefined
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
  return { at: view.getUint32(4), length: view.getUint32(8), crc: view.getUint32(12) }
}

/** @param bytes the frame at that place @returns undefined: it is damaged */
export const decodeIndex = (bytes: Uint8Array, salt: Uint8Array, { crc }: FramePlace): FoundBatch[] | undefined => {
  const frame = decodeFrame(bytes, salt)
  if (frame === undefined || frame.crc !== crc || frame.payload[0] !== INDEX) return undefined
  const reader = new ProtobufReader(frame.payload, 1)
  const series = Array.from({ length: reader.varint() }, () => readSeries(reader))
  const found: FoundBatch[] = []
  while (reader.more()) {
    const [of, at, size] = [series[reader.varint()], reader.varint(), reader.varint()]
    const times = readTimes(reader)
    if (of !== undefined) found.push({ series: of, at, size, ...times })
  }
  return found
}

export interface FoundSegment {
  /** Undefined: it is damaged, and nothing can be read then. */
  readonly header: LogFileHeader | undefined
  readonly found: readonly FoundBatch[]
  /** Bytes that are in no good frame. */
  readonly lost: number
  /** Behind the last good frame, and its checksum. */
  readonly end: number
  readonly crc: number
  /** It ends with its index. */
  readonly isFinished: boolean
  /** What is lost is at its end, and nothing says that it was ever whole: a write that a crash cut off. */
  readonly isTorn: boolean
}

/** All that is good in a whole segment. */
export const readSegment = (bytes: Uint8Array): FoundSegment => {
  const header = decodeHeader(bytes)
  const found: FoundBatch[] = []
  let [end, crc, good, isFinished] = [LOG_HEADER_BYTES, header?.previous ?? 0, LOG_HEADER_BYTES, false]
  if (header === undefined) return { header, found, lost: bytes.length, end: 0, crc, isFinished, isTorn: false }
  for (const frame of salvageFrames(bytes, header.salt)) {
    const size = frame.end - frame.at
    const batch = batchOf(frame.payload)
    if (batch !== undefined) {
      const { series, range, keptAt, sentAt } = batch
      found.push({ series, range, keptAt, sentAt, at: frame.at, size })
    }
    good += size
    end = frame.end
    crc = frame.crc
    isFinished = frame.payload[0] === PLACE
  }
  const lost = Math.max(0, bytes.length - good)
  isFinished &&= end === bytes.length
  return { header, found, lost, end, crc, isFinished, isTorn: !isFinished && end + lost === bytes.length }
}
