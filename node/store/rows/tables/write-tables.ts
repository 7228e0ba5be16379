/** Writes rows into as many tables as they take. Keeps no state. */
import type { Disk } from '../../files/disk.ts'
import { storeError } from '../../log/log-segments.ts'
import type { TableRef } from '../row-manifest.ts'
import type { Pace } from '../row-options.ts'
import type { MergedRows } from './merged-rows.ts'
import type { TableRow } from './table-format.ts'
import type { TableReader } from './table-reader.ts'
import { type TableWriter, tableName } from './table-writer.ts'

export interface RowWriting {
  keeps(row: TableRow): boolean
  /** @param last all rows up to this key are in tables that were told; '' for all there are */
  onTable?(ref: TableRef, last: string): Promise<void>
  /** Nobody waits for what is left of it. */
  isOver?(): boolean
  /** A table that can stay as it is, and comes next. */
  moved?(): { readonly ref: TableRef; take(): void } | undefined
}

interface TableWriting extends RowWriting {
  readonly disk: Disk
  readonly tables: TableReader
  readonly pace: Pace
  /** A table that has grown beyond it is followed by another one. */
  readonly tableBytes: number
  begin(): Promise<TableWriter>
}

/** @throws what the disk says, STA003 `closed`; tables that nobody was told of are removed then */
export const writeTables = async (
  rows: MergedRows,
  { keeps, onTable, moved, isOver, disk, tables, pace, tableBytes, begin }: TableWriting,
): Promise<TableRef[]> => {
  const written: TableRef[] = []
  let writer: TableWriter | undefined
  let before = ''
  const end = async (last: string): Promise<void> => {
    if (writer === undefined) return
    const table = await writer.finish()
    const { ref } = table
    writer = undefined
    tables.adopt(table)
    written.push(ref)
    await onTable?.(ref, last)
  }
  try {
    while (await rows.load()) {
      const whole = moved?.()
      if (whole !== undefined) {
        await end(before)
        written.push(whole.ref)
        whole.take()
        before = whole.ref.last
        continue
      }
      for (let row = rows.next(); row !== undefined; row = rows.next()) {
        if (keeps(row)) {
          writer ??= await begin()
          writer.add(row.key, row.value)
          if (writer.isDue) await writer.flush()
          if (writer.size >= tableBytes) await end(row.key)
        }
        before = row.key
        if (pace.isDue()) {
          await pace.rest()
          if (isOver?.() === true) throw storeError('closed', 'the store is closed', 'open it again')
        }
      }
    }
    await end('')
    return written
  } catch (error) {
    await writer?.abandon()
    // Those that were told of are somebody's.
    if (onTable === undefined) for (const { number } of written) await disk.remove(tableName(number)).catch(() => {})
    throw error
  }
}
