/**
 * The file of one value of a task: whose it is, then its bytes. Written as a whole, never changed, named after whose it is.
 *
 * `PLB1`, length of the head, CRC-32 of the head, the head as JSON, the bytes. The bytes are vouched for by their hash, which
 * the head has. Keeps no state.
 */
import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import * as z from 'zod'
import type { HeldBytes } from '../../../protocols/task/bytes/byte-store.ts'
import { BytesPlaceSchema, MAX_STORED_BYTES } from '../../../protocols/task/bytes/stored-bytes.ts'
import { PeerId } from '../../../protocols/task/task-record.ts'
import type { Disk, DiskFile } from '../files/disk.ts'

const MAGIC = 0x504c4231
const PREFIX_BYTES = 12
const MAX_HEAD_BYTES = 4_096
const NAME_DIGITS = 40
const SUFFIX = '.bytes'

const HeadSchema = z.object({
  ...BytesPlaceSchema.shape,
  size: z.int().min(0).max(MAX_STORED_BYTES),
  by: PeerId,
  at: z.number().nonnegative(),
})

export const isHeldFile = (name: string): boolean => name.endsWith(SUFFIX)

/** One value has one file, whoever asked for it. */
export const heldFileName = ({ task, row, hash }: Pick<HeldBytes, 'task' | 'row' | 'hash'>): string =>
  createHash('sha256').update(`${task}\n${row}\n${hash}`).digest('hex').slice(0, NAME_DIGITS) + SUFFIX

export const hexHash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** What stands before the bytes. */
export const encodeHead = ({ task, row, hash, size, by, at }: HeldBytes): Uint8Array => {
  const head = new TextEncoder().encode(JSON.stringify({ task, row, hash, size, by, at }))
  const out = new Uint8Array(PREFIX_BYTES + head.length)
  const view = new DataView(out.buffer)
  view.setUint32(0, MAGIC)
  view.setUint32(4, head.length)
  view.setUint32(8, crc32(head))
  out.set(head, PREFIX_BYTES)
  return out
}

export interface HeldFile {
  readonly held: HeldBytes
  /** Where the bytes begin. */
  readonly from: number
}

/** Undefined: it is damaged, or another file. @param begin at least its first 4 KiB and 12 bytes, or all of it */
const decodeHead = (begin: Uint8Array): HeldFile | undefined => {
  if (begin.length < PREFIX_BYTES) return undefined
  const view = new DataView(begin.buffer, begin.byteOffset, begin.byteLength)
  const length = view.getUint32(4)
  if (view.getUint32(0) !== MAGIC || length > MAX_HEAD_BYTES || begin.length < PREFIX_BYTES + length) return undefined
  const head = begin.subarray(PREFIX_BYTES, PREFIX_BYTES + length)
  if (crc32(head) !== view.getUint32(8)) return undefined
  try {
    return { held: HeadSchema.parse(JSON.parse(new TextDecoder().decode(head))), from: PREFIX_BYTES + length }
  } catch {
    return undefined
  }
}

/** Undefined: it is damaged, cut off, or called otherwise than it must be. @throws what the disk says */
export const readHead = async (file: DiskFile, name: string): Promise<HeldFile | undefined> => {
  const found = decodeHead(await file.read(PREFIX_BYTES + MAX_HEAD_BYTES, 0))
  if (found === undefined || heldFileName(found.held) !== name) return undefined
  return (await file.size()) === found.from + found.held.size ? found : undefined
}

/** Reads all of it. @throws what the disk says */
export const isWhole = async (disk: Disk, name: string): Promise<boolean> => {
  const file = await disk.open(name)
  try {
    const found = await readHead(file, name)
    return found !== undefined && hexHash(await file.read(found.held.size, found.from)) === found.held.hash
  } finally {
    await file.close()
  }
}
