/**
 * How much a payload may hold, found out by one pass over its bytes before it is parsed: JSON and CBOR.
 *
 * Four million bytes are soon read where they are text or numbers. Nested arrays, a million empty objects, or a hundred
 * thousand different keys take a hundred times as long, and what a program does with the value then calls itself as deep
 * as the value goes. The pass is linear, allocates little, and stops where a bound is passed; a payload too short
 * to pass one is not looked at. It does not say whether the bytes are well-formed: the parser does.
 * Source: RFC 8259; RFC 8949 section 3.
 */
import { fromString } from 'uint8arrays/from-string'
import { toString as decodeText } from 'uint8arrays/to-string'
import type { ParleyError } from '../../errors.ts'
import { createDistinctKeyCounter, KEYS_FROM_BYTES, tooComplex } from './distinct-keys.ts'

/** Arrays and objects in one another. */
export const MAX_DEPTH = 128
/** Arrays, objects and keys together. */
export const MAX_NODES = 2 ** 18
/** Everything that is a value. */
export const MAX_VALUES = 2 ** 20

const tooDeep = (): ParleyError => tooComplex('levels of arrays and objects', MAX_DEPTH)

const QUOTE = 0x22
const BACKSLASH = 0x5c

const STRING = 1
const OPENS = 2
const CLOSES = 3
const COLON = 4
const COMMA = 5
/** What a byte of JSON outside of strings means here; most mean nothing. */
const MEANS = new Uint8Array(256)
for (const [text, means] of [
  ['"', STRING],
  ['[{', OPENS],
  [']}', CLOSES],
  [':', COLON],
  [',', COMMA],
] as const) {
  for (const letter of text) MEANS[letter.charCodeAt(0)] = means
}

/** Beyond so many bytes a search is faster than a look at each. */
const SHORT_BYTES = 24

/** The same bytes as a Buffer: its search is native, and many times as fast as that of a Uint8Array. */
const searchable = (bytes: Uint8Array): Uint8Array =>
  bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** Where the string that begins at `from` has its closing quote; the end of the bytes where it has none. */
const closing = (bytes: Uint8Array, from: number, escapes: { at: number }): number => {
  const { length } = bytes
  const near = Math.min(length, from + SHORT_BYTES)
  let at = from
  while (at < near) {
    const byte = bytes[at]
    if (byte === QUOTE) return at
    at += byte === BACKSLASH ? 2 : 1
  }
  // The next backslash is looked for once, not for each string before it.
  if (escapes.at < at) {
    const next = bytes.indexOf(BACKSLASH, at)
    escapes.at = next < 0 ? length : next
  }
  const end = bytes.indexOf(QUOTE, at)
  if (end < 0) return length
  if (end < escapes.at) return end
  while (at < length && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1
  return at
}

/** Whether `mark` is there more than `most` times. */
const isOftener = (text: string, mark: string, most: number): boolean => {
  let count = 0
  for (let at = text.indexOf(mark); at >= 0; at = text.indexOf(mark, at + 1)) {
    count += 1
    if (count > most) return true
  }
  return false
}

/**
 * Nothing but its levels can be too many, and these are not where it is too short to close them, or has no more brackets of
 * either kind than half of them.
 */
const isPlain = (text: string): boolean =>
  text.length <= 2 * MAX_DEPTH ||
  (text.length < KEYS_FROM_BYTES && !isOftener(text, '{', MAX_DEPTH / 2) && !isOftener(text, '[', MAX_DEPTH / 2))

/**
 * JSON of a peer's where it comes as text.
 * @throws MSG003 where it holds more than is taken; what JSON.parse throws
 */
export const readJsonText = (text: string): unknown => {
  if (!isPlain(text)) checkJsonBounds(fromString(text))
  return JSON.parse(text)
}

/**
 * JSON of a peer's, within the bounds of a payload. Of a short one the text is looked at, which costs a tenth of its
 * reading; a long one before there is any text.
 * @throws MSG003 where it holds more than is taken; what JSON.parse throws
 */
export const readJson = (bytes: Uint8Array): unknown => {
  const isLong = bytes.length >= KEYS_FROM_BYTES
  if (isLong) checkJsonBounds(bytes)
  const text = decodeText(bytes)
  if (!isLong && !isPlain(text)) checkJsonBounds(bytes)
  return JSON.parse(text)
}

/** @throws MSG003 where the JSON text holds more than is taken */
export const checkJsonBounds = (payload: Uint8Array): void => {
  const { length } = payload
  // Whatever opens has to close.
  if (length <= 2 * MAX_DEPTH) return
  const bytes = searchable(payload)
  const keys = createDistinctKeyCounter(bytes)
  const escapes = { at: -1 }
  let depth = 0
  let nodes = 0
  let values = 0
  let keyFrom = 0
  let keyTo = 0
  for (let at = 0; at < length; at += 1) {
    const means = MEANS[bytes[at] ?? 0]
    if (means === 0) continue
    if (means === COMMA) values += 1
    else if (means === STRING) {
      values += 1
      keyFrom = at + 1
      at = closing(bytes, keyFrom, escapes)
      keyTo = at
    } else if (means === CLOSES) depth -= 1
    else {
      nodes += 1
      if (nodes > MAX_NODES) throw tooComplex('arrays, objects and keys', MAX_NODES)
      if (means === COLON) keys?.add(keyFrom, keyTo)
      else {
        depth += 1
        if (depth > MAX_DEPTH) throw tooDeep()
      }
    }
    if (values > MAX_VALUES) throw tooComplex('values', MAX_VALUES)
  }
}

const BREAK = 0xff
const INDEFINITE = 31

/** The number behind the first byte of an item, and where it ends; -1 where it is cut off or too large for a payload. */
const argument = (bytes: Uint8Array, at: number, minor: number): number => {
  if (minor < 24) return minor
  const size = 1 << (minor - 24)
  if (minor > 27 || at + size >= bytes.length) return -1
  let value = 0
  for (let i = 1; i <= size; i += 1) value = value * 256 + (bytes[at + i] ?? 0)
  return value
}

/** @throws MSG003 where the CBOR holds more than is taken, or says that it holds more than there are bytes */
export const checkCborBounds = (bytes: Uint8Array): void => {
  const { length } = bytes
  if (length <= MAX_DEPTH) return
  const keys = createDistinctKeyCounter(bytes)
  /** Of the arrays and maps around the one that is open: items that are still to come, and whether it is a map. */
  const outerLeft: number[] = []
  const outerMap: boolean[] = []
  let left = 1
  let isMap = false
  let nodes = 0
  let values = 0
  let at = 0

  const open = (items: number, map: boolean): void => {
    nodes += 1
    if (outerLeft.length >= MAX_DEPTH) throw tooDeep()
    if (items !== Number.POSITIVE_INFINITY && items > length - at) throw tooComplex('bytes to come', length - at)
    outerLeft.push(left)
    outerMap.push(isMap)
    left = items
    isMap = map
  }
  const close = (): void => {
    left = outerLeft.pop() ?? 0
    isMap = outerMap.pop() ?? false
  }

  while (at < length) {
    const first = bytes[at] ?? 0
    if (first === BREAK) {
      // The parser says what is wrong with one that ends nothing.
      if (outerLeft.length === 0) return
      close()
      at += 1
    } else {
      const major = first >>> 5
      const minor = first & 31
      const isEndless = minor === INDEFINITE
      const value = isEndless ? Number.POSITIVE_INFINITY : argument(bytes, at, minor)
      if (value < 0) return
      at += minor < 24 || isEndless ? 1 : 1 + (1 << (minor - 24))
      values += 1
      if (values > MAX_VALUES) throw tooComplex('values', MAX_VALUES)
      // In a map that says its length an even number is left where a key comes.
      const isKey = isMap && left % 2 === 0
      if (isKey) nodes += 1
      // A tag is no item of its own.
      if (major !== 6) left -= 1
      if (major === 4 || major === 5) open(major === 4 ? value : value * 2, major === 5)
      else if (major === 2 || major === 3) {
        if (isEndless) open(value, false)
        else {
          if (value > length - at) throw tooComplex('bytes to come', length - at)
          if (isKey) keys?.add(at, at + value)
          at += value
        }
      }
      if (nodes > MAX_NODES) throw tooComplex('arrays, objects and keys', MAX_NODES)
    }
    while (left === 0) {
      if (outerLeft.length === 0) return
      close()
    }
  }
}
