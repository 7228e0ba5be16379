/**
 * Reads what batch-encoder.ts writes (batch.proto is the format).
 *
 * Throws MSG003 for anything malformed. A batch is opened without looking into its events, so that a
 * node which only forwards pays for the signature alone; one broken event does not take the others with it.
 */
import { concat } from 'uint8arrays/concat'
import { MAX_HEADER_BYTES, MAX_HEADERS } from '../../wire/envelope.ts'
import { WIRE_PRIORITIES } from '../../wire/frames/frame.ts'
import { DELIMITED, malformed, ProtobufReader, VARINT } from '../../wire/frames/protobuf.ts'
import type { SequenceRange } from '../series.ts'
import { MAX_TOPIC_LENGTH } from '../topic.ts'
import {
  type BatchHeader,
  EVENTS_TAG,
  MAX_BATCH_BYTES,
  MAX_BATCH_EVENTS,
  type SigningPrefixes,
} from './batch-encoder.ts'
import { DIRECT_RECIPIENTS_BYTES } from './direct-recipients.ts'
import type { EventAttributes } from './event-attributes.ts'

const SIGNATURE_BYTES = 64
/** Bound of id, type, version and the like: 128 characters of at most 3 bytes. */
const MAX_ATTRIBUTE_BYTES = 384
const JSON_CONTENT = 0

/** A batch as it came in; `spans` holds start and end of each event in `body`. */
export interface DecodedBatch extends BatchHeader {
  readonly body: Uint8Array
  readonly signature: Uint8Array
  /** What the signature is over. */
  readonly signed: 'digest' | 'body'
  readonly spans: readonly number[]
}

/** A batch that is proven to be its publisher's. */
export interface VerifiedBatch {
  readonly batch: DecodedBatch
  readonly bytes: Uint8Array
  /** Monotonic: since then this node or the one that gave it has had it. */
  readonly arrivedAt: number
}

export interface WireEvent extends EventAttributes {
  topic: string
  /** The payload as it was sent: JSON. */
  text: string
}

/** A byte order mark is part of the text, and what is not UTF-8 is an error. */
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const decode = (bytes: Uint8Array): string => {
  try {
    return decoder.decode(bytes)
  } catch {
    throw malformed('a text is not UTF-8')
  }
}

const decodeShort = (bytes: Uint8Array, maxBytes: number): string => {
  if (bytes.length > maxBytes) throw malformed(`a text of ${bytes.length} bytes, at most ${maxBytes} here`)
  return decode(bytes)
}

/** Steps over one event and notes where it starts and ends. */
const note = (reader: ProtobufReader, spans: number[]): void => {
  const length = reader.varint()
  const end = reader.at + length
  if (end > reader.end) throw malformed(`an event of ${length} bytes is cut off`)
  if (spans.length >= MAX_BATCH_EVENTS * 2) throw malformed(`more than ${MAX_BATCH_EVENTS} events in a batch`)
  spans.push(reader.at, end)
  reader.at = end
}

/** The tag of a field as one number. */
const delimitedTag = (field: number): number => (field << 3) | DELIMITED
const varintTag = (field: number): number => (field << 3) | VARINT

const readBody = (body: Uint8Array): BatchHeader & { spans: number[] } => {
  const batch: BatchHeader & { spans: number[] } = {
    publisher: '',
    word: '',
    epoch: 0,
    first: 0,
    sentAt: 0,
    waitedMs: 0,
    circle: undefined,
    spans: [],
  }
  const reader = new ProtobufReader(body)
  while (reader.more()) {
    const tag = reader.varint()
    if (tag === EVENTS_TAG) note(reader, batch.spans)
    else if (tag === delimitedTag(1)) batch.publisher = decodeShort(reader.delimited(), 128)
    else if (tag === delimitedTag(2)) batch.word = decodeShort(reader.delimited(), 64)
    else if (tag === varintTag(3)) batch.epoch = reader.varint()
    else if (tag === varintTag(4)) batch.first = reader.varint()
    else if (tag === varintTag(5)) batch.sentAt = reader.varint()
    else if (tag === varintTag(6)) batch.waitedMs = reader.varint()
    else if (tag === delimitedTag(8)) batch.circle = reader.delimited()
    else reader.skip(tag & 7)
  }
  return batch
}

/**
 * Reads a signed batch without verifying it and without looking into its events.
 * @throws MSG003 for anything that is not a batch, has no event, or more than 1000
 */
export const decodeBatch = (bytes: Uint8Array): DecodedBatch => {
  if (bytes.length > MAX_BATCH_BYTES) throw malformed(`a batch of ${bytes.length} bytes, at most ${MAX_BATCH_BYTES}`)
  let body: Uint8Array | undefined
  let ofBody: Uint8Array | undefined
  let ofDigest: Uint8Array | undefined
  const reader = new ProtobufReader(bytes)
  while (reader.more()) {
    const tag = reader.varint()
    if (tag === delimitedTag(1)) body = reader.delimited()
    else if (tag === delimitedTag(2)) ofBody = reader.delimited()
    else if (tag === delimitedTag(3)) ofDigest = reader.delimited()
    else reader.skip(tag & 7)
  }
  const signature = ofDigest ?? ofBody
  if (body === undefined || signature?.length !== SIGNATURE_BYTES) throw malformed('a batch without body or signature')
  const batch = readBody(body)
  if (batch.circle !== undefined && batch.circle.length !== DIRECT_RECIPIENTS_BYTES)
    throw malformed('a circle of another size')
  if (batch.publisher === '' || batch.word === '' || batch.first < 1) throw malformed('a batch without its header')
  if (batch.spans.length === 0) throw malformed('a batch without events')
  if (!Number.isSafeInteger(batch.first + batch.spans.length)) throw malformed('a sequence number above 2^53')
  return { ...batch, body, signature, signed: ofDigest === undefined ? 'body' : 'digest' }
}

/** The numbers of its events. */
export const batchRange = ({ first, spans }: DecodedBatch): SequenceRange => ({
  from: first,
  to: first + spans.length / 2 - 1,
})

/** What was signed for this batch. @param hash SHA-256 */
export const signedBytes = (
  prefixes: SigningPrefixes,
  hash: (bytes: Uint8Array) => Uint8Array,
  { signed, body }: DecodedBatch,
): Uint8Array => concat([prefixes[signed], signed === 'digest' ? hash(body) : body])

const putHeader = (headers: Record<string, string>, entry: Uint8Array): void => {
  const reader = new ProtobufReader(entry)
  let key = ''
  let value = ''
  while (reader.more()) {
    const tag = reader.varint()
    if (tag === delimitedTag(1)) key = decodeShort(reader.delimited(), MAX_HEADER_BYTES * 3)
    else if (tag === delimitedTag(2)) value = decodeShort(reader.delimited(), MAX_HEADER_BYTES * 3)
    else reader.skip(tag & 7)
  }
  // An own property also for a name such as __proto__, which an assignment would take for the prototype.
  Object.defineProperty(headers, key, { value, enumerable: true, configurable: true, writable: true })
}

const checkHeaders = (headers: Record<string, string>): void => {
  const entries = Object.entries(headers)
  const size = entries.reduce((sum, [key, value]) => sum + key.length + value.length, 0)
  if (entries.length > MAX_HEADERS || size > MAX_HEADER_BYTES) throw malformed(`${entries.length} headers of ${size}`)
}

const readAttribute = (event: WireEvent, tag: number, reader: ProtobufReader): void => {
  if (tag === delimitedTag(4)) event.id = decodeShort(reader.delimited(), MAX_ATTRIBUTE_BYTES)
  else if (tag === delimitedTag(5)) event.type = decodeShort(reader.delimited(), MAX_ATTRIBUTE_BYTES)
  else if (tag === delimitedTag(6)) event.version = decodeShort(reader.delimited(), MAX_ATTRIBUTE_BYTES)
  else if (tag === delimitedTag(7)) event.conversationId = decodeShort(reader.delimited(), MAX_ATTRIBUTE_BYTES)
  else if (tag === delimitedTag(8)) event.correlationId = decodeShort(reader.delimited(), MAX_ATTRIBUTE_BYTES)
  else if (tag === delimitedTag(9)) {
    event.headers ??= {}
    putHeader(event.headers, reader.delimited())
  } else if (tag === varintTag(10)) event.priority = WIRE_PRIORITIES[reader.varint()] ?? 'normal'
  else if (tag === varintTag(11)) event.ttlMs = reader.varint()
  else reader.skip(tag & 7)
}

/** True where `a` and `b` hold the same bytes; for short ones, where a call costs more than the loop. */
const same = (a: Uint8Array, b: Uint8Array | undefined): boolean => {
  if (b === undefined || a.length !== b.length) return false
  for (let i = 0; i < a.length; i += 1) if (a[i] !== b[i]) return false
  return true
}

/**
 * Reads the events of one batch, one after another.
 * @returns a function from the index of an event to the event; it throws MSG003 for one that is malformed, and the
 *   others can still be read
 */
export const eventDecoder = (batch: DecodedBatch): ((index: number) => WireEvent) => {
  // Most batches repeat one topic: its text is made once.
  let topicBytes: Uint8Array | undefined
  let topic = ''
  return (index) => {
    const reader = new ProtobufReader(batch.body, batch.spans[index * 2] ?? 0, batch.spans[index * 2 + 1] ?? 0)
    const event: WireEvent = { topic: '', text: '' }
    let content = JSON_CONTENT
    while (reader.more()) {
      const tag = reader.varint()
      if (tag === delimitedTag(1)) {
        const bytes = reader.delimited()
        if (!same(bytes, topicBytes)) {
          topic = decodeShort(bytes, MAX_TOPIC_LENGTH * 3)
          topicBytes = bytes
        }
        event.topic = topic
      } else if (tag === delimitedTag(2)) event.text = decode(reader.delimited())
      else if (tag === varintTag(3)) content = reader.varint()
      else readAttribute(event, tag, reader)
    }
    if (content !== JSON_CONTENT) throw malformed(`content ${content}, which this version does not read`)
    if (event.headers !== undefined) checkHeaders(event.headers)
    return event
  }
}
