/**
 * What senders and receivers of durable messages say to each other, as bytes. Format: delivery.proto. Pure.
 *
 * Bytes of messages that come out of `decodeMessages` are views into the frame: who keeps one copies it.
 */
import { fromString } from 'uint8arrays/from-string'
import type { Fault } from '../errors.ts'
import { malformed, ProtobufReader, ProtobufWriter } from '../wire/frames/protobuf.ts'
import { readJson } from '../wire/payload/payload-bounds.ts'
import { LANES } from './durable-message.ts'

export interface FrameEntry {
  readonly lane: number
  readonly sequence: number
  /** Undefined: nothing is to be done for this number. */
  readonly message: Uint8Array | undefined
  /** Milliseconds left; 0: it does not expire. */
  readonly ttlMs: number
  readonly attempt: number
}

export interface LaneNumbers {
  readonly lane: number
  readonly sequences: readonly number[]
}

export interface MessageFailure {
  readonly lane: number
  readonly sequence: number
  readonly fault: Fault
}

export interface AckFrame {
  readonly session: number
  readonly acked: readonly LaneNumbers[]
  readonly failed: readonly MessageFailure[]
  readonly held: readonly LaneNumbers[]
  readonly missing: readonly LaneNumbers[]
  /** 0: as before. */
  readonly window: number
  readonly greet: boolean
}

/** More than any window, and few enough that one frame cannot fill memory. */
const MAX_ENTRIES = 4_096
const MAX_NUMBERS = 16_384
const MAX_TEXT = 4_096
const MAX_DETAILS = 16_384

export const encodeMessageFrame = (session: number, entries: readonly FrameEntry[]): Uint8Array => {
  let room = 32
  for (const { message } of entries) room += (message?.length ?? 0) + 48
  const writer = new ProtobufWriter(room)
  const inner = new ProtobufWriter(1_024)
  writer.varintField(1, session)
  for (const { lane, sequence, message, ttlMs, attempt } of entries) {
    inner.at = 0
    inner.varintField(1, lane)
    inner.varintField(2, sequence)
    if (message !== undefined) inner.delimited(3, message)
    inner.varintField(4, ttlMs)
    inner.varintField(5, attempt)
    writer.delimited(2, inner.bytes.subarray(0, inner.at))
  }
  return writer.bytes.subarray(0, writer.at)
}

const checkLane = (lane: number): number => {
  if (lane >= LANES) throw malformed(`lane ${lane}`)
  return lane
}

const checkSequence = (sequence: number): number => {
  if (sequence < 1) throw malformed('a message without a number')
  return sequence
}

const decodeEntry = (bytes: Uint8Array): FrameEntry => {
  const reader = new ProtobufReader(bytes)
  let lane = 0
  let sequence = 0
  let message: Uint8Array | undefined
  let ttlMs = 0
  let attempt = 0
  while (reader.more()) {
    const tag = reader.varint()
    if (tag === 8) lane = reader.varint()
    else if (tag === 16) sequence = reader.varint()
    else if (tag === 26) message = reader.delimited()
    else if (tag === 32) ttlMs = reader.varint()
    else if (tag === 40) attempt = reader.varint()
    else reader.skip(tag & 7)
  }
  return { lane: checkLane(lane), sequence: checkSequence(sequence), message, ttlMs, attempt }
}

/** @throws MSG003 */
export const decodeMessageFrame = (bytes: Uint8Array): { session: number; entries: FrameEntry[] } => {
  const reader = new ProtobufReader(bytes)
  const entries: FrameEntry[] = []
  let session = 0
  while (reader.more()) {
    const tag = reader.varint()
    if (tag === 8) session = reader.varint()
    else if (tag === 18) {
      if (entries.length >= MAX_ENTRIES) throw malformed(`more than ${MAX_ENTRIES} messages in a frame`)
      entries.push(decodeEntry(reader.delimited()))
    } else reader.skip(tag & 7)
  }
  return { session, entries }
}

const putNumbers = (writer: ProtobufWriter, field: number, all: readonly LaneNumbers[]): void => {
  for (const { lane, sequences } of all) {
    const packed = new ProtobufWriter(sequences.length * 9)
    for (const sequence of sequences) packed.varint(sequence)
    const inner = new ProtobufWriter(packed.at + 24)
    inner.varintField(1, lane)
    inner.delimited(2, packed.bytes.subarray(0, packed.at))
    writer.delimited(field, inner.bytes.subarray(0, inner.at))
  }
}

export const encodeAckFrame = (answer: AckFrame): Uint8Array => {
  const writer = new ProtobufWriter(256)
  writer.varintField(1, answer.session)
  putNumbers(writer, 2, answer.acked)
  for (const { lane, sequence, fault } of answer.failed) {
    const inner = new ProtobufWriter(256)
    inner.varintField(1, lane)
    inner.varintField(2, sequence)
    inner.stringField(3, fault.code)
    inner.stringField(4, fault.message.slice(0, 1_024))
    inner.stringField(5, fault.hint?.slice(0, 1_024))
    if (fault.details !== undefined) {
      const details = fromString(JSON.stringify(fault.details))
      if (details.length <= MAX_DETAILS) inner.bytesField(6, details)
    }
    writer.delimited(3, inner.bytes.subarray(0, inner.at))
  }
  putNumbers(writer, 4, answer.held)
  putNumbers(writer, 5, answer.missing)
  writer.varintField(6, answer.window)
  writer.varintField(7, answer.greet ? 1 : 0)
  return writer.bytes.subarray(0, writer.at)
}

const readNumbers = (bytes: Uint8Array, all: LaneNumbers[]): void => {
  const reader = new ProtobufReader(bytes)
  const sequences: number[] = []
  let lane = 0
  while (reader.more()) {
    const tag = reader.varint()
    if (tag === 8) lane = reader.varint()
    else if (tag === 18) {
      const packed = new ProtobufReader(reader.delimited())
      while (packed.more()) sequences.push(checkSequence(packed.varint()))
      if (sequences.length > MAX_NUMBERS) throw malformed(`more than ${MAX_NUMBERS} numbers`)
    } else reader.skip(tag & 7)
  }
  if (all.length >= LANES) throw malformed('more lanes than there are')
  all.push({ lane: checkLane(lane), sequences })
}

const parseDetails = (bytes: Uint8Array): Record<string, unknown> | undefined => {
  try {
    const value = readJson(bytes)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    throw malformed('details that are not JSON')
  }
}

const readFailure = (bytes: Uint8Array): MessageFailure => {
  const reader = new ProtobufReader(bytes)
  let lane = 0
  let sequence = 0
  const fault: Fault = { code: 'APP001', message: '' }
  while (reader.more()) {
    const tag = reader.varint()
    if (tag === 8) lane = reader.varint()
    else if (tag === 16) sequence = reader.varint()
    else if (tag === 26) fault.code = reader.string(64)
    else if (tag === 34) fault.message = reader.string(MAX_TEXT)
    else if (tag === 42) fault.hint = reader.string(MAX_TEXT)
    else if (tag === 50) {
      const details = parseDetails(reader.delimited())
      if (details !== undefined) fault.details = details
    } else reader.skip(tag & 7)
  }
  return { lane: checkLane(lane), sequence: checkSequence(sequence), fault }
}

/** @throws MSG003 */
export const decodeAckFrame = (bytes: Uint8Array): AckFrame => {
  const reader = new ProtobufReader(bytes)
  const acked: LaneNumbers[] = []
  const failed: MessageFailure[] = []
  const held: LaneNumbers[] = []
  const missing: LaneNumbers[] = []
  let session = 0
  let window = 0
  let greet = false
  while (reader.more()) {
    const tag = reader.varint()
    if (tag === 8) session = reader.varint()
    else if (tag === 18) readNumbers(reader.delimited(), acked)
    else if (tag === 26) {
      if (failed.length >= MAX_ENTRIES) throw malformed('too many failures')
      failed.push(readFailure(reader.delimited()))
    } else if (tag === 34) readNumbers(reader.delimited(), held)
    else if (tag === 42) readNumbers(reader.delimited(), missing)
    else if (tag === 48) window = reader.varint()
    else if (tag === 56) greet = reader.varint() > 0
    else reader.skip(tag & 7)
  }
  return { session, acked, failed, held, missing, window, greet }
}
