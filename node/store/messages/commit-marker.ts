/**
 * How far the row store had got, in a file of its own (slot-file.ts): what LevelDB leaves out of the end of its log without
 * a word is missed by it. It is written after each group that is durable, and synced only at the beginning and the end:
 * after a power cut it may be behind, and is never ahead. State: that of the open file.
 */
import type { Disk } from '../files/disk.ts'
import { decodeSlots, openSlots, type ReadSlots, readSlots, type SlotForm, writeSlots } from '../files/slot-file.ts'
import { ROW_FORMAT } from './row-codec.ts'

export const COMMIT_MARKER_FILE = 'mark'
const SECTOR = 512

interface Value {
  readonly group: number
  readonly id: string
}

const FORM: SlotForm<Value> = {
  name: COMMIT_MARKER_FILE,
  magic: 0x50_4c_52_4d,
  format: ROW_FORMAT,
  bodyBytes: 24,
  slots: [SECTOR, 2 * SECTOR],
  fileBytes: 3 * SECTOR,
  encode({ group, id }) {
    const bytes = new Uint8Array(24)
    new DataView(bytes.buffer).setBigUint64(0, BigInt(group))
    bytes.set(Buffer.from(id, 'hex'), 8)
    return bytes
  },
  decode: (body) => ({
    group: Number(new DataView(body.buffer, body.byteOffset).getBigUint64(0)),
    id: Buffer.from(body.subarray(8, 24)).toString('hex'),
  }),
  compare: (a, b) => a.group - b.group,
}

export type ReadCommitMarker =
  | Exclude<ReadSlots<Value>, { kind: 'whole' }>
  | { readonly kind: 'whole'; readonly group: number; readonly id: string; readonly slot: number }

export interface CommitMarker {
  /** This group is durable. It is written at once and not synced. */
  note(group: number): void
  /** @param isWell the last one is to be durable then @throws what the disk says, also of an earlier write */
  close(isWell: boolean): Promise<void>
}

const flat = (found: ReadSlots<Value>): ReadCommitMarker =>
  found.kind === 'whole' ? { kind: 'whole', ...found.value, slot: found.slot } : found

export const decodeCommitMarker = (bytes: Uint8Array): ReadCommitMarker => flat(decodeSlots(FORM, bytes))

/** @throws what the disk says */
export const readCommitMarker = async (disk: Pick<Disk, 'read'>): Promise<ReadCommitMarker> =>
  flat(await readSlots(FORM, disk))

/** Puts a new file in place of the one that there may be; durable once it resolves. */
export const writeCommitMarker = (disk: Disk, group: number, id: string): Promise<void> =>
  writeSlots(FORM, disk, { group, id })

/** @param onFailure the disk did not take it: told once */
export const openCommitMarker = async (
  disk: Disk,
  found: { readonly slot: number; readonly id: string },
  onFailure: (error: unknown) => void,
): Promise<CommitMarker> => {
  let isWell = true
  const file = await openSlots(FORM, disk, found.slot, (error) => {
    if (isWell) onFailure(error)
    isWell = false
  })
  return {
    note(group) {
      if (isWell) file.note({ group, id: found.id })
    },
    close: file.close,
  }
}
