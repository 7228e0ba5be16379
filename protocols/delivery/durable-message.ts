/**
 * One durable message, and its bytes: written once by its sender, kept and sent as they are. Format: delivery.proto.
 *
 * Pure. Decoding throws MSG003 for anything malformed.
 */
import { type CarriedBudget, withoutAmounts } from '../budget/carried/carried-budget.ts'
import type { Content } from '../define.ts'
import type { DelegationChain } from '../wire/delegation-chain.ts'
import { MAX_HEADERS, type Priority } from '../wire/envelope.ts'
import { WIRE_PRIORITIES } from '../wire/frames/frame.ts'
import { decodeBudget, encodeBudget } from '../wire/frames/nested-messages.ts'
import { malformed, ProtobufReader, ProtobufWriter } from '../wire/frames/protobuf.ts'
import { formatId } from '../wire/message-id.ts'

/** How often a message may be processed. Seed 002, delivery guarantees. */
export const GUARANTEES = ['AT_LEAST_ONCE', 'EXACTLY_ONCE', 'AT_MOST_ONCE'] as const
export type Guarantee = (typeof GUARANTEES)[number]

const CONTENTS = ['json', 'cbor', 'bytes'] as const satisfies readonly Content[]
const MAX_TEXT = 1_024
const MAX_DESTINATIONS = 1_024
/** Read at most, as of frames; what is longer than a chain may be is refused by who looks at it. */
const MAX_CHAIN = 64

export interface DurableMessage {
  /** UUIDv7. */
  readonly id: string
  readonly type: string
  readonly version: string | undefined
  readonly payload: Uint8Array
  readonly content: Content
  readonly conversationId: string | undefined
  readonly correlationId: string | undefined
  readonly replyTo: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly priority: Priority
  readonly guarantee: Guarantee
  /** Milliseconds since 1970 by the sender's clock. */
  readonly createdAt: number
  readonly ttlMs: number | undefined
  readonly traceparent: string | undefined
  /** Delegation chain, where it was sent on behalf of a request. */
  readonly chain?: DelegationChain | undefined
  /** Limits of the budget of that request. Its amounts are nothing: a message may be processed again. */
  readonly budget?: CarriedBudget | undefined
  /** To whom else it was sent. */
  readonly destinations: readonly string[]
}

/** What a peer is asked for by a message, in a delegation chain. */
export const messageLabel = (type: string): string => `message:${type}`

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({})
const NO_BYTES = new Uint8Array(0)
const NOBODY: readonly string[] = Object.freeze([])

const idBytes = (id: string): Uint8Array => {
  const bytes = new Uint8Array(16)
  for (let i = 0, at = 0; i < 16; i += 1, at += 2) {
    if (id.charCodeAt(at) === 45) at += 1
    bytes[i] = Number.parseInt(id.slice(at, at + 2), 16)
  }
  return bytes
}

const idText = (bytes: Uint8Array): string => {
  if (bytes.length !== 16) throw malformed(`an id of ${bytes.length} bytes`)
  return formatId(bytes)
}

/** @param id the message's id as bytes, where they are at hand */
export const encodeMessage = (message: DurableMessage, id: Uint8Array = idBytes(message.id)): Uint8Array => {
  const writer = new ProtobufWriter(message.payload.length + 160)
  writer.delimited(1, id)
  writer.stringField(2, message.type)
  writer.stringField(3, message.version)
  writer.bytesField(4, message.payload)
  writer.varintField(5, CONTENTS.indexOf(message.content as (typeof CONTENTS)[number]))
  writer.stringField(6, message.conversationId)
  writer.stringField(7, message.correlationId)
  writer.stringField(8, message.replyTo)
  for (const [key, value] of Object.entries(message.headers)) {
    const entry = new ProtobufWriter(64)
    entry.stringField(1, key)
    entry.stringField(2, value)
    writer.delimited(9, entry.bytes.subarray(0, entry.at))
  }
  writer.varintField(10, WIRE_PRIORITIES.indexOf(message.priority))
  writer.varintField(11, GUARANTEES.indexOf(message.guarantee))
  writer.varintField(12, message.createdAt)
  writer.varintField(13, message.ttlMs ?? 0)
  writer.stringField(14, message.traceparent)
  for (const peer of message.destinations) writer.stringField(15, peer)
  for (const hop of message.chain ?? NOBODY) writer.stringField(16, hop)
  if (message.budget !== undefined) writer.delimited(17, encodeBudget(message.budget))
  return writer.bytes.subarray(0, writer.at)
}

const readHeader = (bytes: Uint8Array, headers: Record<string, string>, count: number): void => {
  if (count > MAX_HEADERS) throw malformed(`more than ${MAX_HEADERS} headers`)
  const reader = new ProtobufReader(bytes)
  let key = ''
  let value = ''
  while (reader.more()) {
    const tag = reader.varint()
    if (tag === 10) key = reader.string(4_096)
    else if (tag === 18) value = reader.string(4_096)
    else reader.skip(tag & 7)
  }
  // Not by assignment: a header called __proto__ is a header.
  Object.defineProperty(headers, key, { value, enumerable: true, writable: true, configurable: true })
}

const oneOf = <T>(all: readonly T[], reader: ProtobufReader, what: string): T => {
  const told = all[reader.varint()]
  if (told === undefined) throw malformed(`a ${what} that this version does not know`)
  return told
}

const addText = (list: string[] | undefined, reader: ProtobufReader, most: number, what: string): string[] => {
  const all = list ?? []
  all.push(reader.string(MAX_TEXT))
  if (all.length > most) throw malformed(`more than ${most} ${what}`)
  return all
}

/** What a line of the log says of a message that is there as bytes only; nothing of one that cannot be read. */
export const logFieldsOf = (bytes: Uint8Array | undefined): { correlationId?: string; messageType?: string } => {
  if (bytes === undefined) return {}
  try {
    const { id, type } = decodeMessage(bytes)
    return { correlationId: id, messageType: type }
  } catch {
    // Whoever logs has something else to tell, and must not fail by it.
    return {}
  }
}

/** @throws MSG003 */
export const decodeMessage = (bytes: Uint8Array): DurableMessage => {
  const reader = new ProtobufReader(bytes)
  let id = ''
  let type = ''
  let version: string | undefined
  let payload: Uint8Array = NO_BYTES
  let content: Content = 'json'
  let conversationId: string | undefined
  let correlationId: string | undefined
  let replyTo: string | undefined
  let headers: Record<string, string> | undefined
  let headerCount = 0
  let priority: Priority = 'normal'
  let guarantee: Guarantee = 'AT_LEAST_ONCE'
  let createdAt = 0
  let ttlMs: number | undefined
  let traceparent: string | undefined
  let destinations: string[] | undefined
  let chain: string[] | undefined
  let budget: CarriedBudget | undefined
  while (reader.more()) {
    const tag = reader.varint()
    switch (tag) {
      case 10:
        id = idText(reader.delimited())
        break
      case 18:
        type = reader.string(MAX_TEXT)
        break
      case 26:
        version = reader.string(MAX_TEXT)
        break
      case 34:
        payload = reader.delimited()
        break
      case 40:
        content = oneOf(CONTENTS, reader, 'content')
        break
      case 50:
        conversationId = reader.string(MAX_TEXT)
        break
      case 58:
        correlationId = reader.string(MAX_TEXT)
        break
      case 66:
        replyTo = reader.string(MAX_TEXT)
        break
      case 74:
        headers ??= {}
        headerCount += 1
        readHeader(reader.delimited(), headers, headerCount)
        break
      case 80:
        priority = WIRE_PRIORITIES[reader.varint()] ?? 'normal'
        break
      case 88:
        guarantee = oneOf(GUARANTEES, reader, 'guarantee')
        break
      case 96:
        createdAt = reader.varint()
        break
      case 104:
        ttlMs = reader.varint() || undefined
        break
      case 114:
        traceparent = reader.string(MAX_TEXT)
        break
      case 122:
        destinations = addText(destinations, reader, MAX_DESTINATIONS, 'destinations')
        break
      case 130:
        chain = addText(chain, reader, MAX_CHAIN, 'hops')
        break
      case 138:
        budget = withoutAmounts(decodeBudget(reader.delimited()))
        break
      default:
        reader.skip(tag & 7)
    }
  }
  if (id === '' || type === '') throw malformed('a message without an id or a type')
  return {
    id,
    type,
    version,
    payload,
    content,
    conversationId,
    correlationId,
    replyTo,
    headers: headers ?? NO_HEADERS,
    priority,
    guarantee,
    createdAt,
    ttlMs,
    traceparent,
    destinations: destinations ?? NOBODY,
    ...((chain ?? budget) !== undefined && { chain, budget }),
  }
}

/** Lanes of one pair of nodes. */
export const LANES = 64
/** Of those without a conversation, which have no order: a quarter of the lanes for each priority, so that they overtake. */
const LANES_A_PRIORITY = LANES / WIRE_PRIORITIES.length

/** FNV-1a, 32 bits, over UTF-16 units; both sides need not agree on it, since the lane travels. */
const hashOf = (text: string): number => {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

/** @param turn counts up, so that what has no conversation is spread */
export const laneOf = (conversationId: string | undefined, priority: Priority, turn: number): number =>
  conversationId === undefined
    ? WIRE_PRIORITIES.indexOf(priority) * LANES_A_PRIORITY + (turn % LANES_A_PRIORITY)
    : hashOf(conversationId) % LANES
