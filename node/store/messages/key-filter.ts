/**
 * Keys that may have a row, in two to four bytes a key: of a hundred that were never added it takes one for such a key at most.
 *
 * Bloom filters, each twice as large as the one before (Bloom 1970; Almeida et al. 2007, "Scalable Bloom Filters"), over the
 * CRC-32 of the key, which of a million keys confuses one with 0.02 % of the new ones. Nothing is taken out. State: the bits.
 * Bound: MAX_KEYS, beyond which every key may have a row.
 */
import { crc32 } from 'node:zlib'

export interface KeyFilter {
  add(key: string): void
  mayHave(key: string): boolean
  clear(): void
}

const FIRST_KEYS = 65_536
const BITS_A_KEY = 16
const PROBES = 6
/** 32 MiB of bits. */
export const MAX_KEYS = 8 * 1024 * 1024

interface Layer {
  readonly words: Uint32Array
  readonly keys: number
  added: number
}

const layerOf = (keys: number): Layer => ({ words: new Uint32Array((keys * BITS_A_KEY) / 32), keys, added: 0 })

/** Spreads what a CRC tells over 32 bits. Finalizer of MurmurHash3 (Appleby, public domain). */
const mixed = (value: number): number => {
  let hash = value ^ (value >>> 16)
  hash = Math.imul(hash, 0x85ebca6b)
  hash ^= hash >>> 13
  hash = Math.imul(hash, 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** @param maxKeys that are told apart at most */
export const createKeyFilter = (maxKeys: number = MAX_KEYS): KeyFilter => {
  let layers: Layer[] = []
  let size = 0
  let isFull = false

  /** Kirsch and Mitzenmacher: two hashes stand in for any number of them. */
  const isIn = ({ words }: Layer, one: number, two: number): boolean => {
    const mask = words.length * 32 - 1
    for (let i = 0, at = one; i < PROBES; i += 1, at = (at + two) >>> 0) {
      const bit = at & mask
      if (((words[bit >>> 5] ?? 0) & (1 << (bit & 31))) === 0) return false
    }
    return true
  }

  const has = (one: number, two: number): boolean => layers.some((layer) => isIn(layer, one, two))

  const hashes = (key: string): [number, number] => {
    const one = mixed(crc32(key))
    return [one, mixed(one ^ 0x9e3779b9) | 1]
  }

  return {
    add(key) {
      if (isFull) return
      const [one, two] = hashes(key)
      if (has(one, two)) return
      if (size >= maxKeys) {
        isFull = true
        layers = []
        return
      }
      let last = layers.at(-1)
      if (last === undefined || last.added >= last.keys) {
        last = layerOf(last === undefined ? FIRST_KEYS : 2 * last.keys)
        layers.push(last)
      }
      const mask = last.words.length * 32 - 1
      for (let i = 0, at = one; i < PROBES; i += 1, at = (at + two) >>> 0) {
        const bit = at & mask
        last.words[bit >>> 5] = (last.words[bit >>> 5] ?? 0) | (1 << (bit & 31))
      }
      last.added += 1
      size += 1
    },
    mayHave: (key) => isFull || (size > 0 && has(...hashes(key))),
    clear() {
      layers = []
      size = 0
      isFull = false
    },
  }
}
