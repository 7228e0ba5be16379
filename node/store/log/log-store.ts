/**
 * Raft's log on disk: term and vote, entries, and where the snapshot ends, in append-only segments.
 *
 * `write` resolves once everything of it survives a power cut: one write and one fdatasync for all that waited meanwhile
 * (group commit). On opening, a torn tail is cut off, since nobody was told of it; damage before the tail is refused, and
 * nothing is changed then (frames.ts tells the two apart). A write that the disk refuses (no room) changes nothing and
 * may be tried again. After a failed fdatasync nobody knows what the disk has: the store takes nothing more until it is
 * opened again, which reads what is really there (Rebello et al., USENIX ATC 2020).
 *
 * So that the end of the log is not lost without a word, a mark (log-marker.ts) notes how far it is durable after each sync,
 * and an empty frame, the seal, is written and synced once nothing was written for a while, and on closing. A log of an
 * older version gets its mark when it is opened; without one there are no seals.
 *
 * State: the log in memory, the open segment, changes that wait (bounded), the mark.
 */
import type { LogChange, LogState } from '../../../protocols/consensus/group/group-storage.ts'
import { isParleyError, ParleyError } from '../../../protocols/errors.ts'
import type { Port, Stop } from '../../../protocols/port.ts'
import { isFullDisk } from '../../platform/private-file.ts'
import type { Disk } from '../files/disk.ts'
import { ID_BYTES, LOG_FORMAT, LOG_HEADER_BYTES, SALT_BYTES } from './log-frames.ts'
import { encodeChanges } from './log-items.ts'
import { openLogMarker } from './log-marker.ts'
import { hex, readSegments, storeError } from './log-segments.ts'
import { appendFrame, createLogFile, type LogTail, positionOf, removeUnfinishedFile } from './log-tail.ts'

const DEFAULT_SEGMENT_BYTES = 8 * 1024 * 1024
const MAX_WAITING = 4_096
/** Longer than what lies between two batches of a group at its limit: a seal among them is two syncs for nothing. */
const SEAL_MS = 250

export interface LogStoreOptions {
  readonly random: (bytes: number) => Uint8Array
  /** A segment that has grown beyond it is followed by another one, bytes. */
  readonly segmentBytes?: number
  /** Without them the log is sealed on closing only. */
  readonly timers?: Pick<Port['timers'], 'after'>
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
  readonly seals: number
  /** Times that the mark could not be written or synced: an older one says less. */
  readonly unmarked: number
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
  const isFull = isFullDisk(error)
  const message = error instanceof Error ? error.message : String(error)
  return storeError(
    isFull ? 'disk-full' : 'disk-failed',
    `the log could not be written: ${message}`,
    isFull ? 'make room on the disk; nothing is lost, and it goes on by itself' : 'see whether the disk is well',
    error,
  )
}

/**
 * Opens a log, or begins one.
 * @throws STA003 with `details.reason`: `damaged`, or `newer` for a format of a later version
 */
export const openLogStore = async (disk: Disk, options: LogStoreOptions): Promise<LogStore> => {
  const segmentBytes = options.segmentBytes ?? DEFAULT_SEGMENT_BYTES
  const counts = { writes: 0, syncs: 0, bytes: 0, failed: 0, kept: 0, cutOff: 0, seals: 0 }
  const waiting: Waiting[] = []
  let flushing: Promise<void> | undefined
  let closed = false
  let broken: ParleyError | undefined
  let stopWaiting: Stop | undefined
  let isSealDue = false

  /** @param before highest index of an entry in the files before */
  const begin = (sequence: number, previous: number, before: number): Promise<LogTail> => {
    const salt = options.random(SALT_BYTES)
    const marked = mark.isThere()
    return createLogFile(disk, { format: LOG_FORMAT, sequence, salt, storageId, previous, marked, before })
  }

  const { state, segments, begun, problem, ...found } = await readSegments(disk)
  if (problem !== undefined) throw problem
  if (begun !== undefined) {
    await disk.remove(begun)
    await disk.syncNames()
  }
  /** What a segment begins with, so that those before it can go. */
  const now: Pick<LogState, 'hardState' | 'snapshot'> = { hardState: state.hardState, snapshot: state.snapshot }
  let tail: LogTail
  const last = segments.at(-1)
  const storageId = last === undefined ? options.random(ID_BYTES) : last.header.storageId
  const slot = found.mark.kind === 'whole' && found.mark.value.id === hex(storageId) ? found.mark.slot : undefined
  const mark = await openLogMarker(disk, slot)
  if (last === undefined) {
    // Before the first file, which says that there is one.
    await mark.begin({ id: hex(storageId), sequence: 1, end: LOG_HEADER_BYTES, crc: 0 })
    tail = await begin(1, 0, 0)
    segments.push(tail.segment)
  } else {
    tail = { file: await disk.open(last.name), segment: last, end: found.end, crc: found.crc, isSealed: found.isSealed }
    counts.cutOff = found.torn
    if (found.torn > 0) await tail.file.truncate(found.end)
    // What the process before wrote and did not sync may be in the page cache alone: it was read, and must not be lost now.
    await tail.file.sync()
    await disk.syncNames()
    if (slot !== undefined) mark.note(positionOf(tail))
    else await mark.begin(positionOf(tail))
  }

  const put = async (to: LogTail, changes: readonly LogChange[]): Promise<void> => {
    const bytes = await appendFrame(to, encodeChanges(changes))
    counts.syncs += 1
    counts.bytes += bytes
    // A seal that is lost takes nothing with it: the mark ends before it.
    if (!to.isSealed) mark.note(positionOf(to))
    for (const { hardState, base, entries } of changes) {
      now.hardState = hardState ?? now.hardState
      now.snapshot = base?.meta ?? now.snapshot
      to.segment.lastIndex = Math.max(to.segment.lastIndex, entries?.at(-1)?.index ?? 0)
    }
  }

  const roll = async (): Promise<void> => {
    const before = Math.max(...segments.map(({ lastIndex }) => lastIndex))
    const next = await begin(tail.segment.header.sequence + 1, tail.crc, before)
    const base = now.snapshot && { meta: now.snapshot, keeps: true }
    try {
      await put(next, [{ hardState: now.hardState, base }])
    } catch (error) {
      await removeUnfinishedFile(disk, next)
      throw error
    }
    const old = tail
    tail = next
    segments.push(next.segment)
    await old.file.close()
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

  /** After this nothing may be written where nobody knows what the disk has. */
  const noted = (error: unknown): ParleyError => {
    const failure = failedWrite(error)
    if (failure.details.reason === 'broken') broken = failure
    return failure
  }
  /** Something good stands behind the last record from now on, and the mark is durable; nothing that is written waits for that. */
  const seal = async (): Promise<void> => {
    if (broken !== undefined || tail.isSealed) return
    try {
      if (!mark.isThere()) await mark.begin(positionOf(tail))
      if (!mark.isThere()) return
      await put(tail, [])
      counts.seals += 1
      mark.syncSoon()
    } catch (error) {
      // The mark says as much. A disk that failed is told to whoever writes next.
      noted(error)
    }
  }
  const sealLater = (): void => {
    stopWaiting?.()
    stopWaiting = options.timers?.after(SEAL_MS, () => {
      isSealDue = true
      flushing ??= Promise.resolve().then(flush)
    })
  }

  const write = async (batch: readonly Waiting[]): Promise<void> => {
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
      const failure = noted(error)
      for (const { reject } of batch) reject(failure)
    }
  }
  const flush = async (): Promise<void> => {
    let wrote = false
    while (waiting.length > 0 || isSealDue) {
      if (waiting.length > 0) {
        wrote = true
        await write(waiting.splice(0))
      } else {
        isSealDue = false
        await seal()
      }
    }
    if (wrote && !tail.isSealed && !closed) sealLater()
    flushing = undefined
  }
  if (!tail.isSealed) sealLater()

  return {
    storageId: hex(storageId),
    opened: state,
    write(change) {
      if (closed) return Promise.reject(storeError('closed', 'the log is closed', 'open it again'))
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
    counts: () => ({ ...counts, segments: segments.length, unmarked: mark.failed() }),
    async close() {
      closed = true
      stopWaiting?.()
      await flushing
      await seal()
      await mark.close(broken === undefined)
      await tail.file.close()
    },
  }
}
