/**
 * A small file that holds one value, written in turn into two slots: a write that a power cut tore leaves the one before.
 *
 * A header that no version changes (magic, format, CRC-32), then two slots, each with a CRC-32 of its own, at offsets that
 * the user of this file chooses so that no disk writes both at once. The file appears whole, by a rename. After that its
 * slots are overwritten in place, and synced only where somebody asks for it: after a power cut the value may be an older
 * one, and is never one that was not written. State of an open file: which slot is the newest, why the last write failed.
 */
import { crc32 } from 'node:zlib'
import { systemCode } from '../../platform/private-file.ts'
import { type Disk, type DiskFile, replaceFile } from './disk.ts'

const HEADER_BYTES = 12
const CRC_BYTES = 4

/** What such a file holds, and how. */
export interface SlotForm<T> {
  readonly name: string
  readonly magic: number
  readonly format: number
  readonly bodyBytes: number
  /** Where the slots begin, and where the file ends. */
  readonly slots: readonly [number, number]
  readonly fileBytes: number
  encode(value: T): Uint8Array
  decode(body: Uint8Array): T
  /** Below 0: `a` was written before `b`. */
  compare(a: T, b: T): number
}

/** `none`: there is no such file. */
export type ReadSlots<T> =
  | { readonly kind: 'none' }
  | { readonly kind: 'damaged' }
  | { readonly kind: 'newer'; readonly format: number }
  | { readonly kind: 'whole'; readonly value: T; readonly slot: number }

export interface SlotFile<T> {
  /** It is written at once, and not synced. What the disk refuses is told to `onFailure`. */
  note(value: T): void
  /** What was noted before survives a power cut once this resolves. @throws what the disk says, also of an earlier write */
  sync(): Promise<void>
  /** @param isWell the last one is to be durable then @throws as `sync` */
  close(isWell: boolean): Promise<void>
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const encodeHeader = <T>({ magic, format }: SlotForm<T>): Uint8Array => {
  const bytes = new Uint8Array(HEADER_BYTES)
  const view = viewOf(bytes)
  view.setUint32(0, magic)
  view.setUint32(4, format)
  view.setUint32(8, crc32(bytes.subarray(0, 8)))
  return bytes
}

const encodeSlot = <T>(form: SlotForm<T>, value: T): Uint8Array => {
  const bytes = new Uint8Array(form.bodyBytes + CRC_BYTES)
  bytes.set(form.encode(value))
  viewOf(bytes).setUint32(form.bodyBytes, crc32(bytes.subarray(0, form.bodyBytes)))
  return bytes
}

const decodeSlot = <T>(form: SlotForm<T>, bytes: Uint8Array, slot: 0 | 1): { value: T; slot: number } | undefined => {
  const at = form.slots[slot]
  const end = at + form.bodyBytes
  if (bytes.length < end + CRC_BYTES) return undefined
  const body = bytes.subarray(at, end)
  return viewOf(bytes).getUint32(end) === crc32(body) ? { value: form.decode(body), slot } : undefined
}

/** Whatever stands in the bytes, it is a value, a newer format, or damage. */
export const decodeSlots = <T>(form: SlotForm<T>, bytes: Uint8Array): ReadSlots<T> => {
  if (bytes.length < HEADER_BYTES) return { kind: 'damaged' }
  const view = viewOf(bytes)
  if (view.getUint32(0) !== form.magic || view.getUint32(8) !== crc32(bytes.subarray(0, 8))) return { kind: 'damaged' }
  const format = view.getUint32(4)
  if (format > form.format) return { kind: 'newer', format }
  const found = [decodeSlot(form, bytes, 0), decodeSlot(form, bytes, 1)].filter((one) => one !== undefined)
  const [newest] = found.sort((a, b) => form.compare(b.value, a.value))
  return newest === undefined ? { kind: 'damaged' } : { kind: 'whole', ...newest }
}

/** @throws what the disk says */
export const readSlots = async <T>(form: SlotForm<T>, disk: Pick<Disk, 'read'>): Promise<ReadSlots<T>> => {
  try {
    return decodeSlots(form, await disk.read(form.name))
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return { kind: 'none' }
    throw error
  }
}

/** Puts a new file in place of the one that there may be; durable once it resolves. The value is in slot 0. */
export const writeSlots = async <T>(form: SlotForm<T>, disk: Disk, value: T): Promise<void> => {
  const bytes = new Uint8Array(form.fileBytes)
  bytes.set(encodeHeader(form))
  bytes.set(encodeSlot(form, value), form.slots[0])
  await replaceFile(disk, form.name, bytes)
}

/**
 * @param slot that holds the newest value
 * @param onFailure the disk did not take a value; it holds an older one, until it takes another
 */
export const openSlots = async <T>(
  form: SlotForm<T>,
  disk: Disk,
  slot: number,
  onFailure: (error: unknown) => void,
): Promise<SlotFile<T>> => {
  const file: DiskFile = await disk.open(form.name)
  let newest = slot
  let failure: { readonly error: unknown } | undefined

  const sync = async (): Promise<void> => {
    if (failure !== undefined) throw failure.error
    await file.sync()
  }
  return {
    note(value) {
      const next = newest === 0 ? 1 : 0
      try {
        file.writeNow(encodeSlot(form, value), form.slots[next])
        newest = next
        failure = undefined
      } catch (error) {
        failure = { error }
        onFailure(error)
      }
    },
    sync,
    async close(isWell) {
      try {
        if (isWell) await sync()
      } finally {
        await file.close()
      }
    },
  }
}
