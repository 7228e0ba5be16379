/**
 * How far the row store had got, in a file of its own: what LevelDB leaves out of the end of its log without a word is
 * missed by it.
 *
 * A header that no version changes (magic, format, CRC), then two slots in sectors of their own, written in turn after each
 * group that is durable, and synced only at the beginning and the end: after a power cut it may be behind, and is never
 * ahead. State: the open file, the number to be written, the write under way.
 */
import { crc32 } from 'node:zlib'
import { systemCode } from '../private-file.ts'
import type { Disk, DiskFile } from './disk.ts'
import { ROW_FORMAT } from './row-code.ts'

export const MARK_FILE = 'mark'
const PART = `${MARK_FILE}.part`
const MAGIC = 0x50_4c_52_4d
const HEADER_BYTES = 12
const SLOT_BYTES = 28
const SECTOR = 512
const SLOTS = [SECTOR, 2 * SECTOR] as const
const FILE_BYTES = 3 * SECTOR

/** `none`: there is no such file. */
export type ReadMark =
  | { readonly kind: 'none' }
  | { readonly kind: 'damaged' }
  | { readonly kind: 'newer'; readonly format: number }
  | { readonly kind: 'whole'; readonly group: number; readonly id: string; readonly slot: number }

export interface Mark {
  /** This group is durable. It is written soon, the last one of many. */
  note(group: number): void
  /** @param isWell the last one is to be durable then @throws what the disk says, also of an earlier write */
  close(isWell: boolean): Promise<void>
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const encodeHeader = (): Uint8Array => {
  const bytes = new Uint8Array(HEADER_BYTES)
  const view = viewOf(bytes)
  view.setUint32(0, MAGIC)
  view.setUint32(4, ROW_FORMAT)
  view.setUint32(8, crc32(bytes.subarray(0, 8)))
  return bytes
}

const encodeSlot = (group: number, id: string): Uint8Array => {
  const bytes = new Uint8Array(SLOT_BYTES)
  const view = viewOf(bytes)
  view.setBigUint64(0, BigInt(group))
  bytes.set(Buffer.from(id, 'hex'), 8)
  view.setUint32(SLOT_BYTES - 4, crc32(bytes.subarray(0, SLOT_BYTES - 4)))
  return bytes
}

const decodeSlot = (bytes: Uint8Array, slot: number): { group: number; id: string; slot: number } | undefined => {
  const at = SLOTS[slot] ?? 0
  if (bytes.length < at + SLOT_BYTES) return undefined
  const found = bytes.subarray(at, at + SLOT_BYTES)
  const view = viewOf(found)
  if (view.getUint32(SLOT_BYTES - 4) !== crc32(found.subarray(0, SLOT_BYTES - 4))) return undefined
  return { group: Number(view.getBigUint64(0)), id: Buffer.from(found.subarray(8, 24)).toString('hex'), slot }
}

export const decodeMark = (bytes: Uint8Array): ReadMark => {
  if (bytes.length < HEADER_BYTES) return { kind: 'damaged' }
  const view = viewOf(bytes)
  if (view.getUint32(0) !== MAGIC || view.getUint32(8) !== crc32(bytes.subarray(0, 8))) return { kind: 'damaged' }
  const format = view.getUint32(4)
  if (format > ROW_FORMAT) return { kind: 'newer', format }
  const slots = [decodeSlot(bytes, 0), decodeSlot(bytes, 1)].filter((slot) => slot !== undefined)
  const [newest] = slots.sort((a, b) => b.group - a.group)
  return newest === undefined ? { kind: 'damaged' } : { kind: 'whole', ...newest }
}

/** @throws what the disk says */
export const readMark = async (disk: Disk): Promise<ReadMark> => {
  try {
    return decodeMark(await disk.read(MARK_FILE))
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return { kind: 'none' }
    throw error
  }
}

/** Puts a new file in place of the one that there may be; durable once it resolves. */
export const writeMark = async (disk: Disk, group: number, id: string): Promise<void> => {
  await disk.remove(PART)
  const file = await disk.create(PART)
  try {
    const bytes = new Uint8Array(FILE_BYTES)
    bytes.set(encodeHeader())
    bytes.set(encodeSlot(group, id), SLOTS[0])
    await file.write(bytes, 0)
    await file.sync()
  } finally {
    await file.close()
  }
  await disk.rename(PART, MARK_FILE)
  await disk.syncNames()
}

/** @param onFailure the disk did not take it: told once */
export const openMark = async (
  disk: Disk,
  found: { readonly slot: number; readonly id: string },
  onFailure: (error: unknown) => void,
): Promise<Mark> => {
  const file: DiskFile = await disk.open(MARK_FILE)
  let slot = found.slot
  let wanted: number | undefined
  let writing: Promise<void> | undefined
  let failure: { readonly error: unknown } | undefined

  const write = async (): Promise<void> => {
    try {
      while (wanted !== undefined && failure === undefined) {
        const group = wanted
        wanted = undefined
        slot = 1 - slot
        await file.write(encodeSlot(group, found.id), SLOTS[slot] ?? SECTOR)
      }
    } catch (error) {
      failure = { error }
      onFailure(error)
    } finally {
      writing = undefined
    }
  }
  return {
    note(group) {
      wanted = group
      writing ??= write()
    },
    async close(isWell) {
      await writing
      try {
        if (isWell && failure !== undefined) throw failure.error
        if (isWell) await file.sync()
      } finally {
        await file.close()
      }
    },
  }
}
