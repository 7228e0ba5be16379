/**
 * What lies nested in a frame: the HELLO, the rest of an envelope, progress and errors. All of them are rare, and none is on
 * the way of an ordinary call. The format is parley.proto.
 *
 * Decoding throws MSG003 for anything malformed.
 */
import { fromString } from 'uint8arrays/from-string'
import { AMOUNT_NAMES, type AmountName } from '../../budget/amounts.ts'
import type { CarriedBudget } from '../../budget/carried/carried-budget.ts'
import { DELIMITED, malformed, ProtobufReader, ProtobufWriter, VARINT } from './protobuf.ts'

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
  chain?: readonly string[]
  /** By how much progress puts the deadline off, where it is not the timeout. */
  extendMs?: number
  /** Until the caller gives up, whatever progress is reported. */
  limitMs?: number
  /** Of an answer: what is left of it. */
  budget?: CarriedBudget
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

const EMPTY = new Uint8Array(0)
const MAX_TEXT = 8192
const MAX_CODE = 64
const MAX_LIST = 64
/** A varint holds one more. */
const MAX_AMOUNT = Number.MAX_SAFE_INTEGER - 1

export const encodeHello = (hello: Hello): Uint8Array => {
  const out = new ProtobufWriter(64)
  out.stringField(1, hello.version)
  if (hello.encodings.length > 0) out.delimited(2, Uint8Array.from(hello.encodings))
  out.varintField(3, hello.maxMessageBytes)
  out.bytesField(4, hello.session)
  out.varintField(5, hello.startedAtMs)
  return out.finish()
}

/** Each number is one more than what it says, so that nothing left is not the same as no limit. */
export const encodeBudget = ({ amounts, depth, leftMs }: CarriedBudget): Uint8Array => {
  const out = new ProtobufWriter(32)
  AMOUNT_NAMES.forEach((name, i) => {
    const amount = amounts[name]
    if (amount !== undefined) out.varintField(i + 1, Math.min(amount, MAX_AMOUNT) + 1)
  })
  if (depth !== undefined) out.varintField(4, depth + 1)
  if (leftMs !== undefined) out.varintField(5, leftMs + 1)
  return out.finish()
}

export const encodeExtra = (extra: EnvelopeExtra): Uint8Array => {
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
  if (extra.budget !== undefined) out.delimited(10, encodeBudget(extra.budget))
  return out.finish()
}

export const encodeProgress = (progress: FrameProgress): Uint8Array => {
  const out = new ProtobufWriter(64)
  out.varintField(1, progress.done)
  out.stringField(2, progress.note)
  return out.finish()
}

export const encodeFault = (fault: FrameFault): Uint8Array => {
  const out = new ProtobufWriter(128)
  out.stringField(1, fault.code)
  out.stringField(2, fault.message)
  out.stringField(3, fault.hint)
  out.bytesField(4, fault.details)
  return out.finish()
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

export const decodeHello = (bytes: Uint8Array): Hello => {
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

export const decodeBudget = (bytes: Uint8Array): CarriedBudget => {
  const reader = new ProtobufReader(bytes)
  const amounts: Partial<Record<AmountName, number>> = {}
  let depth: number | undefined
  let leftMs: number | undefined
  each(reader, (number, wireType) => {
    if (wireType !== VARINT || number > 5) return false
    const value = reader.varint() - 1
    const name = AMOUNT_NAMES[number - 1]
    if (value < 0) return true
    if (name !== undefined) amounts[name] = value
    else if (number === 4) depth = value
    else leftMs = value
    return true
  })
  return { amounts, ...(depth !== undefined && { depth }), ...(leftMs !== undefined && { leftMs }) }
}

export const decodeExtra = (bytes: Uint8Array): EnvelopeExtra => {
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
    else if (number === 10) extra.budget = decodeBudget(reader.delimited())
    else return false
    if (headers.length > MAX_LIST || chain.length > MAX_LIST) throw malformed('a long list in the envelope')
    return true
  })
  if (headers.length > 0) extra.headers = Object.fromEntries(headers)
  if (chain.length > 0) extra.chain = chain
  return extra
}

export const decodeFault = (bytes: Uint8Array): FrameFault => {
  const fault: FrameFault = { code: '', message: '', hint: '', details: EMPTY }
  const reader = new ProtobufReader(bytes)
  each(reader, (number, wireType) => {
    if (wireType !== DELIMITED) return false
    if (number === 1) fault.code = reader.string(MAX_CODE)
    else if (number === 2) fault.message = reader.string(MAX_TEXT)
    else if (number === 3) fault.hint = reader.string(MAX_TEXT)
    else if (number === 4) fault.details = copy(reader.delimited())
    else return false
    return true
  })
  return fault
}

export const decodeProgress = (bytes: Uint8Array): FrameProgress => {
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
