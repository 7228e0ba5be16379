/**
 * The end of a log: the file that frames are appended to, one after the other. Where nobody can say what the disk has, the
 * error is STA003 with `details.reason` `broken`: nothing may be appended any more until the log is opened again. State: how
 * far the file goes.
 */
import type { Disk, DiskFile } from '../files/disk.ts'
import { encodeFrame, encodeHeader, LOG_HEADER_BYTES, type LogFileHeader } from './log-frames.ts'
import type { LogPosition } from './log-marker.ts'
import { hex, type LogSegment, segmentName, storeError } from './log-segments.ts'

export interface LogTail {
  readonly file: DiskFile
  readonly segment: LogSegment
  end: number
  /** Checksum of the last frame. */
  crc: number
  /** The last frame says nothing, or there is none. */
  isSealed: boolean
}

export const positionOf = ({ segment: { header }, end, crc }: LogTail): LogPosition => ({
  id: hex(header.storageId),
  sequence: header.sequence,
  end,
  crc,
})

/** Removes a file that was begun in vain. @throws STA003 `broken`: it would be taken for a part of the log */
export const removeUnfinishedFile = async (
  disk: Disk,
  { file, segment: { name } }: Pick<LogTail, 'file' | 'segment'>,
): Promise<void> => {
  await file.close().catch(() => {})
  await disk.remove(name).catch((cause: unknown) => {
    throw storeError('broken', `${name} was begun and could not be removed`, 'open the log again', cause)
  })
}

/** A new file, with its header on the disk. @throws what the disk says; STA003 `broken` */
export const createLogFile = async (disk: Disk, header: LogFileHeader): Promise<LogTail> => {
  const segment: LogSegment = { name: segmentName(header.sequence), header, lastIndex: 0 }
  const file = await disk.create(segment.name)
  try {
    await file.write(encodeHeader(header), 0)
    await file.sync()
    await disk.syncNames()
  } catch (error) {
    await removeUnfinishedFile(disk, { file, segment })
    throw error
  }
  return { file, segment, end: LOG_HEADER_BYTES, crc: header.previous, isSealed: true }
}

/** One frame, durable once it resolves: all of it or nothing. @returns bytes @throws what the disk says; STA003 `broken` */
export const appendFrame = async (tail: LogTail, payload: Uint8Array): Promise<number> => {
  const frame = encodeFrame(tail.segment.header.salt, tail.crc, payload)
  try {
    await tail.file.write(frame.bytes, tail.end)
  } catch (error) {
    // What was written of it must not be there behind the next frame.
    await tail.file.truncate(tail.end).catch((cause: unknown) => {
      throw storeError('broken', 'the log could not be cut back after a failed write', 'open it again', cause)
    })
    throw error
  }
  try {
    await tail.file.sync()
  } catch (error) {
    throw storeError('broken', 'the disk did not say what it has of the log', 'open it again', error)
  }
  tail.end += frame.bytes.length
  tail.crc = frame.crc
  tail.isSealed = payload.length === 0
  return frame.bytes.length
}
