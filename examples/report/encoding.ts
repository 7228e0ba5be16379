/**
 * Bytes to text: which encoding, decoded without ever failing. Pure.
 *
 * Order: byte order mark, then NUL bytes (binary, or UTF-16 without a mark), then UTF-8; where most of what is not ASCII
 * is broken as UTF-8, windows-1252, the usual single-byte encoding of old files. The result is always well-formed.
 * Marks and decoders as in the WHATWG Encoding standard; the NUL test over the first 8,000 bytes is git's.
 */
import { isUtf8 } from 'node:buffer'

export type Encoding = 'utf-8' | 'utf-16le' | 'utf-16be' | 'utf-32le' | 'utf-32be' | 'windows-1252'

export interface Decoded {
  text: string
  encoding: Encoding
  /** Places that could not be decoded and became U+FFFD. */
  replaced: number
}

const SNIFF_BYTES = 8000
/** Share of control characters above which it is no text: random bytes have 10 %, text with terminal colours none. */
const MAX_CONTROL_SHARE = 0.03
/** Share of unassigned, private and broken characters above which UTF-16 is no text: random bytes have 20 %. */
const MAX_STRANGE_SHARE = 0.05
/** Share of UTF-16 code units with an empty half that shows text of a western script without a byte order mark. */
const MIN_EMPTY_HALVES = 0.9

const CONTROLS = (() => {
  const table = new Uint8Array(256)
  for (let byte = 0; byte < 32; byte += 1) table[byte] = 1
  for (const byte of [7, 8, 9, 10, 12, 13, 27]) table[byte] = 0
  table[127] = 1
  return table
})()

const controlShare = (bytes: Uint8Array): number => {
  let controls = 0
  for (const byte of bytes) controls += CONTROLS[byte] ?? 0
  return bytes.length === 0 ? 0 : controls / bytes.length
}

const count = (text: string, pattern: RegExp): number => {
  let hits = 0
  while (pattern.exec(text) !== null) hits += 1
  return hits
}
const replacements = (text: string): number => count(text, /\uFFFD/g)

/** What windows-1252 has in 0x80 to 0x9F; five of them are undefined and stay control characters. */
const WINDOWS_1252 = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008DŽ\u008F\u0090‘’“”•–—˜™š›œ\u009Dž\u009F'

const windows1252 = (bytes: Buffer): string =>
  bytes.toString('latin1').replace(/[\x80-\x9f]/g, (char) => WINDOWS_1252[char.charCodeAt(0) - 0x80] ?? char)

const utf32 = (bytes: Buffer, littleEndian: boolean): string => {
  const pieces: string[] = []
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let start = 0; start + 4 <= bytes.length; start += 4096) {
    const points: number[] = []
    for (let at = start; at + 4 <= bytes.length && at < start + 4096; at += 4) {
      const point = view.getUint32(at, littleEndian)
      points.push(point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff) ? 0xfffd : point)
    }
    pieces.push(String.fromCodePoint(...points))
  }
  return pieces.join('')
}

/** `cut`: more bytes follow that were not read, so half a character at the end is left out instead of replaced. */
const decodeAs = (encoding: 'utf-8' | 'utf-16le' | 'utf-16be', bytes: Buffer, cut: boolean): string =>
  new TextDecoder(encoding).decode(bytes, { stream: cut })

const asUtf16 = (encoding: 'utf-16le' | 'utf-16be', bytes: Buffer, cut: boolean): Decoded | undefined => {
  const text = decodeAs(encoding, bytes, cut)
  const strange = count(text, /[\p{Cn}\p{Co}\p{Cs}\uFFFD]|(?![\t\n\r])\p{Cc}/gu)
  if (strange > Math.max(1, text.length * MAX_STRANGE_SHARE)) return undefined
  return { text, encoding, replaced: replacements(text) }
}

const asUtf32 = (encoding: 'utf-32le' | 'utf-32be', bytes: Buffer): Decoded | undefined => {
  const text = utf32(bytes.subarray(4), encoding === 'utf-32le')
  const replaced = replacements(text)
  return replaced > Math.max(1, text.length * MAX_STRANGE_SHARE) ? undefined : { text, encoding, replaced }
}

const startsWith = (bytes: Buffer, ...mark: number[]): boolean => mark.every((byte, at) => bytes[at] === byte)

/** UTF-16 of a western script without a mark: nearly every second byte of the sample is NUL. */
const unmarkedUtf16 = (sample: Buffer): 'utf-16le' | 'utf-16be' | undefined => {
  const empty = [0, 0]
  for (const [at, byte] of sample.entries()) if (byte === 0) empty[at % 2] = (empty[at % 2] ?? 0) + 1
  const enough = (sample.length / 2) * MIN_EMPTY_HALVES
  const [even = 0, odd = 0] = empty
  if (odd >= enough && even === 0) return 'utf-16le'
  return even >= enough && odd === 0 ? 'utf-16be' : undefined
}

const asUtf8 = (bytes: Buffer, cut: boolean): Decoded => {
  const text = decodeAs('utf-8', bytes, cut)
  if (isUtf8(bytes)) return { text, encoding: 'utf-8', replaced: 0 }
  const replaced = replacements(text)
  const sound = count(text, /[^\0-\x7f\uFFFD]/gu)
  if (replaced <= sound) return { text, encoding: 'utf-8', replaced }
  return { text: windows1252(bytes), encoding: 'windows-1252', replaced: 0 }
}

/**
 * @param cut more bytes follow that were not read
 * @returns undefined for what is no text
 */
export const decode = (bytes: Buffer, cut = false): Decoded | undefined => {
  if (startsWith(bytes, 0xff, 0xfe, 0, 0)) return asUtf32('utf-32le', bytes)
  if (startsWith(bytes, 0, 0, 0xfe, 0xff)) return asUtf32('utf-32be', bytes)
  if (startsWith(bytes, 0xff, 0xfe)) return asUtf16('utf-16le', bytes, cut)
  if (startsWith(bytes, 0xfe, 0xff)) return asUtf16('utf-16be', bytes, cut)
  const sample = bytes.subarray(0, SNIFF_BYTES)
  if (sample.includes(0)) {
    const encoding = unmarkedUtf16(sample)
    return encoding === undefined ? undefined : asUtf16(encoding, bytes, cut)
  }
  // A PDF may begin with thousands of printable bytes; its words are compressed all the same.
  if (bytes.subarray(0, 5).equals(Buffer.from('%PDF-'))) return undefined
  return controlShare(bytes) > MAX_CONTROL_SHARE ? undefined : asUtf8(bytes, cut)
}
