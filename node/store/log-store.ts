/**
 * Raft's log on disk: term and vote, entries, and where the snapshot ends, in append-only segments.
 *
 * `write` resolves once everything of it survives a power cut: one write and one fdatasync for all that waited meanwhile
 * (group commit). On opening, a torn tail is cut off, since nobody was told of it; damage before the tail is refused, and
 * nothing is changed then (frames.ts tells the two apart). A write that the disk refuses (no room) changes nothing and
 * may be tried again. After a failed fdatasync nobody knows what the disk has: the store takes nothing more until it is
 * opened again, which reads what is really there (Rebello et al., USENIX ATC 2020).
 *
 * State: the log in memory, the open segment, changes that wait (bounded).
 */
import type { LogChange, LogState } from '../../protocols/consensus/storage.ts'
import { isParleyError, ParleyError } from '../../protocols/errors.ts'
import { systemCode } from '../private-file.ts'
import type { Disk, DiskFile } from './disk.ts'
import { encodeFrame, encodeHeader, type FileHeader, FORMAT, HEADER_BYTES, ID_BYTES, SALT_BYTES } from './frames.ts'
import { encodeChanges } from './log-items.ts'
import { hex, nameOf, readSegments, refuse, type Segment } from './segments.ts'

const DEFAULT_SEGMENT_BYTES = 8 * 1024 * 1024
const MAX_WAITING = 4_096

export interface LogStoreOptions {
  readonly random: (bytes: number) => Uint8Array
  /** A segment that has grown beyond it is followed by another one, bytes. */
  readonly segmentBytes?: number
}

export interface LogStoreCounts {
  readonly writes: number
  readonly syncs: number
  readonly bytes: number
  readonly failed: number
  /** Times that segments which are not needed any more could not be removed. */
  readonly kept: number
  readonly segments: number
  /** Bytes of a torn tail that opening cut off. */
  readonly cutOff: number
}

export interface LogStore {
  /** Of the contents as a whole, hexadecimal: a disk that was lost or replaced has another one. */
  readonly storageId: string
  /** As it was read on opening; the caller may keep it. */
  readonly opened: Readonly<LogState>
  /**
   * Resolves once it is durable.
   * @throws STA003 with `details.reason`: `disk-full` (try again once there is room), `broken` (open it again), `closed`;
   *   COM003 where too much waits
   */
  write(change: LogChange): Promise<void>
  counts(): LogStoreCounts
  /** Waits for what is under way. */
  close(): Promise<void>
}

interface Waiting {
  readonly change: LogChange
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

const failedWrite = (error: unknown): ParleyError => {
  if (isParleyError(error)) return error
  const code = systemCode(error)
  const isFull = code === 'ENOSPC' || code === 'EDQUOT'
  const message = error instanceof Error ? error.message : String(error)
  return refuse(
    isFull ? 'disk-full' : 'disk-failed',
    `the log could not be written: ${message}`,
    isFull ? 'make room on the disk; nothing is lost, and it goes on by itself' : 'see whether the disk is well',
    error,
  )
}

/** Where frames go: the last segment. */
interface Tail {
  readonly file: DiskFile
  readonly segment: Segment
  end: number
  /** Checksum of the last frame. */
  crc: number
}

/**
 * Opens a log, or begins one.
 * @throws STA003 with `details.reason`: `damaged`, or `newer` for a format of a later version
 */
export const openLogStore = async (disk: Disk, options: LogStoreOptions): Promise<LogStore> => {
  const segmentBytes = options.segmentBytes ?? DEFAULT_SEGMENT_BYTES
  const counts = { writes: 0, syncs: 0, bytes: 0, failed: 0, kept: 0, cutOff: 0 }
  const waiting: Waiting[] = []
  let flushing: Promise<void> | undefined
  let closed = false
  let broken: ParleyError | undefined

  /** A new file, with its header on the disk. */
  const begin = async (sequence: number, storageId: Uint8Array, previous: number): Promise<Tail> => {
    const header: FileHeader = { format: FORMAT, sequence, salt: options.random(SALT_BYTES), storageId, previous }
    const name = nameOf(sequence)
    const file = await disk.create(name)
    try {
      await file.write(encodeHeader(header), 0)
      await file.sync()
      await disk.syncNames()
    } catch (error) {
      await giveUp(file, name)
      throw error
    }
    return { file, segment: { name, header, lastIndex: 0 }, end: HEADER_BYTES, crc: previous }
  }
  const giveUp = async (file: DiskFile, name: string): Promise<void> => {
    await file.close().catch(() => {})
    await disk.remove(name).catch((cause: unknown) => {
      broken = refuse('broken', `${name} was begun and could not be removed`, 'open the log again', cause)
    })
  }

  const { state, segments, begun, problem, ...found } = await readSegments(disk)
  if (problem !== undefined) throw problem
  if (begun !== undefined) {
    await disk.remove(begun)
    await disk.syncNames()
  }
  /** What a segment begins with, so that those before it can go. */
  const now: Pick<LogState, 'hardState' | 'snapshot'> = { hardState: state.hardState, snapshot: state.snapshot }
  let tail: Tail
  const last = segments.at(-1)
  if (last === undefined) {
    tail = await begin(1, options.random(ID_BYTES), 0)
    segments.push(tail.segment)
  } else {
    tail = { file: await disk.open(last.name), segment: last, end: found.end, crc: found.crc }
    counts.cutOff = found.torn
    if (found.torn > 0) await tail.file.truncate(found.end)
    // What the process before wrote and did not sync may be in the page cache alone: it was read, and must not be lost now.
    await tail.file.sync()
    await disk.syncNames()
  }
  const { storageId } = tail.segment.header

  /** One frame: all of it or nothing. */
  const put = async (to: Tail, changes: readonly LogChange[]): Promise<void> => {
    const frame = encodeFrame(to.segment.header.salt, to.crc, encodeChanges(changes))
    try {
      await to.file.write(frame.bytes, to.end)
    } catch (error) {
      // What was written of it must not be there behind the next frame.
      await to.file.truncate(to.end).catch((cause: unknown) => {
        broken = refuse('broken', 'the log could not be cut back after a failed write', 'open it again', cause)
      })
      throw error
    }
    try {
      await to.file.sync()
    } catch (error) {
      broken = refuse('broken', 'the disk did not say what it has of the log', 'open it again', error)
      throw broken
    }
    counts.syncs += 1
    counts.bytes += frame.bytes.length
    to.end += frame.bytes.length
    to.crc = frame.crc
    for (const { hardState, base, entries } of changes) {
      now.hardState = hardState ?? now.hardState
      now.snapshot = base?.meta ?? now.snapshot
      to.segment.lastIndex = Math.max(to.segment.lastIndex, entries?.at(-1)?.index ?? 0)
    }
  }

  const roll = async (): Promise<void> => {
    const next = await begin(tail.segment.header.sequence + 1, storageId, tail.crc)
    const base = now.snapshot && { meta: now.snapshot, keeps: true }
    try {
      await put(next, [{ hardState: now.hardState, base }])
    } catch (error) {
      await giveUp(next.file, next.segment.name)
      throw error
    }
    const before = tail
    tail = next
    segments.push(next.segment)
    await before.file.close()
  }

  /**
   * Removes segments that hold nothing but what the snapshot has, the oldest first, as far as the disk lets it; each for
   * good before the next one, since a power cut may bring back any of those that were removed together.
   */
  const prune = async (): Promise<void> => {
    const upTo = now.snapshot?.index ?? 0
    const needed = segments.findIndex(({ lastIndex }, i) => lastIndex > upTo || i === segments.length - 1)
    try {
      for (const { name } of segments.slice(0, needed)) {
        await disk.remove(name)
        segments.shift()
        await disk.syncNames()
      }
    } catch {
      // They are tried again with the next snapshot.
      counts.kept += 1
    }
  }

  const flush = async (): Promise<void> => {
    while (waiting.length > 0) {
      const batch = waiting.splice(0)
      try {
        if (broken !== undefined) throw broken
        if (tail.end >= segmentBytes) await roll()
        await put(
          tail,
          batch.map(({ change }) => change),
        )
        counts.writes += batch.length
        if (batch.some(({ change }) => change.base !== undefined)) await prune()
        for (const { resolve } of batch) resolve()
      } catch (error) {
        counts.failed += batch.length
        const failure = failedWrite(error)
        for (const { reject } of batch) reject(failure)
      }
    }
    flushing = undefined
  }

  return {
    storageId: hex(storageId),
    opened: state,
    write(change) {
      if (closed) return Promise.reject(refuse('closed', 'the log is closed', 'open it again'))
      if (broken !== undefined) return Promise.reject(broken)
      if (waiting.length >= MAX_WAITING) {
        const hint = 'wait for what was written before'
        return Promise.reject(
          new ParleyError('COM003', `${MAX_WAITING} changes of the log wait for the disk`, { hint }),
        )
      }
      return new Promise((resolve, reject) => {
        waiting.push({ change, resolve, reject })
        flushing ??= Promise.resolve().then(flush)
      })
    },
    counts: () => ({ ...counts, segments: segments.length }),
    async close() {
      closed = true
      await flushing
      await tail.file.close()
    },
  }
}
