/**
 * The rows of delivery: their keys and bytes. Format: delivery.proto. Pure.
 *
 * `o/` outbox by peer, lane, number · `s/` destinations · `i/` senders · `u/` messages without a peer yet · `d/` dead
 * letters · `t/` what programs keep · `e/` results of effects · `b/` inbox · `c/` conversations that are bound to a peer ·
 * `a/` how long peers have been away · `m/` messages that were moved · `p/` answers to topics. Numbers are padded, so that
 * keys are in order.
 */
import { allocUnsafe } from 'uint8arrays/alloc'
import { DELIMITED, malformed, ProtobufReader, ProtobufWriter, VARINT } from '../../wire/frames/protobuf.ts'
import { type AckRanges, LANE_SPAN, MAX_REPLACED, newAckRanges } from '../ack-ranges.ts'
import type { RetryPolicy } from '../options.ts'

export const OUTBOX = 'o/'
export const PEER_SENDERS = 's/'
export const SENDERS = 'i/'
export const UNROUTED = 'u/'
export const DEAD_LETTERS = 'd/'
export const STATE = 't/'
export const EFFECTS = 'e/'
export const INBOX = 'b/'
export const BINDINGS = 'c/'
export const ABSENCES = 'a/'
export const MOVED = 'm/'
export const TOPIC_ANSWERS = 'p/'

/** Begins the name of a destination that is not bound to a peer. */
export const CAPABILITY_PREFIX = 'capability:'

const LANE_DIGITS = 2
/** Bytes of a name in a row. */
const MAX_CAPABILITY = 1_024
/** 2^53 in base 36 has 11 digits. */
const SEQUENCE_DIGITS = 11

export const padded = (value: number, digits: number): string => value.toString(36).padStart(digits, '0')

export const outboxKey = (peer: string, lane: number, sequence: number): string =>
  `${OUTBOX}${peer}/${padded(lane, LANE_DIGITS)}/${padded(sequence, SEQUENCE_DIGITS)}`

const OUTBOX_KEY = /^o\/([A-Za-z0-9]{1,128})\/([0-9a-z]{2})\/([0-9a-z]{11})$/

export const parseOutboxKey = (key: string): { peer: string; lane: number; sequence: number } | undefined => {
  const [, peer, lane, sequence] = OUTBOX_KEY.exec(key) ?? []
  if (peer === undefined || lane === undefined || sequence === undefined) return undefined
  return { peer, lane: Number.parseInt(lane, 36), sequence: Number.parseInt(sequence, 36) }
}

export interface OutboxRow {
  /** Undefined: a number that stands for nothing any more. */
  readonly message: Uint8Array | undefined
  readonly policy: RetryPolicy
  /** Milliseconds since 1970 by this node's clock. */
  readonly expiresAt: number | undefined
  /** What the message was sent to; undefined for one to a peer by name. */
  readonly capability: string | undefined
  /** EXACTLY_ONCE: another peer may get it where this one stays away. */
  readonly mayRebind: boolean
}

export const SKIP_ROW = new Uint8Array(0)

export const encodeOutboxRow = (
  message: Uint8Array,
  policy: RetryPolicy,
  expiresAt: number | undefined,
  bound?: { readonly capability: string; readonly mayRebind: boolean },
): Uint8Array => {
  // Out of a shared buffer: a store keeps a copy of it, and nobody else does.
  const writer = new ProtobufWriter(allocUnsafe(message.length + (bound === undefined ? 48 : 160)))
  writer.delimited(1, message)
  writer.varintField(2, policy.maxRetries + 1)
  writer.varintField(3, policy.initialDelayMs)
  writer.varintField(4, policy.maxDelayMs)
  writer.varintField(5, expiresAt ?? 0)
  writer.stringField(6, bound?.capability)
  writer.varintField(7, bound?.mayRebind === true ? 1 : 0)
  return writer.bytes.subarray(0, writer.at)
}

/** @throws MSG003 */
export const decodeOutboxRow = (bytes: Uint8Array): OutboxRow => {
  const reader = new ProtobufReader(bytes)
  let message: Uint8Array | undefined
  let maxRetries = 0
  let initialDelayMs = 0
  let maxDelayMs = 0
  let expiresAt: number | undefined
  let capability: string | undefined
  let mayRebind = false
  while (reader.more()) {
    const tag = reader.varint()
    if (tag === ((1 << 3) | DELIMITED)) message = reader.delimited()
    else if (tag === ((2 << 3) | VARINT)) maxRetries = Math.max(0, reader.varint() - 1)
    else if (tag === ((3 << 3) | VARINT)) initialDelayMs = reader.varint()
    else if (tag === ((4 << 3) | VARINT)) maxDelayMs = reader.varint()
    else if (tag === ((5 << 3) | VARINT)) expiresAt = reader.varint() || undefined
    else if (tag === ((6 << 3) | DELIMITED)) capability = reader.string(MAX_CAPABILITY)
    else if (tag === ((7 << 3) | VARINT)) mayRebind = reader.varint() === 1
    else reader.skip(tag & 7)
  }
  return { message, policy: { maxRetries, initialDelayMs, maxDelayMs }, expiresAt, capability, mayRebind }
}

export interface PeerSenderRow {
  /** Id of the outbox that the numbers are of. */
  readonly epoch: string
  readonly next: ReadonlyMap<number, number>
  /** Numbers below these may have been sent by the outbox that this one took the place of. */
  readonly frontier: ReadonlyMap<number, number> | undefined
}

const putCounts = (writer: ProtobufWriter, field: number, counts: Iterable<readonly [number, number]>): void => {
  const inner = new ProtobufWriter(32)
  for (const [lane, value] of counts) {
    inner.at = 0
    inner.varintField(1, lane)
    inner.varintField(2, value)
    writer.delimited(field, inner.bytes.subarray(0, inner.at))
  }
}

export const encodePeerSenderRow = ({ epoch, next, frontier }: PeerSenderRow): Uint8Array => {
  const writer = new ProtobufWriter(64 + next.size * 12)
  writer.ascii(1, epoch)
  putCounts(writer, 2, next)
  if (frontier !== undefined) {
    putCounts(writer, 3, frontier)
    // One that is empty is one all the same: lane 64 does not exist.
    putCounts(writer, 3, [[64, 1]])
  }
  return writer.finish()
}

const readCount = (bytes: Uint8Array, counts: Map<number, number>): void => {
  const reader = new ProtobufReader(bytes)
  let lane = 0
  let value = 0
  while (reader.more()) {
    const tag = reader.varint()
    if (tag === 8) lane = reader.varint()
    else if (tag === 16) value = reader.varint()
    else reader.skip(tag & 7)
  }
  if (lane < 64) counts.set(lane, value)
}

/** @throws MSG003 */
export const decodePeerSenderRow = (bytes: Uint8Array): PeerSenderRow => {
  const reader = new ProtobufReader(bytes)
  const next = new Map<number, number>()
  let frontier: Map<number, number> | undefined
  let epoch = ''
  while (reader.more()) {
    const tag = reader.varint()
    if (tag === 10) epoch = reader.string(64)
    else if (tag === 18) readCount(reader.delimited(), next)
    else if (tag === 26) {
      frontier ??= new Map()
      readCount(reader.delimited(), frontier)
    } else reader.skip(tag & 7)
  }
  return { epoch, next, frontier }
}

/** What a node remembers of one sender, as a row. */
export interface SenderRow {
  /** Id of the outbox that the numbers are of. */
  readonly epoch: string
  /** Outboxes that this one took the place of, newest first. */
  readonly replaced: readonly string[]
  /** Milliseconds since 1970 by this node's clock. */
  readonly lastSeenAt: number
  readonly lanes: ReadonlyMap<number, AckRanges>
  /** What was processed of the outbox before, until the sender has used that. */
  readonly former: { readonly epoch: string; readonly lanes: ReadonlyMap<number, AckRanges> } | undefined
}

/** Sender: 1 epoch, 2 replaced, 3 lane, 4 last seen at, 5 former. Lane: 1 number, 2 up to, 3 done. See delivery.proto. */
export const encodeSender = ({ epoch, replaced, lanes, lastSeenAt, former }: SenderRow): Uint8Array => {
  const writer = new ProtobufWriter(64 + lanes.size * 12)
  const inner = new ProtobufWriter(64)
  writer.ascii(1, epoch)
  for (const id of replaced.slice(0, MAX_REPLACED)) writer.ascii(2, id)
  for (const [lane, { upTo, done }] of lanes) {
    inner.at = 0
    inner.varintField(1, lane)
    inner.varintField(2, upTo)
    if (done.size > 0) {
      const packed = new ProtobufWriter(done.size * 9)
      for (const sequence of done) {
        packed.reserve(9)
        packed.varint(sequence)
      }
      inner.delimited(3, packed.bytes.subarray(0, packed.at))
    }
    writer.delimited(3, inner.bytes.subarray(0, inner.at))
  }
  writer.varintField(4, lastSeenAt)
  if (former !== undefined)
    writer.delimited(5, encodeSender({ ...former, replaced: [], lastSeenAt: 0, former: undefined }))
  return writer.finish()
}

const decodeLane = (bytes: Uint8Array, lanes: Map<number, AckRanges>): void => {
  const reader = new ProtobufReader(bytes)
  const position = newAckRanges()
  let lane = 0
  while (reader.more()) {
    const tag = reader.varint()
    if (tag === 8) lane = reader.varint()
    else if (tag === 16) position.upTo = reader.varint()
    else if (tag === 26) {
      const packed = new ProtobufReader(reader.delimited())
      while (packed.more()) position.done.add(packed.varint())
      if (position.done.size > LANE_SPAN) throw malformed(`${position.done.size} numbers of one lane`)
    } else reader.skip(tag & 7)
  }
  lanes.set(lane, position)
}

/** @throws MSG003 */
export const decodeSender = (bytes: Uint8Array, isFormer = false): SenderRow => {
  const reader = new ProtobufReader(bytes)
  const lanes = new Map<number, AckRanges>()
  const replaced: string[] = []
  let epoch = ''
  let lastSeenAt = 0
  let former: SenderRow['former']
  while (reader.more()) {
    const tag = reader.varint()
    if (tag === 10) epoch = reader.string(64)
    else if (tag === 18) replaced.push(reader.string(64))
    else if (tag === 26) decodeLane(reader.delimited(), lanes)
    else if (tag === 32) lastSeenAt = reader.varint()
    else if (tag === 42 && !isFormer) former = decodeSender(reader.delimited(), true)
    else reader.skip(tag & 7)
  }
  return { epoch, replaced, lanes, lastSeenAt, former }
}
