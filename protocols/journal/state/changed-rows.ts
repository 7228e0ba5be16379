/**
 * Rows of one collection that are in no snapshot yet, and a listing of all of them with those of the snapshot. None of them is
 * taken away: a row that is gone has no value.
 *
 * They are put in their order only where somebody lists them; what came since costs no more than that then.
 * State: the rows, their keys in order, as far as somebody asked.
 */
import { SortedKeys } from '../../sorted-keys.ts'
import { type CollectionRow, rowKey, type SharedRows } from './collection-rows.ts'

/** Keys that are put in their place in one go: some milliseconds. */
const KEYS_AT_ONCE = 2_048

export class ChangedRows extends Map<string, string | undefined> {
  readonly #keys = new SortedKeys([])
  #sorted = 0
  #unsorted: Iterator<string> | undefined

  /** @returns whether others have no place yet */
  sort(most: number = KEYS_AT_ONCE): boolean {
    // An iterator that has come to its end stays there: it is not asked for more than there are.
    this.#unsorted ??= this.keys()
    const end = Math.min(this.size, this.#sorted + most)
    for (; this.#sorted < end; this.#sorted += 1) this.#keys.add(this.#unsorted.next().value as string)
    return this.#sorted < this.size
  }

  /** The first one above. */
  nextKey(after: string): string | undefined {
    this.sort(Number.POSITIVE_INFINITY)
    return this.#keys.take(after, true, 1)[0]
  }
}

const DECODER = new TextDecoder()

export interface RowListing {
  /** Id of the collection. */
  readonly id: string
  /** In no snapshot; of a row that several have, the first one says what counts. */
  readonly changed: readonly ChangedRows[]
  readonly saved: SharedRows | undefined
  readonly after: string
  readonly most: number
  readonly mostBytes: number
}

interface ChangedRow {
  readonly key: string
  /** Undefined: it is gone. */
  readonly value: string | undefined
}

const nextChanged = (changed: readonly ChangedRows[], after: string): ChangedRow | undefined => {
  let next: ChangedRow | undefined
  for (const rows of changed) {
    const key = rows.nextKey(after)
    if (key !== undefined && (next === undefined || key < next.key)) next = { key, value: rows.get(key) }
  }
  return next
}

/** As they are when each part of them is read; at least one where there is any. */
export const listRows = async (listing: RowListing): Promise<CollectionRow[]> => {
  const { id, changed, saved, after, most, mostBytes } = listing
  const rows: CollectionRow[] = []
  let bytes = 0
  /** @returns whether there is room for it */
  const take = (key: string, text: string): boolean => {
    bytes += text.length
    if (rows.length >= most || (rows.length > 0 && bytes > mostBytes)) return false
    rows.push({ key, value: JSON.parse(text) })
    return true
  }
  let passed = after
  /** Those below `end`. @returns whether there is room for all of them */
  const takeChanged = (end: string | undefined): boolean => {
    for (;;) {
      const next = nextChanged(changed, passed)
      if (next === undefined || (end !== undefined && next.key >= end)) return true
      passed = next.key
      if (next.value !== undefined && !take(next.key, next.value)) return false
    }
  }
  const prefix = rowKey(id, '')
  saved?.use()
  try {
    for await (const row of saved?.rows.rows(prefix, after === '' ? undefined : rowKey(id, after)) ?? []) {
      const key = row.key.slice(prefix.length)
      if (!takeChanged(key)) return rows
      if (changed.some((of) => of.has(key))) continue
      if (!take(key, DECODER.decode(row.value))) return rows
      passed = key
    }
  } finally {
    saved?.release()
  }
  takeChanged(undefined)
  return rows
}
