/**
 * The part of the protobuf wire format that the mesh needs: varints, length-delimited fields, unknown fields skipped.
 *
 * Source: protobuf.dev/programming-guides/encoding. Encoders here write fields in ascending order and leave out zero
 * values, as every proto3 encoder does, so the bytes equal those of a generated codec (a property test holds them
 * together). Decoders throw MSG003 for anything malformed and never read past their end.
 */
import { allocUnsafe } from 'uint8arrays/alloc'
import { fromString } from 'uint8arrays/from-string'
import { toString as decodeText } from 'uint8arrays/to-string'
import { ParleyError } from '../../errors.ts'

export const VARINT = 0
export const FIXED64 = 1
export const DELIMITED = 2
export const FIXED32 = 5

export const malformed = (what: string): ParleyError =>
  new ParleyError('MSG003', `malformed bytes: ${what}`, { hint: 'the peer speaks another protocol or is broken' })

/** Bytes that `value` takes as a varint; values up to 2^53 - 1. */
export const varintSize = (value: number): number => {
  if (value < 0x80) return 1
  if (value < 0x4000) return 2
  if (value < 0x200000) return 3
  if (value < 0x10000000) return 4
  let size = 4
  let rest = Math.floor(value / 0x10000000)
  while (rest > 0) {
    size += 1
    rest = Math.floor(rest / 0x80)
  }
  return size
}

/** Size of a varint field with a tag of one byte; 0 when the value is the default and left out. */
export const varintFieldSize = (value: number): number => (value === 0 ? 0 : 1 + varintSize(value))

/** Size of a length-delimited field, without the tag. */
export const delimitedSize = (byteLength: number): number => varintSize(byteLength) + byteLength

/** What a writer reserves for a field's tag and length, or for its tag and number. */
export const FIELD_ROOM = 15

/** Writes into one buffer that grows by doubling. */
export class ProtobufWriter {
  bytes: Uint8Array
  at = 0

  /** @param room bytes to begin with, or a buffer to write into */
  constructor(room: number | Uint8Array = 1024) {
    this.bytes = typeof room === 'number' ? new Uint8Array(room) : room
  }

  /** Makes room for `size` more bytes. */
  reserve(size: number): void {
    if (this.at + size <= this.bytes.length) return
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.at + size))
    grown.set(this.bytes.subarray(0, this.at))
    this.bytes = grown
  }

  varint(value: number): void {
    let rest = value
    while (rest >= 0x10000000) {
      this.bytes[this.at++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    while (rest >= 0x80) {
      this.bytes[this.at++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    this.bytes[this.at++] = rest
  }

  tag(field: number, wireType: number): void {
    this.varint((field << 3) | wireType)
  }

  varintField(field: number, value: number): void {
    if (value === 0) return
    this.reserve(FIELD_ROOM)
    this.tag(field, VARINT)
    this.varint(value)
  }

  bytesField(field: number, value: Uint8Array): void {
    if (value.length === 0) return
    this.delimited(field, value)
  }

  stringField(field: number, value: string | undefined): void {
    if (value !== undefined && value.length > 0) this.delimited(field, fromString(value))
  }

  /** A short text known to be ASCII; cheaper than an encoder for a few letters. */
  ascii(field: number, value: string): void {
    this.reserve(FIELD_ROOM + value.length)
    this.tag(field, DELIMITED)
    this.varint(value.length)
    for (let i = 0; i < value.length; i += 1) this.bytes[this.at++] = value.charCodeAt(i) & 0x7f
  }

  /** A length-delimited field, written even when it is empty (nested messages, repeated entries). */
  delimited(field: number, value: Uint8Array): void {
    this.reserve(FIELD_ROOM + value.length)
    this.tag(field, DELIMITED)
    this.varint(value.length)
    this.bytes.set(value, this.at)
    this.at += value.length
  }

  /** What was written; a copy, so that the writer can be used again after `at = 0`. */
  finish(): Uint8Array {
    return this.bytes.slice(0, this.at)
  }

  /** What was written, and the writer begins anew: a buffer that is mostly full is given away rather than copied. */
  take(): Uint8Array {
    const { bytes, at } = this
    this.at = 0
    if (at * 2 < bytes.length) return bytes.slice(0, at)
    this.bytes = allocUnsafe(bytes.length)
    return bytes.subarray(0, at)
  }
}

/** Reads one message; `end` is where it stops in `bytes`. */
export class ProtobufReader {
  readonly bytes: Uint8Array
  at: number
  readonly end: number

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes
    this.at = at
    this.end = end
  }

  more(): boolean {
    return this.at < this.end
  }

  varint(): number {
    const bytes = this.bytes
    let byte = this.next()
    if (byte < 0x80) return byte
    let value = byte & 0x7f
    let scale = 0x80
    for (let i = 1; i < 8; i += 1) {
      byte = bytes[this.at] ?? 0
      if (this.at >= this.end) throw malformed('a varint is cut off')
      this.at += 1
      value += (byte & 0x7f) * scale
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) throw malformed('a number above 2^53')
        return value
      }
      scale *= 0x80
    }
    throw malformed('a varint of more than 8 bytes')
  }

  private next(): number {
    if (this.at >= this.end) throw malformed('a field is cut off')
    return this.bytes[this.at++] ?? 0
  }

  /** A view into the bytes, not a copy. */
  delimited(): Uint8Array {
    const length = this.varint()
    const start = this.at
    if (length > this.end - start) throw malformed(`a field of ${length} bytes is cut off`)
    this.at = start + length
    return this.bytes.subarray(start, this.at)
  }

  string(maxBytes: number): string {
    const bytes = this.delimited()
    if (bytes.length > maxBytes) throw malformed(`a text of ${bytes.length} bytes, at most ${maxBytes} here`)
    return decodeText(bytes)
  }

  /** Skips a field that this version does not know. */
  skip(wireType: number): void {
    if (wireType === VARINT) {
      // A 64-bit value of an unknown field may exceed what varint() takes.
      for (let i = 0; i < 10; i += 1) if (this.next() < 0x80) return
      throw malformed('a varint of more than 10 bytes')
    }
    const size = wireType === FIXED64 ? 8 : wireType === FIXED32 ? 4 : wireType === DELIMITED ? this.varint() : -1
    if (size < 0) throw malformed(`wire type ${wireType}`)
    if (size > this.end - this.at) throw malformed(`a field of ${size} bytes is cut off`)
    this.at += size
  }
}
