/**
 * What all rows come to, kept as they change: how many, the sum of their CRCs, and about how many bytes.
 *
 * To take an old row out of the sum its CRC has to be known. State: the prints of at most `maxKnown` rows, those that
 * were written last, and a filter of the keys of others: what it does not have is a new one; else the old row has to be read
 * first.
 */
import { createKeyFilter } from './key-filter.ts'
import { addToSum, bytesIn, crcIn, type RowPrint, takeFromSum } from './row-codec.ts'

export interface RowTally {
  /** Rows that there are. */
  readonly count: number
  readonly sum: number
  /** Of keys and values, about. */
  readonly bytes: number
  /** Those of the keys whose old rows have to be read before `change` is told of them. */
  unknown(keys: Iterable<string>): string[]
  /** Of the row that there is; undefined: none, as far as `unknown` did not name the key. */
  printOf(key: string): RowPrint | undefined
  /** @param was of the row until now, undefined where there was none; @param is undefined: it is removed */
  change(key: string, was: RowPrint | undefined, is: RowPrint | undefined): void
}

/** For keys of 30 bytes: 10 to 15 MB at most. */
const MAX_KNOWN = 131_072
/** Of the keys that leave, with each row that is put: they are gone long before the next ones have to leave. */
const LEAVE_AT_ONCE = 4

export const createRowTally = (maxKnown: number = MAX_KNOWN): RowTally => {
  // A third of what is known each: where the newest one is full, the oldest one leaves. No key is in two of them.
  let newer = new Map<string, RowPrint>()
  let older = new Map<string, RowPrint>()
  let leaving = new Map<string, RowPrint>()
  /** Of the rows that are in none of them, and of some that are gone. */
  const others = createKeyFilter()
  let count = 0
  let sum = 0
  let bytes = 0

  const printOf = (key: string): RowPrint | undefined => newer.get(key) ?? older.get(key) ?? leaving.get(key)

  /** Not all at once: it would hold everything up for milliseconds. */
  const leave = (atMost: number): void => {
    if (leaving.size === 0) return
    let left = 0
    for (const key of leaving.keys()) {
      if (left === atMost) return
      left += 1
      leaving.delete(key)
      others.add(key)
    }
  }

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
      newer.size + older.size + leaving.size === count
        ? []
        : [...keys].filter((key) => printOf(key) === undefined && others.mayHave(key)),
    printOf,
    change(key, was, is) {
      if (was !== undefined) {
        count -= 1
        sum = takeFromSum(sum, crcIn(was))
        bytes -= bytesIn(was)
        if (older.size > 0) older.delete(key)
        if (leaving.size > 0) leaving.delete(key)
      }
      if (is === undefined) {
        newer.delete(key)
        return
      }
      count += 1
      sum = addToSum(sum, crcIn(is))
      bytes += bytesIn(is)
      newer.set(key, is)
      leave(LEAVE_AT_ONCE)
      if (newer.size <= maxKnown / 3) return
      leave(leaving.size)
      if (newer.size + older.size === count) others.clear()
      leaving = older
      older = newer
      newer = new Map()
    },
  }
}
