/**
 * The form of the rows on disk. Pure.
 *
 * A row is its CRC-32 (ISO 3309, over the key's UTF-8 bytes and the value), then the value. Two rows are the store's own,
 * under keys that begin with U+0000, as no other key does: `id`, JSON of whose rows these are, and `sums`, which each group
 * writes anew: its number, how many rows there are besides it, and the sum of their CRCs modulo 2^48. A row that vanished,
 * came back or is an older one shows in the sums.
 */
import { crc32 } from 'node:zlib'
import * as z from 'zod'

export const ROW_FORMAT = 1
export const ID_KEY = '\0id'
export const SUMS_KEY = '\0sums'
export const MAX_FORMER = 16
const CRC_BYTES = 4
const SUMS_BYTES = 24
const SUM_MODULUS = 2 ** 48

export interface StoredRowSums {
  /** Number of the last group, from 1. */
  readonly group: number
  /** Rows, besides this one. */
  readonly count: number
  /** Of their CRCs, modulo 2^48. */
  readonly sum: number
}

export const addToSum = (sum: number, crc: number): number => (sum + crc) % SUM_MODULUS
export const takeFromSum = (sum: number, crc: number): number => (sum - crc + SUM_MODULUS) % SUM_MODULUS

/** CRC and size of a row in one number: below 2^32 the CRC, above it the size in steps of 64 bytes, key and all, rounded up. */
export type RowPrint = number
const CRC_RANGE = 2 ** 32
const STEP_BYTES = 64
/** So that it is an exact number: 128 MiB. */
const MAX_STEPS = 2 ** 21 - 1

/** @param size bytes of the value */
export const printOf = (crc: number, size: number): RowPrint =>
  Math.min(1 + Math.ceil(size / STEP_BYTES), MAX_STEPS) * CRC_RANGE + crc
export const crcIn = (print: RowPrint): number => print % CRC_RANGE
export const bytesIn = (print: RowPrint): number => Math.floor(print / CRC_RANGE) * STEP_BYTES

const IdSchema = z.object({
  format: z.int().positive(),
  id: z.string().regex(/^[0-9a-f]{32}$/),
  formerIds: z.array(z.string().regex(/^[0-9a-f]{32}$/)).max(MAX_FORMER),
})
export type RowStoreId = Omit<z.output<typeof IdSchema>, 'format'>

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

export interface SealedRow {
  readonly bytes: Uint8Array
  readonly crc: number
}

export const sealRow = (key: string, value: Uint8Array): SealedRow => {
  const crc = crc32(value, crc32(key))
  const bytes = Buffer.allocUnsafe(CRC_BYTES + value.length)
  bytes.writeUInt32BE(crc, 0)
  bytes.set(value, CRC_BYTES)
  return { bytes, crc }
}

/** @returns undefined for what is no row, or a damaged one */
export const openRow = (
  key: string | Uint8Array,
  bytes: Uint8Array,
): { value: Uint8Array; crc: number } | undefined => {
  if (bytes.length < CRC_BYTES) return undefined
  const crc = viewOf(bytes).getUint32(0)
  // Not a Buffer, which LevelDB gives: its `slice` shares memory, and a reader of a Uint8Array would not expect that.
  const value = new Uint8Array(bytes.buffer, bytes.byteOffset + CRC_BYTES, bytes.length - CRC_BYTES)
  return crc === crc32(value, crc32(key)) ? { value, crc } : undefined
}

export const encodeSums = ({ group, count, sum }: StoredRowSums): Uint8Array => {
  const bytes = new Uint8Array(SUMS_BYTES)
  const view = viewOf(bytes)
  for (const [i, value] of [group, count, sum].entries()) view.setBigUint64(8 * i, BigInt(value))
  return bytes
}

export const decodeSums = (bytes: Uint8Array): StoredRowSums | undefined => {
  if (bytes.length !== SUMS_BYTES) return undefined
  const view = viewOf(bytes)
  const at = (i: number): number => Number(view.getBigUint64(8 * i))
  return { group: at(0), count: at(1), sum: at(2) }
}

export const encodeId = ({ id, formerIds }: RowStoreId): Uint8Array =>
  new TextEncoder().encode(JSON.stringify({ format: ROW_FORMAT, id, formerIds }))

/** @returns undefined for what a store of this or a later version would not write */
export const decodeId = (bytes: Uint8Array): z.output<typeof IdSchema> | undefined => {
  try {
    return IdSchema.safeParse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))).data
  } catch {
    return undefined
  }
}

/** Another id, the one before first among the former ones. */
export const renewedId = (before: RowStoreId | undefined, random: (bytes: number) => Uint8Array): RowStoreId => ({
  id: Buffer.from(random(16)).toString('hex'),
  formerIds: before === undefined ? [] : [before.id, ...before.formerIds].slice(0, MAX_FORMER),
})

/** Whether a program may use this key: not empty, text that UTF-8 can tell, not one of the store's own. */
export const isKey = (key: string): boolean => key !== '' && !key.startsWith('\0') && key.isWellFormed()
