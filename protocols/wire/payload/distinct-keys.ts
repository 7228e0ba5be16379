/**
 * How many different keys the objects of a payload have, counted while its bytes are gone through, whatever hashes were
 * chosen for them. State: of each key its hash and where it is.
 */
import { ParleyError } from '../../errors.ts'

/** Keys that differ, in all objects together: each costs a parser as much as twenty others. */
export const MAX_KEYS = 2 ** 16
/** What is too much of a payload: its parts, not its bytes. */
export const tooComplex = (what: string, most: number): ParleyError =>
  new ParleyError('MSG003', `the payload has more than ${most} ${what}`, {
    hint: 'send it in several messages, as a stream, or as bytes',
    details: { reason: 'too-complex', most },
  })

/** No payload of fewer bytes has so many keys: a quote or a byte of length, a letter or two, and a value for each. */
export const KEYS_FROM_BYTES = MAX_KEYS * 3
/** Places of the table of keys at first, a power of two; half of them stay free. */
const FEW_PLACES = 1024
/** Steps to tell keys apart whose places are the same: hundreds for each place that an honest payload would need. */
const MAX_STEPS = 2 ** 22

/** FNV-1a, mixed once more; 0 stands for a free place. */
const hashOf = (bytes: Uint8Array, from: number, to: number): number => {
  let hash = 0x811c9dc5
  for (let at = from; at < to; at += 1) hash = Math.imul(hash ^ (bytes[at] ?? 0), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return hash ^ (hash >>> 12) || 1
}

/**
 * Counts keys that differ; none where the payload cannot hold too many. Anybody can choose keys whose hashes are the same:
 * they are told apart by their bytes, and whoever makes that a lot of work is refused.
 */
export const createDistinctKeyCounter = (bytes: Uint8Array): { add(from: number, to: number): void } | undefined => {
  if (bytes.length < KEYS_FROM_BYTES) return undefined
  let hashes = new Int32Array(FEW_PLACES)
  /** Where each key begins and ends. */
  let ends = new Int32Array(2 * FEW_PLACES)
  let different = 0
  let steps = 0

  const isAt = (place: number, from: number, to: number): boolean => {
    const other = ends[2 * place] ?? 0
    const length = to - from
    if ((ends[2 * place + 1] ?? 0) - other !== length) return false
    let same = 0
    while (same < length && bytes[other + same] === bytes[from + same]) same += 1
    if (same < length) steps += same
    return same === length
  }

  const put = (hash: number, from: number, to: number): void => {
    let place = hash & (hashes.length - 1)
    while (hashes[place] !== 0) place = (place + 1) & (hashes.length - 1)
    hashes[place] = hash
    ends[2 * place] = from
    ends[2 * place + 1] = to
  }

  const grow = (): void => {
    const [before, at] = [hashes, ends]
    hashes = new Int32Array(4 * before.length)
    ends = new Int32Array(2 * hashes.length)
    for (const [place, hash] of before.entries()) if (hash !== 0) put(hash, at[2 * place] ?? 0, at[2 * place + 1] ?? 0)
  }

  return {
    add(from, to) {
      const hash = hashOf(bytes, from, to)
      let place = hash & (hashes.length - 1)
      while (hashes[place] !== 0) {
        if (hashes[place] === hash && isAt(place, from, to)) return
        steps += 1
        if (steps > MAX_STEPS) throw tooComplex('steps to tell its keys apart', MAX_STEPS)
        place = (place + 1) & (hashes.length - 1)
      }
      different += 1
      if (different > MAX_KEYS) throw tooComplex('different keys', MAX_KEYS)
      if (2 * different > hashes.length) grow()
      put(hash, from, to)
    },
  }
}
