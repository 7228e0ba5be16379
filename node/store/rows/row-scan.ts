/** Ranges of rows, a part at a time. Keeps no state. */
import type { MemoryRows } from './memory-rows.ts'
import { MergedRows } from './tables/merged-rows.ts'
import type { TableSet } from './tables/table-set.ts'

/** Of a part. */
export const SCAN_ROWS = 512
const SCAN_BYTES = 1024 * 1024

/** Which rows are read. */
export interface RowSpan {
  readonly prefix: string
  readonly after?: string | undefined
  readonly limit?: number | undefined
}

/** A part of a range. Keys are as in tables (`byteText`). */
export interface ScannedRows {
  readonly rows: readonly { readonly key: string; readonly value: Uint8Array }[]
  /** Where there may be more. */
  readonly next: string | undefined
}

/**
 * @param memories the newest first
 * @param from the first key that counts
 */
export const readSpan = async (
  memories: readonly (MemoryRows | undefined)[],
  set: Pick<TableSet, 'sources'>,
  { from, prefix, count }: { readonly from: string; readonly prefix: string; readonly count: number },
): Promise<ScannedRows> => {
  const { sources, unpin } = set.sources(from)
  const inMemory = memories.filter((memory) => memory !== undefined).map((memory) => memory.source(from))
  const merged = new MergedRows([...inMemory, ...sources])
  const rows: { key: string; value: Uint8Array }[] = []
  let bytes = 0
  try {
    while (await merged.load()) {
      for (let row = merged.next(); row !== undefined; row = merged.next()) {
        const { key, value } = row
        if (!key.startsWith(prefix)) return { rows, next: undefined }
        if (value === undefined) continue
        rows.push({ key, value })
        bytes += value.length
        if (rows.length >= count || bytes >= SCAN_BYTES) return { rows, next: `${key}\0` }
      }
    }
    return { rows, next: undefined }
  } finally {
    unpin()
  }
}
