/**
 * How far a log was durable, in a file of its own beside it (slot-file.ts): what is gone from the end of the log is missed
 * by it, be it damaged, set to zeros or cut off between two frames.
 *
 * It is noted after each fdatasync of the log, so that it never claims what is not durable, and synced only while nothing
 * else waits for the disk: a power cut may leave an older one, which proves less and is never wrong. Slots lie 4 KiB apart,
 * in pages of their own.
 */
import type { Disk } from '../files/disk.ts'
import { openSlots, type ReadSlots, readSlots, type SlotFile, type SlotForm, writeSlots } from '../files/slot-file.ts'

export const LOG_MARKER_FILE = 'mark'
const PAGE = 4_096
const ID_BYTES = 16

/** Everything up to `end` of this file, whose last frame has this checksum, was durable; and the files before it. */
export interface LogPosition {
  /** Of the log as a whole, hexadecimal. */
  readonly id: string
  /** Of the file. */
  readonly sequence: number
  readonly end: number
  readonly crc: number
}

const FORM: SlotForm<LogPosition> = {
  name: LOG_MARKER_FILE,
  magic: 0x50_4c_4d_31,
  format: 1,
  bodyBytes: 36,
  slots: [PAGE, 2 * PAGE],
  fileBytes: 3 * PAGE,
  encode({ id, sequence, end, crc }) {
    const bytes = new Uint8Array(36)
    const view = new DataView(bytes.buffer)
    bytes.set(Buffer.from(id, 'hex'))
    view.setBigUint64(ID_BYTES, BigInt(sequence))
    view.setBigUint64(24, BigInt(end))
    view.setUint32(32, crc)
    return bytes
  },
  decode(body) {
    const view = new DataView(body.buffer, body.byteOffset)
    return {
      id: Buffer.from(body.subarray(0, ID_BYTES)).toString('hex'),
      sequence: Number(view.getBigUint64(ID_BYTES)),
      end: Number(view.getBigUint64(24)),
      crc: view.getUint32(32),
    }
  },
  compare: (a, b) => a.sequence - b.sequence || a.end - b.end,
}

export type ReadLogMarker = ReadSlots<LogPosition>

/** The mark of an open log. What the disk refuses is counted and tried with the next one: an older mark says less. */
export interface LogMarker {
  /** There is one on the disk: the log may say so. */
  isThere(): boolean
  /** Puts a new one there, durable once it resolves. */
  begin(position: LogPosition): Promise<void>
  /** So far the log is durable. It is written at once and not synced; without a mark nothing happens. */
  note(position: LogPosition): void
  /** Nobody waits for it but `close`. */
  syncSoon(): void
  /** @param isWell what was noted is to be durable */
  close(isWell: boolean): Promise<void>
  failed(): number
}

/** @throws what the disk says */
export const readLogMarker = (disk: Pick<Disk, 'read'>): Promise<ReadLogMarker> => readSlots(FORM, disk)

/** Puts a new one in place of the one that there may be; durable once it resolves. */
export const writeLogMarker = (disk: Disk, position: LogPosition): Promise<void> => writeSlots(FORM, disk, position)

/** @param slot of the file that is there, which holds the newest position of this log; undefined: none that it goes on with */
export const openLogMarker = async (disk: Disk, slot: number | undefined): Promise<LogMarker> => {
  let failed = 0
  const onFailure = (): void => {
    failed += 1
  }
  let file: SlotFile<LogPosition> | undefined =
    slot === undefined ? undefined : await openSlots(FORM, disk, slot, onFailure)
  let syncing: Promise<void> = Promise.resolve()
  return {
    isThere: () => file !== undefined,
    async begin(position) {
      try {
        await writeLogMarker(disk, position)
        file = await openSlots(FORM, disk, 0, onFailure)
      } catch {
        onFailure()
      }
    },
    note: (position) => file?.note(position),
    syncSoon() {
      if (file !== undefined) syncing = syncing.then(file.sync).catch(onFailure)
    },
    async close(isWell) {
      await syncing
      await file?.close(isWell).catch(onFailure)
    },
    failed: () => failed,
  }
}

/** A log as it was read, as far as it is good. */
export interface GoodPart {
  /** Undefined: there is no file with a whole header. */
  readonly id: string | undefined
  readonly firstSequence: number
  readonly lastSequence: number
  /** Where it ends in the last file. */
  readonly end: number
  /** Checksum of the frame that ends where the mark says, in the file that it names; undefined: none does. */
  readonly crcAtMark: number | undefined
  /** Something in it was written beside a mark: a header that says so, or a seal. */
  readonly wasMarked: boolean
}

/** A mark that says of a new log that nothing was written. */
const saysNothing = ({ sequence, end }: LogPosition, headerBytes: number): boolean =>
  sequence <= 1 && end <= headerBytes

/**
 * What the mark misses in a log whose files follow one another.
 * @returns for a person, about the last file; undefined: nothing
 */
export const missingByMarker = (mark: ReadLogMarker, good: GoodPart, headerBytes: number): string | undefined => {
  const { id, firstSequence, lastSequence, end, crcAtMark, wasMarked } = good
  const unsaid = 'is whole as far as it goes, but the file that says how far it should go'
  if (mark.kind === 'newer') return undefined
  if (mark.kind === 'damaged') return `${unsaid} is damaged`
  if (mark.kind === 'none') return wasMarked ? `${unsaid} is not there` : undefined
  const { value } = mark
  if (id === undefined) return saysNothing(value, headerBytes) ? undefined : 'is alone: none of the files is there'
  // A log that an older version put in the place of this one has no mark.
  if (value.id !== id) return wasMarked ? `${unsaid} is of another log` : undefined
  // Removed since, with all that it held in a snapshot.
  if (value.sequence < firstSequence) return undefined
  if (value.sequence > lastSequence) return `is the last one, and there was a file ${value.sequence}`
  if (value.sequence < lastSequence || value.end === headerBytes) return undefined
  if (value.end > end) return `is good up to byte ${end}, and was on the disk up to byte ${value.end}`
  return crcAtMark === value.crc ? undefined : `holds something else before byte ${value.end} than was written`
}
