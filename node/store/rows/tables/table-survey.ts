/** Looks at each byte of a table, and tells what is left of one that is damaged. Pure. */
import { isParleyError, type ParleyError } from '../../../../protocols/errors.ts'
import { decodeHeader, LOG_HEADER_BYTES, salvageFrames } from '../../log/log-frames.ts'
import type { TableRef } from '../row-manifest.ts'
import { BLOCK, BlockIndex, KeyFilter, RowReader } from './table-format.ts'
import { damagedTable } from './table-reader.ts'

/** What can be read of a table. */
interface FoundTable {
  readonly blocks: readonly Uint8Array[]
  readonly lost: number
  readonly problem: ParleyError | undefined
}

/** Each block, the filter and the index, held against one another. */
export const judgeTable = (ref: TableRef, bytes: Uint8Array): FoundTable => {
  const header = decodeHeader(bytes)
  const frames = [...salvageFrames(bytes, ref.salt)]
  const blocks = frames.filter(({ payload }) => payload[0] === BLOCK).map(({ payload }) => payload)
  const isWhole = header !== undefined && bytes.length === ref.bytes && header.sequence === ref.number
  const last = frames.at(-1)
  const end = last?.end ?? LOG_HEADER_BYTES
  const chain = frames.every(({ previous, at }, i) => {
    const before = frames[i - 1]
    return previous === (before?.crc ?? 0) && at === (before?.end ?? LOG_HEADER_BYTES)
  })
  const isNamed = last?.crc === ref.index.crc && frames.at(-2)?.crc === ref.filter.crc
  if (isWhole && chain && isNamed && end === bytes.length) return { blocks, lost: 0, problem: rowsProblem(ref, frames) }
  const index = last?.crc === ref.index.crc ? new BlockIndex(last.payload) : undefined
  const lost = index === undefined ? 1 : Math.max(0, index.count - blocks.length)
  return { blocks, lost, problem: damagedTable(ref, 'is damaged') }
}

/** Whether the rows are those that the index and the filter say. */
const rowsProblem = (
  ref: TableRef,
  frames: readonly { payload: Uint8Array; crc: number }[],
): ParleyError | undefined => {
  try {
    const [filter, index] = frames.slice(-2).map(({ payload }) => payload)
    if (filter === undefined || index === undefined) return damagedTable(ref, 'has no index')
    const places = new BlockIndex(index)
    new KeyFilter(filter)
    let [rows, before] = [0, '']
    for (const [i, { payload, crc }] of frames.slice(0, -2).entries()) {
      if (places.place(i).crc !== crc) return damagedTable(ref, 'has blocks that its index does not name')
      const reader = new RowReader(payload)
      while (reader.more()) {
        const { key } = reader.next()
        if (rows > 0 && key <= before) return damagedTable(ref, 'has rows that are not in order')
        before = key
        rows += 1
      }
    }
    return rows === ref.rows ? undefined : damagedTable(ref, `has ${rows} rows, and should have ${ref.rows}`)
  } catch (error) {
    return isParleyError(error) ? damagedTable(ref, 'has something else than rows', error) : undefined
  }
}
