/**
 * Frames: what travels on a link, by hand on the hot path. The format is parley.proto; test/unit/wire compares the
 * bytes with those of an independent codec that reads that file.
 *
 * Decoding throws MSG003 for anything malformed; a payload is a view into the bytes it came in.
 */
import type { Encoding } from '../../port.ts'
import type { Priority } from '../envelope.ts'
import {
  decodeExtra,
  decodeFault,
  decodeHello,
  decodeProgress,
  type EnvelopeExtra,
  encodeExtra,
  encodeFault,
  encodeHello,
  encodeProgress,
  type FrameFault,
  type FrameProgress,
  type Hello,
} from './nested-messages.ts'
import {
  DELIMITED,
  delimitedSize,
  malformed,
  ProtobufReader,
  type ProtobufWriter,
  VARINT,
  varintFieldSize,
  varintSize,
} from './protobuf.ts'

export const KIND = {
  request: 0,
  response: 1,
  item: 2,
  end: 3,
  cancel: 4,
  error: 5,
  credit: 6,
  ack: 7,
  oneWay: 8,
  hello: 9,
  goaway: 10,
  progress: 11,
} as const
export type FrameKind = (typeof KIND)[keyof typeof KIND]

/** Index = number on the wire; `normal` is the zero value, so that it takes no bytes. */
export const WIRE_PRIORITIES: readonly Priority[] = ['normal', 'low', 'high', 'critical']
export const WIRE_ENCODINGS: readonly Encoding[] = ['identity', 'gzip', 'zstd']
export const WIRE_CONTENTS = ['json', 'cbor', 'bytes'] as const

export interface Frame {
  kind: number
  exchange: number
  /** ASCII, as defineProtocol demands. */
  method: string
  payload: Uint8Array
  more: boolean
  timeoutMs: number
  priority: number
  ttlMs: number
  credit: number
  encoding: number
  rawBytes: number
  content: number
  atMs: number
  load: number
  fault: FrameFault | undefined
  extra: EnvelopeExtra | undefined
  hello: Hello | undefined
  progress: FrameProgress | undefined
}

const EMPTY = new Uint8Array(0)

/** A frame with every other field at its zero value; one shape for all, which the engine likes. */
export const frame = (kind: number, exchange: number, payload: Uint8Array = EMPTY): Frame => ({
  kind,
  exchange,
  method: '',
  payload,
  more: false,
  timeoutMs: 0,
  priority: 0,
  ttlMs: 0,
  credit: 0,
  encoding: 0,
  rawBytes: 0,
  content: 0,
  atMs: 0,
  load: 0,
  fault: undefined,
  extra: undefined,
  hello: undefined,
  progress: undefined,
})

const MAX_METHOD = 64

/**
 * Appends one length-prefixed frame.
 * @returns bytes written
 */
export const writeFrame = (out: ProtobufWriter, f: Frame): number => {
  const fault = f.fault === undefined ? undefined : encodeFault(f.fault)
  const extra = f.extra === undefined ? undefined : encodeExtra(f.extra)
  const hello = f.hello === undefined ? undefined : encodeHello(f.hello)
  const progress = f.progress === undefined ? undefined : encodeProgress(f.progress)
  const payload = f.payload.length
  const size =
    varintFieldSize(f.kind) +
    varintFieldSize(f.exchange) +
    (f.method === '' ? 0 : 1 + delimitedSize(f.method.length)) +
    (payload === 0 ? 0 : 1 + delimitedSize(payload)) +
    (f.more ? 2 : 0) +
    varintFieldSize(f.timeoutMs) +
    varintFieldSize(f.priority) +
    varintFieldSize(f.ttlMs) +
    varintFieldSize(f.credit) +
    varintFieldSize(f.encoding) +
    varintFieldSize(f.rawBytes) +
    varintFieldSize(f.content) +
    varintFieldSize(f.atMs) +
    varintFieldSize(f.load) +
    (fault === undefined ? 0 : 1 + delimitedSize(fault.length)) +
    (extra === undefined ? 0 : 2 + delimitedSize(extra.length)) +
    (hello === undefined ? 0 : 2 + delimitedSize(hello.length)) +
    (progress === undefined ? 0 : 2 + delimitedSize(progress.length))
  const start = out.at
  out.reserve(size + varintSize(size))
  out.varint(size)
  out.varintField(1, f.kind)
  out.varintField(2, f.exchange)
  if (f.method !== '') out.ascii(3, f.method)
  out.bytesField(4, f.payload)
  out.varintField(5, f.more ? 1 : 0)
  out.varintField(6, f.timeoutMs)
  out.varintField(7, f.priority)
  out.varintField(8, f.ttlMs)
  out.varintField(9, f.credit)
  out.varintField(10, f.encoding)
  out.varintField(11, f.rawBytes)
  out.varintField(12, f.content)
  out.varintField(13, f.atMs)
  out.varintField(14, f.load)
  if (fault !== undefined) out.delimited(15, fault)
  if (extra !== undefined) out.delimited(16, extra)
  if (hello !== undefined) out.delimited(17, hello)
  if (progress !== undefined) out.delimited(18, progress)
  return out.at - start
}

const readNumber = (f: Frame, number: number, value: number): void => {
  switch (number) {
    case 1:
      f.kind = value
      break
    case 2:
      f.exchange = value
      break
    case 5:
      f.more = value !== 0
      break
    case 6:
      f.timeoutMs = value
      break
    case 7:
      f.priority = value
      break
    case 8:
      f.ttlMs = value
      break
    case 9:
      f.credit = value
      break
    case 10:
      f.encoding = value
      break
    case 11:
      f.rawBytes = value
      break
    case 12:
      f.content = value
      break
    case 13:
      f.atMs = value
      break
    case 14:
      f.load = value
      break
    default:
  }
}

/** Reads the frame that lies in `bytes` from `start` to `end`, without its length prefix. */
export const readFrame = (bytes: Uint8Array, start: number, end: number): Frame => {
  const f = frame(KIND.request, 0)
  const reader = new ProtobufReader(bytes, start, end)
  while (reader.at < end) {
    const tag = reader.varint()
    const number = Math.floor(tag / 8)
    const wireType = tag & 7
    if (wireType === VARINT) {
      if (number === 0) throw malformed('field number 0')
      if (number <= 14) readNumber(f, number, reader.varint())
      else reader.skip(wireType)
    } else if (wireType === DELIMITED && number === 4) f.payload = reader.delimited()
    else if (wireType === DELIMITED && number === 3) f.method = reader.string(MAX_METHOD)
    else if (wireType === DELIMITED && number === 15) f.fault = decodeFault(reader.delimited())
    else if (wireType === DELIMITED && number === 16) f.extra = decodeExtra(reader.delimited())
    else if (wireType === DELIMITED && number === 17) f.hello = decodeHello(reader.delimited())
    else if (wireType === DELIMITED && number === 18) f.progress = decodeProgress(reader.delimited())
    else if (number === 0) throw malformed('field number 0')
    else reader.skip(wireType)
  }
  return f
}
