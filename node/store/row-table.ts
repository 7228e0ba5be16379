/**
 * Whether a table of LevelDB is whole. Pure.
 *
 * LevelDB checks the checksums of its blocks only when it is told to, which cannot be done here, and a reader who goes
 * through all rows does not see what is wrong with the index or the filter: a row that is there is not found then by its
 * key. So each block is checked. Source: LevelDB 1.20, doc/table_format.txt; our tables are not compressed.
 */
import { crc32c } from './crc32c.ts'

const FOOTER_BYTES = 48
/** Type and masked CRC-32C behind each block. */
const TRAILER_BYTES = 5
const MAGIC = 0xdb_47_75_24_8b_80_fb_57n
const MASK_DELTA = 0xa2_82_ea_d8
const UNCOMPRESSED = 0
/** An offset or a length; more bits than a file has. */
const MAX_VARINT_BYTES = 7

interface Cursor {
  at: number
}

interface Handle {
  readonly offset: number
  readonly size: number
}

class NotWhole extends Error {}

const varint = (bytes: Uint8Array, cursor: Cursor): number => {
  let value = 0
  for (let i = 0; i < MAX_VARINT_BYTES; i += 1) {
    const byte = bytes[cursor.at]
    if (byte === undefined) break
    cursor.at += 1
    value += (byte & 0x7f) * 2 ** (7 * i)
    if (byte < 0x80) return value
  }
  throw new NotWhole()
}

const handle = (bytes: Uint8Array, cursor: Cursor): Handle => ({
  offset: varint(bytes, cursor),
  size: varint(bytes, cursor),
})

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const unmask = (masked: number): number => {
  const rotated = (masked - MASK_DELTA) >>> 0
  return ((rotated >>> 17) | (rotated << 15)) >>> 0
}

/** What the block holds. @throws NotWhole */
const blockAt = (table: Uint8Array, { offset, size }: Handle): Uint8Array => {
  const end = offset + size
  if (end + TRAILER_BYTES > table.length - FOOTER_BYTES) throw new NotWhole()
  const isWhole = crc32c(table.subarray(offset, end + 1)) === unmask(viewOf(table).getUint32(end + 1, true))
  if (!isWhole || table[end] !== UNCOMPRESSED) throw new NotWhole()
  return table.subarray(offset, end)
}

/** Blocks that an index points to: entries of shared and own bytes of a key, and a handle; then the restarts. */
const handlesIn = (index: Uint8Array): Handle[] => {
  if (index.length < 4) throw new NotWhole()
  const restarts = viewOf(index).getUint32(index.length - 4, true)
  const end = index.length - 4 - 4 * restarts
  const found: Handle[] = []
  for (const cursor = { at: 0 }; cursor.at < end; ) {
    varint(index, cursor)
    const own = varint(index, cursor)
    const size = varint(index, cursor)
    cursor.at += own
    found.push(handle(index, { at: cursor.at }))
    cursor.at += size
  }
  return found
}

/** @param table the whole file */
export const isWholeTable = (table: Uint8Array): boolean => {
  try {
    if (table.length < FOOTER_BYTES) return false
    const footer = table.subarray(table.length - FOOTER_BYTES)
    if (viewOf(footer).getBigUint64(FOOTER_BYTES - 8, true) !== MAGIC) return false
    const cursor = { at: 0 }
    const meta = handle(footer, cursor)
    const index = handle(footer, cursor)
    for (const one of [...handlesIn(blockAt(table, meta)), ...handlesIn(blockAt(table, index))]) blockAt(table, one)
    return footer.subarray(cursor.at, FOOTER_BYTES - 8).every((byte) => byte === 0)
  } catch (error) {
    if (error instanceof NotWhole) return false
    throw error
  }
}
