/**
 * A new log in the place of the one that is there, and files put aside instead of removed.
 *
 * The new log is one file, written under another name, synced, and named as if it followed the files before it, which it
 * does not. From that rename on it is what counts, although they are still there: a node that is started then refuses the
 * log, since a file does not follow the one before it, and names the command that finishes this. Then the mark becomes that
 * of the new log, and they are put aside. So a crash leaves the log as it was, or one that no node takes for another. The
 * new file does not say that there is a mark beside it: where there were no files before, a crash may come before the mark.
 */
import type { LogState } from '../../../protocols/consensus/group/group-storage.ts'
import type { Disk } from '../files/disk.ts'
import {
  decodeHeader,
  encodeFrame,
  encodeHeader,
  ID_BYTES,
  LOG_FORMAT,
  readFrames,
  SALT_BYTES,
} from '../log/log-frames.ts'
import { encodeChanges } from '../log/log-items.ts'
import { writeLogMarker } from '../log/log-marker.ts'
import { hex, segmentName, storeError } from '../log/log-segments.ts'
import { logFiles } from './journal-survey.ts'

export type RandomBytes = (bytes: number) => Uint8Array
/** `damaged`: not all of it can be read. `abandoned`: it was given up for something else. */
export type AsideSuffix = '.damaged' | '.abandoned'

const MAX_FRAME_BYTES = 4 * 1024 * 1024

export const newStorageId = (random: RandomBytes): Uint8Array => random(ID_BYTES)

/** A name that nothing has: what was put aside earlier stays. */
const asideName = (taken: ReadonlySet<string>, name: string, suffix: AsideSuffix): string => {
  let found = `${name}${suffix}`
  for (let i = 2; taken.has(found); i += 1) found = `${name}${suffix}.${i}`
  return found
}

/** @returns what they are called now */
export const putAside = async (disk: Disk, names: readonly string[], suffix: AsideSuffix): Promise<string[]> => {
  const taken = new Set(await disk.list())
  const aside: string[] = []
  for (const name of names) {
    const to = asideName(taken, name, suffix)
    await disk.rename(name, to)
    aside.push(to)
  }
  if (aside.length > 0) await disk.syncNames()
  return aside
}

/** For a file that is replaced as a whole, and must not be missing meanwhile. @returns its name; undefined: no such file */
export const copyAside = async (disk: Disk, name: string, suffix: AsideSuffix): Promise<string | undefined> => {
  const taken = new Set(await disk.list())
  if (!taken.has(name)) return undefined
  const to = asideName(taken, name, suffix)
  const bytes = await disk.read(name)
  const file = await disk.create(to)
  try {
    await file.write(bytes, 0)
    await file.sync()
  } finally {
    await file.close()
  }
  await disk.syncNames()
  return to
}

/**
 * What a log of this content is written as: term and base first, then entries, some megabytes in each frame. The term again
 * at the end, so that damage to the entries has a good frame behind it and is no torn tail.
 */
export const payloadsOf = function* ({ hardState, snapshot: meta, entries }: LogState): Generator<Uint8Array> {
  yield encodeChanges([{ hardState, base: meta && { meta, keeps: false } }])
  let part: LogState['entries'] = []
  let bytes = 0
  for (const entry of entries) {
    part.push(entry)
    bytes += entry.data.length
    if (bytes < MAX_FRAME_BYTES) continue
    yield encodeChanges([{ entries: part }])
    part = []
    bytes = 0
  }
  if (part.length > 0) yield encodeChanges([{ entries: part }])
  yield encodeChanges([{ hardState }])
}

const write = async (
  disk: Disk,
  name: string,
  sequence: number,
  storageId: Uint8Array,
  random: RandomBytes,
  payloads: Iterable<Uint8Array>,
) => {
  const salt = random(SALT_BYTES)
  const file = await disk.create(name)
  try {
    const header = encodeHeader({ format: LOG_FORMAT, sequence, salt, storageId, previous: 0 })
    await file.write(header, 0)
    let at = header.length
    let previous = 0
    for (const payload of payloads) {
      const { bytes, crc } = encodeFrame(salt, previous, payload)
      await file.write(bytes, at)
      at += bytes.length
      previous = crc
    }
    await file.sync()
  } finally {
    await file.close()
  }
}

/** The mark of a log that is this one file, all of it durable. */
const markAll = async (disk: Disk, name: string): Promise<void> => {
  const bytes = await disk.read(name)
  const header = decodeHeader(bytes)
  if (header === undefined)
    throw storeError('damaged', `${name} has no header`, 'parley store repair keeps what is good')
  const { end, crc } = readFrames(bytes, header)
  await writeLogMarker(disk, { id: hex(header.storageId), sequence: header.sequence, end, crc })
}

/**
 * @param payloads of the new log, in their order
 * @param storageId of the new log; another one than the old log's
 * @returns what the old files are called now
 * @throws what the disk says; up to the rename nothing has changed then
 */
export const replaceLog = async (
  disk: Disk,
  random: RandomBytes,
  payloads: Iterable<Uint8Array>,
  storageId: Uint8Array,
  suffix: AsideSuffix,
): Promise<string[]> => {
  const before = await logFiles(disk)
  const sequence = 1 + Math.max(0, ...before.map((name) => Number.parseInt(name, 10)))
  const name = segmentName(sequence)
  const part = `${name}.part`
  await disk.remove(part)
  try {
    await write(disk, part, sequence, storageId, random, payloads)
  } catch (error) {
    await disk.remove(part).catch(() => {})
    throw error
  }
  await disk.rename(part, name)
  await disk.syncNames()
  await markAll(disk, name)
  return putAside(disk, before, suffix)
}

/** Puts aside what a new log was to take the place of. @param name of the new log */
export const finishReplacing = async (disk: Disk, name: string, suffix: AsideSuffix): Promise<string[]> => {
  await markAll(disk, name)
  return putAside(
    disk,
    (await logFiles(disk)).filter((other) => other < name),
    suffix,
  )
}
