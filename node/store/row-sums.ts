/**
 * What all rows come to, kept as they change: how many, the sum of their CRCs, and about how many bytes.
 *
 * To take an old row out of the sum its CRC has to be known. State: the prints of at most `maxKnown` rows, those that
 * were written last. While that is all of them, a key that is not known is a new one; else the old row has to be read first.
 */
import { addToSum, bytesIn, crcIn, type Print, takeFromSum } from './row-code.ts'

export interface Tally {
  /** Rows that there are. */
  readonly count: number
  readonly sum: number
  /** Of keys and values, about. */
  readonly bytes: number
  /** Those of the keys whose old rows have to be read before `change` is told of them. */
  unknown(keys: Iterable<string>): string[]
  /** Of the row that there is; undefined: none, as far as `unknown` did not name the key. */
  printOf(key: string): Print | undefined
  /** @param was of the row until now, undefined where there was none; @param is undefined: it is removed */
  change(key: string, was: Print | undefined, is: Print | undefined): void
}

/** For keys of 30 bytes: 10 to 15 MB at most. */
const MAX_KNOWN = 131_072

export const createTally = (maxKnown: number = MAX_KNOWN): Tally => {
  // Half of what is known each: where the newer one is full, the older one is forgotten as a whole. No key is in both.
  let newer = new Map<string, Print>()
  let older = new Map<string, Print>()
  let count = 0
  let sum = 0
  let bytes = 0
  return {
    get count() {
      return count
    },
    get sum() {
      return sum
    },
    get bytes() {
      return bytes
    },
    unknown: (keys) =>
      newer.size + older.size === count ? [] : [...keys].filter((key) => !newer.has(key) && !older.has(key)),
    printOf: (key) => newer.get(key) ?? older.get(key),
    change(key, was, is) {
      if (was !== undefined) {
        count -= 1
        sum = takeFromSum(sum, crcIn(was))
        bytes -= bytesIn(was)
        if (older.size > 0) older.delete(key)
      }
      if (is === undefined) {
        newer.delete(key)
        return
      }
      count += 1
      sum = addToSum(sum, crcIn(is))
      bytes += bytesIn(is)
      newer.set(key, is)
      if (newer.size <= maxKnown / 2) return
      older = newer
      newer = new Map()
    },
  }
}
