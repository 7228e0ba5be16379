/**
 * The file of one value of a task: whose it is, then its bytes. Written as a whole, never changed, named after whose it is; and
 * all of them, looked at and repaired while the node does not run.
 *
 * `PLB1`, length of the head, CRC-32 of the head, the head as JSON, the bytes. The bytes are vouched for by their hash, which
 * the head has. Keeps no state.
 */
import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import * as z from 'zod'
import type { ParleyError } from '../../../protocols/errors.ts'
import type { HeldBytes } from '../../../protocols/task/bytes/byte-store.ts'
import { BytesPlaceSchema, MAX_STORED_BYTES } from '../../../protocols/task/bytes/stored-bytes.ts'
import { PeerId } from '../../../protocols/task/task-record.ts'
import type { Disk, DiskFile } from '../files/disk.ts'
import { storeError } from '../log/log-segments.ts'

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

/** Files that errors name. */
const MOST_NAMED = 16

export interface HeldBytesSurvey {
  readonly values: number
  /** Of all files. */
  readonly bytes: number
  /** Names of files. */
  readonly damaged: readonly string[]
  readonly problems: readonly ParleyError[]
}

const damagedError = (names: readonly string[]): ParleyError => {
  const shown = names.slice(0, MOST_NAMED).join(', ')
  const more = names.length > MOST_NAMED ? ` and ${names.length - MOST_NAMED} more` : ''
  return storeError(
    'damaged',
    `large values of tasks are damaged: ${shown}${more}`,
    'parley store repair puts them aside; other nodes hold them too, and give them back',
  )
}

/** Reads all of it, and changes nothing. @throws what the disk says */
export const surveyHeldBytes = async (disk: Disk): Promise<HeldBytesSurvey> => {
  const names = (await disk.list()).filter(isHeldFile).sort()
  const damaged: string[] = []
  let bytes = 0
  for (const name of names) {
    const file = await disk.open(name)
    try {
      bytes += await file.size()
    } finally {
      await file.close()
    }
    if (!(await isWhole(disk, name))) damaged.push(name)
  }
  return { values: names.length, bytes, damaged, problems: damaged.length === 0 ? [] : [damagedError(damaged)] }
}

/** @returns names that damaged files have by now; what it was before @throws what the disk says */
export const repairHeldBytes = async (disk: Disk): Promise<{ aside: string[]; before: HeldBytesSurvey }> => {
  const before = await surveyHeldBytes(disk)
  const aside: string[] = []
  for (const name of before.damaged) {
    const other = `${name}.damaged`
    await disk.rename(name, other)
    aside.push(other)
  }
  if (aside.length > 0) await disk.syncNames()
  return { aside, before }
}
