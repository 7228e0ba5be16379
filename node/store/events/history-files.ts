/**
 * The files of a word's history as they are found: read by their index, or whole, and those of earlier versions taken over.
 * Keeps no state.
 */
import { type Disk, type DiskFile, replaceFile } from '../files/disk.ts'
import { decodeHeader, LOG_FORMAT, LOG_HEADER_BYTES, type LogFileHeader, SALT_BYTES } from '../log/log-frames.ts'
import { isSegmentName, segmentName, storeError } from '../log/log-segments.ts'
import { earlierNumber, readEarlier } from './earlier-history.ts'
import {
  decodeEnd,
  decodeIndex,
  END_BYTES,
  encodeBatch,
  encodeEnd,
  type FoundBatch,
  type HistoryBatch,
  readSegment,
  segmentHeader,
} from './history-segment.ts'

export interface OpenedSegment {
  readonly number: number
  readonly salt: Uint8Array
  readonly found: readonly FoundBatch[]
  /** Bytes that are in no batch that can be read. */
  readonly lost: number
}

/** A whole segment that is finished. */
export const encodeSegment = (
  number: number,
  salt: Uint8Array,
  batches: Iterable<HistoryBatch & { readonly payload: Uint8Array }>,
): Uint8Array => {
  const parts = [segmentHeader(number, salt)]
  const found: FoundBatch[] = []
  let [at, crc] = [LOG_HEADER_BYTES, 0]
  for (const batch of batches) {
    const frame = encodeBatch(batch, { salt, crc })
    parts.push(frame.bytes)
    found.push({ ...batch, at, size: frame.bytes.length })
    crc = frame.crc
    at += frame.bytes.length
  }
  return Buffer.concat([...parts, encodeEnd(found, at, { salt, crc })])
}

/** Each becomes a segment of the same number, and goes then. */
const takeOverEarlier = async (disk: Disk, random: (bytes: number) => Uint8Array): Promise<Map<number, number>> => {
  const lost = new Map<number, number>()
  for (const name of await disk.list()) {
    const number = earlierNumber(name)
    if (number === undefined) continue
    const earlier = readEarlier(await disk.read(name))
    if (earlier.lost > 0) lost.set(number, earlier.lost)
    await replaceFile(disk, segmentName(number), encodeSegment(number, random(SALT_BYTES), earlier.found))
    await disk.remove(name)
  }
  return lost
}

/** What the index says that a segment ends with. @returns undefined: there is none that is good */
const readByIndex = async (
  file: DiskFile,
  size: number,
  { salt }: LogFileHeader,
): Promise<FoundBatch[] | undefined> => {
  if (size < LOG_HEADER_BYTES + END_BYTES) return undefined
  const place = decodeEnd(await file.read(END_BYTES, size - END_BYTES), salt)
  if (place === undefined || place.at + place.length + END_BYTES !== size) return undefined
  return decodeIndex(await file.read(place.length, place.at), salt, place)
}

/** Behind its last batch: what a crash cut off is none. @throws what the disk says */
const finish = async (file: DiskFile, { found, end, crc }: ReturnType<typeof readSegment>, salt: Uint8Array) => {
  await file.truncate(end)
  await file.write(encodeEnd(found, end, { salt, crc }), end)
}

const openSegment = async (disk: Disk, name: string): Promise<OpenedSegment> => {
  const file = await disk.open(name)
  try {
    const size = await file.size()
    const header = decodeHeader(await file.read(LOG_HEADER_BYTES, 0))
    const number = Number.parseInt(name, 10)
    if (header === undefined) return { number, salt: new Uint8Array(SALT_BYTES), found: [], lost: size }
    if (header.format > LOG_FORMAT) {
      const hint = 'start the version that wrote it, or a later one'
      throw storeError('newer', `${name} was written by a later version`, hint)
    }
    const { salt } = header
    const found = await readByIndex(file, size, header)
    if (found !== undefined) return { number, salt, found, lost: 0 }
    const whole = readSegment(await file.read(size, 0))
    // With damage among its batches it is read whole each time: nobody would see that any more.
    // Without room for it it is read whole the next time too.
    if (whole.isTorn) await finish(file, whole, salt).catch(() => {})
    return { number, salt, found: whole.found, lost: whole.lost }
  } finally {
    await file.close()
  }
}

/**
 * In the order of their numbers.
 * @throws STA003 with `details.reason` `newer` for a format of a later version; what the disk says
 */
export const openSegments = async (disk: Disk, random: (bytes: number) => Uint8Array): Promise<OpenedSegment[]> => {
  const lost = await takeOverEarlier(disk, random)
  const opened: OpenedSegment[] = []
  for (const name of (await disk.list()).filter(isSegmentName).sort()) {
    const segment = await openSegment(disk, name)
    opened.push({ ...segment, lost: segment.lost + (lost.get(segment.number) ?? 0) })
  }
  return opened
}
