/**
 * The form of a table: rows in the order of their keys, in a file that never changes. Pure.
 *
 * The file has the header of a log (log-frames.ts), then frames: blocks of rows, the index of the blocks, the filter of the
 * keys. The first byte of a payload says which. The index has the checksum of each block, and whoever names the table has
 * those of its index and its filter: so a block that is of another file, or older, is none of this table.
 *
 * Keys are texts whose characters are the bytes of UTF-8, so that they compare as bytes do (`byteText`).
 */
import { crc32 } from 'node:zlib'
import { malformed } from '../../../../protocols/wire/frames/protobuf.ts'

export const BLOCK = 1
export const INDEX = 2
export const FILTER = 3
/** Rows gather up to this size; a larger row is a block of its own. */
export const BLOCK_BYTES = 8 * 1024

/** `value` undefined: the row was removed, whatever older tables have. */
export interface TableRow {
  readonly key: string
  readonly value: Uint8Array | undefined
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters that UTF-8 has in one byte
const ASCII = /^[\x00-\x7f]*$/

/** The bytes of a text in UTF-8, as characters. */
export const byteText = (text: string): string =>
  ASCII.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1')

/** What `byteText` was made of. */
export const textOf = (bytes: string): string =>
  ASCII.test(bytes) ? bytes : Buffer.from(bytes, 'latin1').toString('utf8')

/** Bytes of a number below 2^35. */
export const varintBytes = (value: number): number => {
  if (value < 0x80) return 1
  if (value < 0x4000) return 2
  if (value < 0x200000) return 3
  return value < 0x10000000 ? 4 : 5
}

/** Bytes of a row. */
export const rowBytes = (key: string, value: Uint8Array | undefined): number => {
  const head = varintBytes(key.length) + key.length
  return value === undefined ? head + 1 : head + varintBytes(value.length + 1) + value.length
}

/** Rows one after the other: length of the key, key, length of the value and one (0: removed), value. */
export class RowWriter {
  #bytes: Buffer
  #at = 0

  /** @param into bytes to begin with, or a buffer that has room for all that comes, and where in it */
  constructor(into: number | Uint8Array = BLOCK_BYTES, at = 0) {
    this.#bytes =
      typeof into === 'number' ? Buffer.allocUnsafe(into) : Buffer.from(into.buffer, into.byteOffset, into.length)
    this.#at = at
  }

  get size(): number {
    return this.#at
  }

  #reserve(size: number): void {
    if (this.#at + size <= this.#bytes.length) return
    const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + size))
    this.#bytes.copy(grown, 0, 0, this.#at)
    this.#bytes = grown
  }

  byte(value: number): void {
    this.#bytes[this.#at++] = value
  }

  varint(value: number): void {
    let rest = value
    while (rest >= 0x80) {
      this.#bytes[this.#at++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#bytes[this.#at++] = rest
  }

  add(key: string, value: Uint8Array | undefined): void {
    this.#reserve(rowBytes(key, value))
    this.varint(key.length)
    this.#at += this.#bytes.write(key, this.#at, 'latin1')
    this.varint(value === undefined ? 0 : value.length + 1)
    if (value === undefined) return
    this.#bytes.set(value, this.#at)
    this.#at += value.length
  }

  /** A view, good until something is added. */
  written(): Uint8Array {
    return this.#bytes.subarray(0, this.#at)
  }

  /** @param kind what the next payload begins with */
  begin(kind: number): void {
    this.#at = 0
    this.#bytes[this.#at++] = kind
  }
}

/** Reads what RowWriter wrote. State: where it is. @throws MSG003 for bytes that are cut off */
export class RowReader {
  readonly #bytes: Buffer
  #at: number

  constructor(bytes: Uint8Array, at = 1) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#at = at
  }

  more(): boolean {
    return this.#at < this.#bytes.length
  }

  varint(): number {
    let value = 0
    for (let scale = 1; scale < 2 ** 56; scale *= 0x80) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw malformed('a number of a row is cut off')
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
    }
    throw malformed('a number of a row has more than eight bytes')
  }

  #skip(size: number): number {
    const from = this.#at
    this.#at += size
    if (this.#at > this.#bytes.length) throw malformed('a row is cut off')
    return from
  }

  #value(): Uint8Array | undefined {
    const length = this.varint()
    if (length === 0) return undefined
    const from = this.#skip(length - 1)
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + from, length - 1)
  }

  next(): TableRow {
    const length = this.varint()
    const from = this.#skip(length)
    return { key: this.#bytes.toString('latin1', from, from + length), value: this.#value() }
  }

  /** The row of this key, where rows are in order; undefined: there is none. */
  find(key: Buffer): { readonly value: Uint8Array | undefined } | undefined {
    while (this.more()) {
      const length = this.varint()
      const from = this.#skip(length)
      const order = this.#bytes.compare(key, 0, key.length, from, from + length)
      if (order > 0) return undefined
      const value = this.#value()
      if (order === 0) return { value }
    }
    return undefined
  }
}

/** Where a frame lies in its file. */
export interface FramePlace {
  readonly at: number
  /** Of the whole frame, bytes. */
  readonly length: number
  readonly crc: number
}

const ENTRY_BYTES = 16
const INDEX_HEAD = 8

/** Where each block lies, and the first key in it. Bytes as they lie on the disk, so that nothing of it is on the heap. */
export class BlockIndex {
  readonly #bytes: Buffer
  readonly #keys: number
  readonly count: number

  /** @throws MSG003 */
  constructor(payload: Uint8Array) {
    this.#bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length)
    if (payload.length < INDEX_HEAD || payload[0] !== INDEX) throw malformed('no index of a table')
    this.count = this.#bytes.readUInt32BE(4)
    this.#keys = INDEX_HEAD + this.count * ENTRY_BYTES
    if (this.#keys > payload.length) throw malformed('an index of a table that is cut off')
  }

  static encode(blocks: readonly (FramePlace & { readonly first: string })[]): Uint8Array {
    const keys = Buffer.from(blocks.map(({ first }) => first).join(''), 'latin1')
    const bytes = Buffer.alloc(INDEX_HEAD + blocks.length * ENTRY_BYTES + keys.length)
    bytes[0] = INDEX
    bytes.writeUInt32BE(blocks.length, 4)
    let keyEnd = 0
    for (const [i, { at, length, crc, first }] of blocks.entries()) {
      keyEnd += first.length
      const entry = INDEX_HEAD + i * ENTRY_BYTES
      bytes.writeUInt32BE(at, entry)
      bytes.writeUInt32BE(length, entry + 4)
      bytes.writeUInt32BE(crc, entry + 8)
      bytes.writeUInt32BE(keyEnd, entry + 12)
    }
    keys.copy(bytes, INDEX_HEAD + blocks.length * ENTRY_BYTES)
    return bytes
  }

  place(block: number): FramePlace {
    const entry = INDEX_HEAD + block * ENTRY_BYTES
    return {
      at: this.#bytes.readUInt32BE(entry),
      length: this.#bytes.readUInt32BE(entry + 4),
      crc: this.#bytes.readUInt32BE(entry + 8),
    }
  }

  #compare(block: number, key: Buffer): number {
    const end = INDEX_HEAD + block * ENTRY_BYTES + 12
    const from = this.#keys + (block === 0 ? 0 : this.#bytes.readUInt32BE(end - ENTRY_BYTES))
    return this.#bytes.compare(key, 0, key.length, from, this.#keys + this.#bytes.readUInt32BE(end))
  }

  /** The block that has the key if any has; -1: all begin behind it. */
  find(key: Buffer): number {
    let [low, high] = [0, this.count]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#compare(middle, key) <= 0) low = middle + 1
      else high = middle
    }
    return low - 1
  }
}

const BITS_A_KEY = 10
const PROBES = 6
const FILTER_HEAD = 8

/** Spreads what a CRC tells over 32 bits. Finalizer of MurmurHash3 (Appleby, public domain). */
const mixed = (value: number): number => {
  let hash = value ^ (value >>> 16)
  hash = Math.imul(hash, 0x85ebca6b)
  hash ^= hash >>> 13
  hash = Math.imul(hash, 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** What a filter knows of a key. */
export const hashOf = (key: Uint8Array): number => mixed(crc32(key))

/** Kirsch and Mitzenmacher 2006: two hashes stand in for any number of them. */
const secondHash = (hash: number): number => mixed(hash ^ 0x9e3779b9) | 1

/** Bloom 1970, ten bits a key: of a hundred keys that it does not have it takes one for such a key. */
export class KeyFilter {
  readonly #bytes: Uint8Array
  readonly #bits: number

  /** @throws MSG003 */
  constructor(payload: Uint8Array) {
    if (payload.length <= FILTER_HEAD || payload[0] !== FILTER) throw malformed('no filter of a table')
    this.#bytes = payload
    this.#bits = (payload.length - FILTER_HEAD) * 8
  }

  /** @param hashes of all keys, the first `count` of them */
  static encode(hashes: Uint32Array, count: number): Uint8Array {
    const bytes = new Uint8Array(FILTER_HEAD + Math.max(8, Math.ceil((count * BITS_A_KEY) / 8)))
    bytes[0] = FILTER
    const bits = (bytes.length - FILTER_HEAD) * 8
    for (let i = 0; i < count; i += 1) {
      let at = hashes[i] ?? 0
      const step = secondHash(at)
      for (let probe = 0; probe < PROBES; probe += 1) {
        const bit = at % bits
        const byte = FILTER_HEAD + (bit >>> 3)
        bytes[byte] = (bytes[byte] ?? 0) | (1 << (bit & 7))
        at = (at + step) >>> 0
      }
    }
    return bytes
  }

  mayHave(hash: number): boolean {
    let at = hash
    const step = secondHash(hash)
    for (let probe = 0; probe < PROBES; probe += 1) {
      const bit = at % this.#bits
      if (((this.#bytes[FILTER_HEAD + (bit >>> 3)] ?? 0) & (1 << (bit & 7))) === 0) return false
      at = (at + step) >>> 0
    }
    return true
  }
}
