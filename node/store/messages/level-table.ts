/**
 * Whether a table of LevelDB is whole, and what can be kept of one that is not. Pure.
 *
 * LevelDB checks the checksums of its blocks only when it is told to, which cannot be done here, and a reader who goes
 * through all rows does not see what is wrong with the index or the filter: a row that is there is not found then by its
 * key; its assertions end the process where a block is damaged. So each block is checked before LevelDB sees it. Source: LevelDB 1.20, doc/table_format.txt; our tables are not compressed.
 */
import { addByte, CRC_START, crc32c, crcOf } from './crc32c.ts'

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
const mask = (crc: number): number => (((crc >>> 15) | (crc << 17)) + MASK_DELTA) >>> 0

/** What the block holds. @throws NotWhole */
const blockAt = (table: Uint8Array, { offset, size }: Handle): Uint8Array => {
  const end = offset + size
  if (end + TRAILER_BYTES > table.length - FOOTER_BYTES) throw new NotWhole()
  const isWhole = crc32c(table.subarray(offset, end + 1)) === unmask(viewOf(table).getUint32(end + 1, true))
  if (!isWhole || table[end] !== UNCOMPRESSED) throw new NotWhole()
  return table.subarray(offset, end)
}

interface Entry {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** What a block holds: each key with the bytes that it shares with the one before. @throws NotWhole */
const entriesIn = function* (block: Uint8Array): Generator<Entry> {
  if (block.length < 4) throw new NotWhole()
  const restarts = viewOf(block).getUint32(block.length - 4, true)
  const end = block.length - 4 - 4 * restarts
  let key = new Uint8Array()
  for (const cursor = { at: 0 }; cursor.at < end; ) {
    const shared = varint(block, cursor)
    const own = varint(block, cursor)
    const size = varint(block, cursor)
    if (shared > key.length || cursor.at + own + size > end) throw new NotWhole()
    key = Buffer.concat([key.subarray(0, shared), block.subarray(cursor.at, cursor.at + own)])
    cursor.at += own
    yield { key, value: block.subarray(cursor.at, cursor.at + size) }
    cursor.at += size
  }
}

const handlesIn = (index: Uint8Array): Handle[] => [...entriesIn(index)].map(({ value }) => handle(value, { at: 0 }))

interface Footer {
  readonly meta: Handle
  readonly index: Handle
}

/** @throws NotWhole */
const footerOf = (table: Uint8Array): Footer => {
  if (table.length < FOOTER_BYTES) throw new NotWhole()
  const footer = table.subarray(table.length - FOOTER_BYTES)
  if (viewOf(footer).getBigUint64(FOOTER_BYTES - 8, true) !== MAGIC) throw new NotWhole()
  const cursor = { at: 0 }
  const found = { meta: handle(footer, cursor), index: handle(footer, cursor) }
  if (footer.subarray(cursor.at, FOOTER_BYTES - 8).some((byte) => byte !== 0)) throw new NotWhole()
  return found
}

const attempt = <T>(read: () => T): T | undefined => {
  try {
    return read()
  } catch (error) {
    if (error instanceof NotWhole) return undefined
    throw error
  }
}

/** @param table the whole file */
export const isWholeTable = (table: Uint8Array): boolean =>
  attempt(() => {
    const { meta, index } = footerOf(table)
    for (const one of [...handlesIn(blockAt(table, meta)), ...handlesIn(blockAt(table, index))]) blockAt(table, one)
    return true
  }) ?? false

/** The block that begins there, found by its checksum. */
const blockFrom = (table: Uint8Array, offset: number): Handle | undefined => {
  const view = viewOf(table)
  let crc = CRC_START
  for (let end = offset; end + TRAILER_BYTES <= table.length; end += 1) {
    crc = addByte(crc, view.getUint8(end))
    if (view.getUint8(end) !== UNCOMPRESSED || end - offset < 4) continue
    if (crcOf(crc) === unmask(view.getUint32(end + 1, true))) return { offset, size: end - offset }
  }
  return undefined
}

/** A key of a row, with its number and whether it is there or removed behind it. */
const NUMBER_BYTES = 8

/** The last key of a block of rows. @returns undefined for any other block */
const lastKeyOf = (block: Uint8Array): Uint8Array | undefined =>
  attempt(() => {
    let last: Uint8Array | undefined
    for (const { key } of entriesIn(block)) {
      const type = key.at(-NUMBER_BYTES) ?? 0
      if (key.length < NUMBER_BYTES || type > 1) throw new NotWhole()
      last = key
    }
    return last
  })

/** An index: its first entry points to the first block. */
const isIndexOf = (block: Uint8Array, first: Handle): boolean =>
  attempt(() => {
    const [entry] = entriesIn(block)
    const to = entry && handle(entry.value, { at: 0 })
    return to?.offset === first.offset && to.size === first.size
  }) ?? false

interface DataBlock {
  readonly at: Handle
  readonly lastKey: Uint8Array
}

const dataBlockAt = (table: Uint8Array, at: Handle): DataBlock | undefined => {
  const block = attempt(() => blockAt(table, at))
  const lastKey = block && lastKeyOf(block)
  return lastKey === undefined ? undefined : { at, lastKey }
}

/** Whole blocks of rows, as the index says, or where that cannot be read those that follow one another from the beginning. */
const dataBlocks = (table: Uint8Array): DataBlock[] => {
  const named = attempt(() => handlesIn(blockAt(table, footerOf(table).index))) ?? []
  const found = named.flatMap((at) => dataBlockAt(table, at) ?? [])
  if (found.length > 0) return found
  for (let at = blockFrom(table, 0); at !== undefined; at = blockFrom(table, at.offset + at.size + TRAILER_BYTES)) {
    const block = table.subarray(at.offset, at.offset + at.size)
    const lastKey = lastKeyOf(block)
    const [first] = found
    if (lastKey === undefined || (first !== undefined && isIndexOf(block, first.at))) break
    found.push({ at, lastKey })
  }
  return found
}

const encodeVarint = (value: number): number[] =>
  value < 0x80 ? [value] : [(value % 0x80) | 0x80, ...encodeVarint(Math.floor(value / 0x80))]
const encodeHandle = ({ offset, size }: Handle): Uint8Array =>
  Uint8Array.from([...encodeVarint(offset), ...encodeVarint(size)])

/** A block of these entries, no key shared, with its trailer. */
const encodeBlock = (entries: readonly Entry[]): Uint8Array => {
  const parts = entries.map(({ key, value }) =>
    Buffer.concat([Uint8Array.from([0, ...encodeVarint(key.length), ...encodeVarint(value.length)]), key, value]),
  )
  const restarts = Buffer.alloc(4 * Math.max(1, parts.length) + 4)
  let at = 0
  for (const [i, part] of parts.entries()) {
    restarts.writeUInt32LE(at, 4 * i)
    at += part.length
  }
  restarts.writeUInt32LE(Math.max(1, parts.length), restarts.length - 4)
  const block = Buffer.concat([...parts, restarts, Uint8Array.of(UNCOMPRESSED)])
  const crc = Buffer.alloc(4)
  crc.writeUInt32LE(mask(crc32c(block)))
  return Buffer.concat([block, crc])
}

/**
 * A table of the blocks of rows that are whole.
 * @returns undefined: there are none
 */
export const salvageTable = (table: Uint8Array): Uint8Array | undefined => {
  const parts: Uint8Array[] = []
  const index: Entry[] = []
  let at = 0
  const append = (bytes: Uint8Array): Handle => {
    parts.push(bytes)
    const written = { offset: at, size: bytes.length - TRAILER_BYTES }
    at += bytes.length
    return written
  }
  for (const { at: found, lastKey } of dataBlocks(table)) {
    const end = found.offset + found.size + TRAILER_BYTES
    index.push({ key: lastKey, value: encodeHandle(append(table.subarray(found.offset, end))) })
  }
  if (index.length === 0) return undefined
  const handles = [append(encodeBlock([])), append(encodeBlock(index))].map(encodeHandle)
  const footer = Buffer.alloc(FOOTER_BYTES)
  Buffer.concat(handles).copy(footer)
  footer.writeBigUInt64LE(MAGIC, FOOTER_BYTES - 8)
  return Buffer.concat([...parts, footer])
}
