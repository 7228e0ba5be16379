/**
 * Records on disk, one after the other, in append-only segments: what all stores here rest on.
 *
 * `append` resolves once the record survives a power cut. On opening, a torn tail is cut off, since nobody was told of it;
 * damage before the tail is refused, and nothing is changed then (log-frames.ts tells the two apart). A write that the disk
 * refuses (no room) changes nothing and may be tried again. After a failed fdatasync nobody knows what the disk has: the log
 * takes nothing more until it is opened again, which reads what is really there (Rebello et al., USENIX ATC 2020).
 *
 * So that the end of the log is not lost without a word, a mark (log-marker.ts) notes how far it is durable after each sync,
 * and an empty frame, the seal, is written and synced once nothing was written for a while, and on closing. A log of an
 * older version gets its mark when it is opened; without one there are no seals.
 *
 * State: the open segment, the names of those before it, the mark, the writes under way, which follow one another.
 */
import { isParleyError, type ParleyError } from '../../../protocols/errors.ts'
import type { Stop } from '../../../protocols/port.ts'
import { isFullDisk } from '../../platform/private-file.ts'
import type { Disk } from '../files/disk.ts'
import type { AppendLog, AppendLogCounts, AppendLogOptions, LogOwner } from './append-log-contract.ts'
import { LogFiles } from './log-files.ts'
import {
  type FrameBuffer,
  frameBuffer,
  frameOf,
  ID_BYTES,
  LOG_FORMAT,
  LOG_HEADER_BYTES,
  SALT_BYTES,
} from './log-frames.ts'
import { type LogMarker, openLogMarker } from './log-marker.ts'
import { hex, type LogSegments, readSegments, storeError } from './log-segments.ts'
import {
  appendFrame,
  beginLogFile,
  createSpareFile,
  type LogTail,
  makeRoom,
  positionOf,
  removeUnfinishedFile,
} from './log-tail.ts'
import { removeOldFiles } from './old-files.ts'

const DEFAULT_SEGMENT_BYTES = 8 * 1024 * 1024
/** Longer than what lies between two batches of a group at its limit: a seal among them is two syncs for nothing. */
const SEAL_MS = 250

export const failedWrite = (error: unknown): ParleyError => {
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

class SegmentedLog implements AppendLog {
  readonly storageId: string
  readonly #disk: Disk
  readonly #owner: LogOwner
  readonly #options: AppendLogOptions
  readonly #segmentBytes: number
  readonly #found: LogSegments
  readonly #mark: LogMarker
  readonly #counts: { syncs: number; bytes: number; kept: number; cutOff: number; seals: number }
  #tail: LogTail
  #busy: Promise<void> = Promise.resolve()
  #stopWaiting: Stop | undefined
  #broken: ParleyError | undefined
  #closed = false
  readonly #files: LogFiles

  constructor(given: {
    disk: Disk
    owner: LogOwner
    options: AppendLogOptions
    found: LogSegments
    mark: LogMarker
    tail: LogTail
  }) {
    this.#disk = given.disk
    this.#owner = given.owner
    this.#options = given.options
    this.#files = new LogFiles(given.disk, given.options)
    this.#segmentBytes = given.options.segmentBytes ?? DEFAULT_SEGMENT_BYTES
    this.#found = given.found
    this.#mark = given.mark
    this.#tail = given.tail
    this.storageId = hex(given.tail.segment.header.storageId)
    this.#counts = { syncs: 0, bytes: 0, kept: 0, cutOff: given.found.torn, seals: 0 }
    if (!this.#tail.isSealed) this.#sealLater()
  }

  sequence(): number {
    return this.#tail.segment.header.sequence
  }

  append(record: FrameBuffer, reach: number): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#tail.end >= this.#segmentBytes) await this.#roll()
      await this.#put(this.#tail, record, reach)
      if (this.#tail.end >= this.#segmentBytes / 2 && this.#options.roomBytes !== undefined) this.prepare()
    })
  }

  roll(): Promise<void> {
    return this.#inTurn(() => this.#roll())
  }

  prune(upTo: number): Promise<void> {
    return this.#inTurn(() => this.#prune(upTo))
  }

  broken(): ParleyError | undefined {
    return this.#broken
  }

  counts(): AppendLogCounts {
    return { ...this.#counts, segments: this.#found.segments.length, unmarked: this.#mark.failed() }
  }

  async close(): Promise<void> {
    if (this.#closed) return this.#busy
    this.#closed = true
    this.#stopWaiting?.()
    this.#busy = this.#busy.then(async () => {
      await this.#seal()
      await this.#mark.close(this.#broken === undefined)
      // Where nobody knows what the disk has, it is left as it is.
      if (this.#broken !== undefined) this.#tail.size = this.#tail.end
      this.#files.letGo(this.#tail)
      await this.#files.close()
    })
    return this.#busy
  }

  /** One after the other; after a failure that leaves nobody knowing what the disk has, nothing more. */
  #inTurn(run: () => Promise<void>): Promise<void> {
    if (this.#closed) return Promise.reject(storeError('closed', 'the log is closed', 'open it again'))
    const done = this.#busy.then(async () => {
      if (this.#broken !== undefined) throw this.#broken
      try {
        await run()
      } catch (error) {
        throw this.#noted(error)
      }
    })
    this.#busy = done.catch(() => {})
    return done
  }

  /** After this nothing may be written where nobody knows what the disk has. */
  #noted(error: unknown): ParleyError {
    const failure = failedWrite(error)
    if (failure.details.reason === 'broken') this.#broken = failure
    return failure
  }

  async #put(to: LogTail, record: FrameBuffer, reach: number): Promise<void> {
    const bytes = await appendFrame(to, record, this.#options.roomBytes)
    this.#counts.syncs += 1
    this.#counts.bytes += bytes
    to.segment.reach = Math.max(to.segment.reach, reach)
    // A seal that is lost takes nothing with it: the mark ends before it.
    if (to.isSealed) return
    this.#mark.note(positionOf(to))
    this.#sealLater()
  }

  async #roll(): Promise<void> {
    const { segments } = this.#found
    const spare = await this.#files.take(this.sequence() + 1)
    let next: LogTail
    try {
      next = await beginLogFile(spare, {
        format: LOG_FORMAT,
        sequence: this.sequence() + 1,
        salt: this.#options.random(SALT_BYTES),
        storageId: this.#tail.segment.header.storageId,
        previous: this.#tail.crc,
        marked: this.#mark.isThere(),
        before: Math.max(...segments.map(({ reach }) => reach)),
      })
      await this.#put(next, frameOf(this.#owner.carry()), 0)
    } catch (error) {
      await removeUnfinishedFile(this.#disk, { file: spare.file, segment: spare })
      throw error
    }
    const old = this.#tail
    old.segment.bytes = old.end
    this.#tail = next
    segments.push(next.segment)
    this.#files.letGo(old)
  }

  prepare(): void {
    if (!this.#closed) this.#files.prepare(this.sequence() + 1)
  }

  /**
   * The oldest first, as far as the disk lets it; each for good before the next one, since a power cut may bring back any of
   * those that were removed together.
   */
  async #prune(upTo: number): Promise<void> {
    const { segments } = this.#found
    const needed = segments.findIndex(({ reach }, i) => reach > upTo || i === segments.length - 1)
    try {
      for (const { name, bytes } of segments.slice(0, needed)) {
        await this.#files.remove(name, bytes)
        segments.shift()
      }
    } catch {
      this.#counts.kept += 1
    }
  }

  /** Once nothing was written for so long. */
  #sealLater(): void {
    if (this.#stopWaiting !== undefined) return
    const { syncs } = this.#counts
    this.#stopWaiting = this.#options.timers?.after(SEAL_MS, () => {
      this.#stopWaiting = undefined
      if (this.#closed) return
      if (this.#counts.syncs > syncs) this.#sealLater()
      else this.#busy = this.#busy.then(() => this.#seal())
    })
  }

  /** Something good stands behind the last record from now on, and the mark is durable; nothing that is written waits for that. */
  async #seal(): Promise<void> {
    if (this.#broken !== undefined || this.#tail.isSealed) return
    try {
      if (!this.#mark.isThere()) await this.#mark.begin(positionOf(this.#tail))
      if (!this.#mark.isThere()) return
      await this.#put(this.#tail, frameBuffer(0), 0)
      this.#counts.seals += 1
      this.#mark.syncSoon()
    } catch (error) {
      // The mark says as much. A disk that failed is told to whoever writes next.
      this.#noted(error)
    }
  }
}

/**
 * Opens a log, or begins one: its owner is told of all records first.
 * @throws STA003 with `details.reason`: `damaged`, or `newer` for a format of a later version; what the disk says
 */
export const openAppendLog = async (disk: Disk, owner: LogOwner, options: AppendLogOptions): Promise<AppendLog> => {
  const { random, roomBytes = 0 } = options
  await removeOldFiles(disk)
  const found = await readSegments(disk, owner)
  if (found.problem !== undefined) throw found.problem
  if (found.begun !== undefined) {
    await disk.remove(found.begun)
    await disk.syncNames()
  }
  const last = found.segments.at(-1)
  const storageId = last === undefined ? random(ID_BYTES) : last.header.storageId
  const slot = found.mark.kind === 'whole' && found.mark.value.id === hex(storageId) ? found.mark.slot : undefined
  const mark = await openLogMarker(disk, slot)
  if (last === undefined) {
    // Before the first file, which says that there is one.
    await mark.begin({ id: hex(storageId), sequence: 1, end: LOG_HEADER_BYTES, crc: 0 })
    const header = {
      format: LOG_FORMAT,
      sequence: 1,
      salt: random(SALT_BYTES),
      storageId,
      previous: 0,
      marked: mark.isThere(),
      before: 0,
    }
    const tail = await beginLogFile(await createSpareFile(disk, 1, roomBytes), header)
    found.segments.push(tail.segment)
    return new SegmentedLog({ disk, owner, options, found, mark, tail })
  }
  const { end, crc, isSealed } = found
  const tail: LogTail = { file: await disk.open(last.name), segment: last, end, size: found.size, crc, isSealed }
  if (found.torn > 0) {
    await tail.file.truncate(end)
    tail.size = end
  }
  // What the process before wrote and did not sync may be in the page cache alone: it was read, and must not be lost now.
  await makeRoom(tail, roomBytes)
  await tail.file.sync()
  await disk.syncNames()
  if (slot !== undefined) mark.note(positionOf(tail))
  else await mark.begin(positionOf(tail))
  return new SegmentedLog({ disk, owner, options, found, mark, tail })
}
