/**
 * The end of a log: the file that frames are appended to, one after the other. Where nobody can say what the disk has, the
 * error is STA003 with `details.reason` `broken`: nothing may be appended any more until the log is opened again.
 *
 * Room for what comes next is made before it is needed, as zeros: a sync that does not change the size of a file takes about
 * two thirds of the time. State: how far the frames go, and how far the file.
 */
import type { Disk, DiskFile } from '../files/disk.ts'
import { encodeHeader, type FrameBuffer, LOG_HEADER_BYTES, type LogFileHeader, sealFrame } from './log-frames.ts'
import type { LogPosition } from './log-marker.ts'
import { hex, type LogSegment, segmentName, storeError } from './log-segments.ts'

export interface LogTail {
  readonly file: DiskFile
  readonly segment: LogSegment
  end: number
  /** Where the file ends: from `end` on there are zeros. */
  size: number
  /** Checksum of the last frame. */
  crc: number
  /** The last frame says nothing, or there is none. */
  isSealed: boolean
}

/** A frame up to this size is written by this thread: another one would cost more than the write. */
const DIRECT_BYTES = 256 * 1024

export const positionOf = ({ segment: { header }, end, crc }: LogTail): LogPosition => ({
  id: hex(header.storageId),
  sequence: header.sequence,
  end,
  crc,
})

/** Removes a file that was begun in vain. @throws STA003 `broken`: it would be taken for a part of the log */
export const removeUnfinishedFile = async (
  disk: Disk,
  { file, segment: { name } }: { readonly file: DiskFile; readonly segment: Pick<LogSegment, 'name'> },
): Promise<void> => {
  await file.close().catch(() => {})
  await disk.remove(name).catch((cause: unknown) => {
    throw storeError('broken', `${name} was begun and could not be removed`, 'open the log again', cause)
  })
}

/** A file that is going to be the next one of a log: its name and its room are durable, and it says nothing yet. */
export interface SpareFile {
  readonly file: DiskFile
  readonly name: string
  readonly size: number
}

/** @param roomBytes zeros that it begins with @throws what the disk says; STA003 `broken` */
export const createSpareFile = async (disk: Disk, sequence: number, roomBytes: number): Promise<SpareFile> => {
  const name = segmentName(sequence)
  const file = await disk.create(name)
  try {
    if (roomBytes > 0) await file.write(new Uint8Array(roomBytes), 0)
    await file.sync()
    await disk.syncNames()
  } catch (error) {
    await removeUnfinishedFile(disk, { file, segment: { name } })
    throw error
  }
  return { file, name, size: roomBytes }
}

/** A file with its header on the disk. @throws what the disk says */
export const beginLogFile = async ({ file, name, size }: SpareFile, header: LogFileHeader): Promise<LogTail> => {
  file.writeNow(encodeHeader(header), 0)
  await file.sync()
  return {
    file,
    segment: { name, header, reach: 0, bytes: 0 },
    end: LOG_HEADER_BYTES,
    size: Math.max(size, LOG_HEADER_BYTES),
    crc: header.previous,
    isSealed: true,
  }
}

/** Zeros behind the frames. A disk that has no room for them is told by the next frame. @param roomBytes 0: none */
export const makeRoom = async (tail: LogTail, roomBytes: number): Promise<void> => {
  if (roomBytes === 0 || tail.size - tail.end > roomBytes / 2) return
  const more = tail.end + roomBytes - tail.size
  try {
    await tail.file.write(new Uint8Array(more), tail.size)
    tail.size += more
  } catch {
    await tail.file.truncate(tail.size)
  }
}

/** One frame, durable once it resolves: all of it or nothing. @returns bytes @throws what the disk says; STA003 `broken` */
export const appendFrame = async (tail: LogTail, frame: FrameBuffer, roomBytes = 0): Promise<number> => {
  const crc = sealFrame(frame, tail.segment.header.salt, tail.crc)
  const { bytes, length } = frame
  try {
    if (bytes.length <= DIRECT_BYTES) tail.file.writeNow(bytes, tail.end)
    else await tail.file.write(bytes, tail.end)
  } catch (error) {
    // What was written of it must not be there behind the next frame.
    await tail.file.truncate(tail.end).catch((cause: unknown) => {
      throw storeError('broken', 'the log could not be cut back after a failed write', 'open it again', cause)
    })
    tail.size = tail.end
    throw error
  }
  try {
    await tail.file.sync()
  } catch (error) {
    throw storeError('broken', 'the disk did not say what it has of the log', 'open it again', error)
  }
  tail.end += bytes.length
  tail.size = Math.max(tail.size, tail.end)
  tail.crc = crc
  tail.isSealed = length === 0
  await makeRoom(tail, roomBytes)
  return bytes.length
}
