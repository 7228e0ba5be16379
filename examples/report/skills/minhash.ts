/**
 * A MinHash signature of a document: two signatures agree in about as many rows as the documents share word shingles
 * (Broder: "On the resemblance and containment of documents", 1997).
 *
 * One pass, whatever the number of rows: one permutation hashing (Li, Owen, Zhang, NIPS 2012) with optimal densification
 * (Shrivastava, ICML 2017). Shingles are five words in a row, lower case; in scripts without spaces five signs.
 * Pure; the same on every machine, since agents' signatures are compared with each other.
 */
import { SIGNATURE_ROWS } from '../contracts.ts'

const SHINGLE_WORDS = 5
/** With fewer words a document resembles others by chance. */
export const MIN_WORDS = 24
const EMPTY = -1

const WORD = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]|[\p{L}\p{N}\p{M}_]{1,64}/gu

/** The finalizer of MurmurHash3 (A. Appleby, public domain): every bit of the input moves every bit of the output. */
const mix = (value: number): number => {
  let hash = value
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** FNV-1a over code units. */
const hashWord = (word: string): number => {
  let hash = 0x811c9dc5
  for (let at = 0; at < word.length; at += 1) hash = Math.imul(hash ^ word.charCodeAt(at), 0x01000193)
  return mix(hash)
}

/** Fills each empty row from a row chosen by its number and the attempt, the same for all documents. */
const densify = (rows: number[]): number[] =>
  rows.map((own, row) => {
    let value = own
    for (let attempt = 1; value === EMPTY; attempt += 1) {
      value = rows[mix(row * 0x10001 + attempt * 0x9e3779b1) % rows.length] ?? EMPTY
    }
    return value
  })

/** 128 numbers of 32 bits, or none for a document of fewer than 24 words. */
export const signatureOf = (text: string): number[] => {
  const rows = new Array<number>(SIGNATURE_ROWS).fill(EMPTY)
  const recent = new Array<number>(SHINGLE_WORDS).fill(0)
  const pattern = new RegExp(WORD)
  const lower = text.toLowerCase()
  let words = 0
  for (let match = pattern.exec(lower); match !== null; match = pattern.exec(lower)) {
    recent[words % SHINGLE_WORDS] = hashWord(match[0])
    words += 1
    if (words < SHINGLE_WORDS) continue
    let shingle = 0
    for (let back = 0; back < SHINGLE_WORDS; back += 1) {
      shingle = Math.imul(shingle, 0x01000193) + (recent[(words + back) % SHINGLE_WORDS] ?? 0)
    }
    const hash = mix(shingle)
    const row = hash % SIGNATURE_ROWS
    const value = mix(hash ^ 0x5bd1e995)
    const least = rows[row] ?? EMPTY
    if (least === EMPTY || value < least) rows[row] = value
  }
  return words < MIN_WORDS ? [] : densify(rows)
}

/** Estimated Jaccard similarity of the shingles, 0 to 1; standard error 0.035 at 0.8. */
export const similarity = (a: readonly number[], b: readonly number[]): number => {
  if (a.length !== SIGNATURE_ROWS || b.length !== SIGNATURE_ROWS) return 0
  let equal = 0
  for (let row = 0; row < SIGNATURE_ROWS; row += 1) if (a[row] === b[row]) equal += 1
  return equal / SIGNATURE_ROWS
}
