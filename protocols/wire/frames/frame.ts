/**
 * Frames: what travels on a link, by hand on the hot path. The format is parley.proto; test/unit/wire compares the
 * bytes with those of an independent codec that reads that file.
 *
 * Keeps no state. Decoding throws MSG003 for anything malformed; a payload is a view into the bytes it came in.
 */
import { fromString } from 'uint8arrays/from-string'
import type { Encoding } from '../../port.ts'
import type { Priority } from '../envelope.ts'
import {
  DELIMITED,
  delimitedSize,
  malformed,
  ProtobufReader,
  ProtobufWriter,
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

export interface Hello {
  version: string
  encodings: number[]
  maxMessageBytes: number
  session: Uint8Array
  startedAtMs: number
}

export interface EnvelopeExtra {
  replyTo?: string
  correlationId?: string
  conversationId?: string
  traceparent?: string
  headers?: Record<string, string>
  /** JSON object. */
  metadata?: Uint8Array
  chain?: string[]
  /** By how much progress puts the deadline off, where it is not the timeout. */
  extendMs?: number
  /** Until the caller gives up, whatever progress is reported. */
  limitMs?: number
}

export interface FrameProgress {
  /** In ten-thousandths, and one more; 0 where it is not told. */
  done: number
  note: string
}

export interface FrameFault {
  code: string
  message: string
  hint: string
  /** JSON object, may be empty. */
  details: Uint8Array
}

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

const MAX_TEXT = 8192
const MAX_METHOD = 64
const MAX_LIST = 64

const encodeHello = (hello: Hello): Uint8Array => {
  const out = new ProtobufWriter(64)
  out.stringField(1, hello.version)
  if (hello.encodings.length > 0) out.delimited(2, Uint8Array.from(hello.encodings))
  out.varintField(3, hello.maxMessageBytes)
  out.bytesField(4, hello.session)
  out.varintField(5, hello.startedAtMs)
  return out.finish()
}

const encodeExtra = (extra: EnvelopeExtra): Uint8Array => {
  const out = new ProtobufWriter(128)
  out.stringField(1, extra.replyTo)
  out.stringField(2, extra.correlationId)
  out.stringField(3, extra.conversationId)
  out.stringField(4, extra.traceparent)
  for (const [key, value] of Object.entries(extra.headers ?? {})) {
    const entry = new ProtobufWriter(64)
    entry.delimited(1, fromString(key))
    entry.delimited(2, fromString(value))
    out.delimited(5, entry.finish())
  }
  if (extra.metadata !== undefined) out.bytesField(6, extra.metadata)
  for (const peer of extra.chain ?? []) out.delimited(7, fromString(peer))
  out.varintField(8, extra.extendMs ?? 0)
  out.varintField(9, extra.limitMs ?? 0)
  return out.finish()
}

const encodeProgress = (progress: FrameProgress): Uint8Array => {
  const out = new ProtobufWriter(64)
  out.varintField(1, progress.done)
  out.stringField(2, progress.note)
  return out.finish()
}

const encodeFault = (fault: FrameFault): Uint8Array => {
  const out = new ProtobufWriter(128)
  out.stringField(1, fault.code)
  out.stringField(2, fault.message)
  out.stringField(3, fault.hint)
  out.bytesField(4, fault.details)
  return out.finish()
}

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

/** Not slice(): on a Buffer that is a view, which keeps the whole chunk alive. */
const copy = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes)

/** One loop for all nested messages: `field` gets number and wire type and returns true when it took the value. */
const each = (reader: ProtobufReader, field: (number: number, wireType: number) => boolean): void => {
  while (reader.more()) {
    const tag = reader.varint()
    const number = Math.floor(tag / 8)
    if (number === 0) throw malformed('field number 0')
    if (!field(number, tag & 7)) reader.skip(tag & 7)
  }
}

const decodeHello = (bytes: Uint8Array): Hello => {
  const hello: Hello = { version: '', encodings: [], maxMessageBytes: 0, session: EMPTY, startedAtMs: 0 }
  const reader = new ProtobufReader(bytes)
  each(reader, (number, wireType) => {
    if (wireType === DELIMITED) {
      if (number === 1) hello.version = reader.string(MAX_TEXT)
      else if (number === 2) hello.encodings.push(...decodePacked(reader.delimited()))
      else if (number === 4) hello.session = copy(reader.delimited())
      else return false
      return true
    }
    if (wireType !== VARINT) return false
    if (number === 2) hello.encodings.push(reader.varint())
    else if (number === 3) hello.maxMessageBytes = reader.varint()
    else if (number === 5) hello.startedAtMs = reader.varint()
    else return false
    return true
  })
  if (hello.encodings.length > MAX_LIST) throw malformed(`${hello.encodings.length} encodings`)
  return hello
}

const decodePacked = (bytes: Uint8Array): number[] => {
  if (bytes.length > MAX_LIST) throw malformed('a long list of encodings')
  const reader = new ProtobufReader(bytes)
  const values: number[] = []
  while (reader.more()) values.push(reader.varint())
  return values
}

const decodeEntry = (bytes: Uint8Array): [string, string] => {
  const reader = new ProtobufReader(bytes)
  let key = ''
  let value = ''
  each(reader, (number, wireType) => {
    if (wireType !== DELIMITED) return false
    if (number === 1) key = reader.string(MAX_TEXT)
    else if (number === 2) value = reader.string(MAX_TEXT)
    else return false
    return true
  })
  return [key, value]
}

const decodeExtra = (bytes: Uint8Array): EnvelopeExtra => {
  const extra: EnvelopeExtra = {}
  const headers: [string, string][] = []
  const chain: string[] = []
  const reader = new ProtobufReader(bytes)
  each(reader, (number, wireType) => {
    if (wireType === VARINT) {
      if (number === 8) extra.extendMs = reader.varint()
      else if (number === 9) extra.limitMs = reader.varint()
      else return false
      return true
    }
    if (wireType !== DELIMITED) return false
    if (number === 1) extra.replyTo = reader.string(MAX_TEXT)
    else if (number === 2) extra.correlationId = reader.string(MAX_TEXT)
    else if (number === 3) extra.conversationId = reader.string(MAX_TEXT)
    else if (number === 4) extra.traceparent = reader.string(MAX_TEXT)
    else if (number === 5) headers.push(decodeEntry(reader.delimited()))
    else if (number === 6) extra.metadata = copy(reader.delimited())
    else if (number === 7) chain.push(reader.string(MAX_TEXT))
    else return false
    if (headers.length > MAX_LIST || chain.length > MAX_LIST) throw malformed('a long list in the envelope')
    return true
  })
  if (headers.length > 0) extra.headers = Object.fromEntries(headers)
  if (chain.length > 0) extra.chain = chain
  return extra
}

const decodeFault = (bytes: Uint8Array): FrameFault => {
  const fault: FrameFault = { code: '', message: '', hint: '', details: EMPTY }
  const reader = new ProtobufReader(bytes)
  each(reader, (number, wireType) => {
    if (wireType !== DELIMITED) return false
    if (number === 1) fault.code = reader.string(MAX_METHOD)
    else if (number === 2) fault.message = reader.string(MAX_TEXT)
    else if (number === 3) fault.hint = reader.string(MAX_TEXT)
    else if (number === 4) fault.details = copy(reader.delimited())
    else return false
    return true
  })
  return fault
}

const decodeProgress = (bytes: Uint8Array): FrameProgress => {
  const progress: FrameProgress = { done: 0, note: '' }
  const reader = new ProtobufReader(bytes)
  each(reader, (number, wireType) => {
    if (number === 1 && wireType === VARINT) progress.done = reader.varint()
    else if (number === 2 && wireType === DELIMITED) progress.note = reader.string(MAX_TEXT)
    else return false
    return true
  })
  return progress
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
