/**
 * The wire form of a batch of events, written by hand: batch.proto is the format, and a property test holds both
 * together through an independent decoder. batch-decoder.ts is the other direction.
 *
 * What is signed are the bytes that travel. Texts go straight into the buffer of the batch, because at
 * 100,000 events a second an extra copy of each is what the time goes to.
 */

import { allocUnsafe } from 'uint8arrays/alloc'
import { concat } from 'uint8arrays/concat'
import { fromString } from 'uint8arrays/from-string'
import { WIRE_PRIORITIES } from '../../wire/frames/frame.ts'
import { DELIMITED, FIELD_ROOM, ProtobufWriter, varintSize } from '../../wire/frames/protobuf.ts'
import { DIRECT_RECIPIENTS_BYTES } from './direct-recipients.ts'
import type { EventAttributes } from './event-attributes.ts'

export const MAX_BATCH_EVENTS = 1000
/** gossipsub loses larger messages without an error (they go nowhere from about 4 MiB on). */
export const MAX_BATCH_BYTES = 1024 * 1024

export const EVENTS_TAG = (7 << 3) | DELIMITED

export interface BatchHeader {
  publisher: string
  word: string
  epoch: number
  /** Sequence number of the first event. */
  first: number
  sentAt: number
  waitedMs: number
  /** Whom the batch reaches directly (direct-recipients.ts). */
  circle?: Uint8Array | undefined
}

const encoder = new TextEncoder()

/** Moves what was written after `at` so that its length fits in front; nothing moves when `guess` bytes were right. */
const putLength = (writer: ProtobufWriter, at: number, guess: number): void => {
  const length = writer.at - at - guess
  const size = varintSize(length)
  if (size !== guess) {
    writer.reserve(size)
    writer.bytes.copyWithin(at + size, at + guess, writer.at)
  }
  writer.at = at
  writer.varint(length)
  writer.at += length
}

/** Writes text straight into the buffer; most texts are ASCII, so their length is known before they are encoded. */
const putText = (writer: ProtobufWriter, field: number, text: string): void => {
  const guess = varintSize(text.length)
  writer.reserve(11 + text.length * 3)
  writer.tag(field, DELIMITED)
  const at = writer.at
  writer.at += guess + encoder.encodeInto(text, writer.bytes.subarray(at + guess)).written
  putLength(writer, at, guess)
}

const putAttributes = (writer: ProtobufWriter, attributes: EventAttributes): void => {
  if (attributes.id !== undefined) putText(writer, 4, attributes.id)
  if (attributes.type !== undefined) putText(writer, 5, attributes.type)
  if (attributes.version !== undefined) putText(writer, 6, attributes.version)
  if (attributes.conversationId !== undefined) putText(writer, 7, attributes.conversationId)
  if (attributes.correlationId !== undefined) putText(writer, 8, attributes.correlationId)
  if (attributes.headers !== undefined) {
    for (const [key, value] of Object.entries(attributes.headers)) {
      writer.reserve(12)
      writer.tag(9, DELIMITED)
      const at = writer.at
      writer.at += 1
      putText(writer, 1, key)
      putText(writer, 2, value)
      putLength(writer, at, 1)
    }
  }
  if (attributes.priority !== undefined) writer.varintField(10, WIRE_PRIORITIES.indexOf(attributes.priority))
  if (attributes.ttlMs !== undefined) writer.varintField(11, attributes.ttlMs)
}

/**
 * Writes one event behind what `writer` holds, as field 7 of a Batch.
 * @param topic the topic's name, already UTF-8: it repeats, so it is encoded once
 * @param text the payload: JSON
 */
export const putEvent = (
  writer: ProtobufWriter,
  topic: Uint8Array,
  text: string,
  attributes: EventAttributes | undefined,
): void => {
  const guess = varintSize(text.length + topic.length + 6)
  writer.reserve(topic.length + 32)
  const bytes = writer.bytes
  bytes[writer.at] = EVENTS_TAG
  const at = writer.at + 1
  writer.at = at + guess
  writer.tag(1, DELIMITED)
  writer.varint(topic.length)
  // Topics are short: a loop is cheaper than set().
  for (let i = 0; i < topic.length; i += 1) bytes[writer.at + i] = topic[i] ?? 0
  writer.at += topic.length
  putText(writer, 2, text)
  if (attributes !== undefined) putAttributes(writer, attributes)
  putLength(writer, at, guess)
}

/** What stands in front of what the publisher signs and everyone verifies. */
export interface SigningPrefixes {
  /** Of the digest of a body. */
  readonly digest: Uint8Array
  /** Of a body, as versions before had it: such batches lie in histories. */
  readonly body: Uint8Array
}

export const signingPrefixes = (mesh: string): SigningPrefixes => ({
  digest: fromString(`parley/events/2\n${mesh}\n`),
  body: fromString(`parley/events/1\n${mesh}\n`),
})

const encodeHeader = (header: BatchHeader): Uint8Array => {
  const writer = new ProtobufWriter(256)
  putText(writer, 1, header.publisher)
  putText(writer, 2, header.word)
  writer.varintField(3, header.epoch)
  writer.varintField(4, header.first)
  writer.varintField(5, header.sentAt)
  writer.varintField(6, header.waitedMs)
  if (header.circle !== undefined) writer.bytesField(8, header.circle)
  return writer.bytes.subarray(0, writer.at)
}

/** Four numbers of the header, its direct recipients, and tags and lengths around its texts. */
const NUMBERS_ROOM = 4 * FIELD_ROOM + (DIRECT_RECIPIENTS_BYTES + FIELD_ROOM) + 2 * FIELD_ROOM
const SIGNATURE_ROOM = 64 + FIELD_ROOM

/**
 * A closed batch until it travels. Its events are copied once, into a buffer with room for what comes around them: the
 * length of the body and the header in front, the signature at the end.
 */
export class BatchDraft {
  readonly eventBytes: number
  private readonly prefix: Uint8Array
  private readonly hash: (bytes: Uint8Array) => Uint8Array
  private readonly bytes: Uint8Array
  private readonly eventsAt: number
  private bodyAt: number

  /**
   * @param prefix of a digest
   * @param hash SHA-256
   * @param events written by putEvent; they may be overwritten afterwards
   * @param from publisher and word as the header will name them
   */
  constructor(
    prefix: Uint8Array,
    hash: (bytes: Uint8Array) => Uint8Array,
    from: Pick<BatchHeader, 'publisher' | 'word'>,
    events: Uint8Array,
  ) {
    this.prefix = prefix
    this.hash = hash
    this.eventBytes = events.length
    this.eventsAt = FIELD_ROOM + 3 * (from.publisher.length + from.word.length) + NUMBERS_ROOM
    this.bodyAt = this.eventsAt
    this.bytes = allocUnsafe(this.eventsAt + events.length + SIGNATURE_ROOM)
    this.bytes.set(events, this.eventsAt)
  }

  /** What is to be signed: it fixes the header. */
  toSign(header: BatchHeader): Uint8Array {
    const encoded = encodeHeader(header)
    this.bodyAt = this.eventsAt - encoded.length
    this.bytes.set(encoded, this.bodyAt)
    return concat([this.prefix, this.hash(this.bytes.subarray(this.bodyAt, this.eventsAt + this.eventBytes))])
  }

  /** The bytes that travel. */
  seal(signature: Uint8Array): Uint8Array {
    const writer = new ProtobufWriter(this.bytes)
    const length = this.eventsAt + this.eventBytes - this.bodyAt
    const start = this.bodyAt - 1 - varintSize(length)
    writer.at = start
    writer.tag(1, DELIMITED)
    writer.varint(length)
    writer.at = this.bodyAt + length
    writer.bytesField(3, signature)
    return writer.bytes.subarray(start, writer.at)
  }
}
