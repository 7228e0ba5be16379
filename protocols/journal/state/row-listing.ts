/** Rows of one collection in their order: those of the last snapshot, with what has changed since. Keeps no state. */

import type { ChangedRows } from './changed-rows.ts'
import { type CollectionRow, rowKey, type SharedRows } from './collection-rows.ts'

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
