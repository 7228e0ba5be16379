/**
 * Fences on disk: an append-only file of what was seen, synced before an effect is let through, and written anew when most
 * of it is out of date (fence-file.ts has its form).
 *
 * A torn tail is cut off: nobody was let through for it. Anything else that is gone or damaged is refused, also at the end of
 * the file: a mark (log-marker.ts) is written after each sync, without a sync of its own, and once nothing was written for a
 * while, and on closing, a seal is written and synced behind the last line. A file without a mark, as older versions leave it,
 * is written anew when it is opened. State: what is known, the open file, what waits to be written (one write and one sync
 * for all of it).
 */
import { isParleyError } from '../../../protocols/errors.ts'
import { type Fence, NO_FENCE } from '../../../protocols/journal/fencing/fence.ts'
import type { FenceStore } from '../../../protocols/journal/fencing/fence-guard.ts'
import type { Port, Stop } from '../../../protocols/port.ts'
import { isFullDisk } from '../../platform/private-file.ts'
import type { Disk } from '../files/disk.ts'
import { copyAside, type RandomBytes } from '../journal/replace-log.ts'
import {
  encodeFrame,
  encodeHeader,
  frameOf,
  ID_BYTES,
  LOG_FORMAT,
  LOG_HEADER_BYTES,
  SALT_BYTES,
} from '../log/log-frames.ts'
import { LOG_MARKER_FILE, type LogMarker, openLogMarker } from '../log/log-marker.ts'
import { hex, storeError } from '../log/log-segments.ts'
import { appendFrame, type LogTail, positionOf } from '../log/log-tail.ts'
import {
  applyLine,
  FENCE_FILE,
  type FenceLine,
  type FenceTable,
  linesOf,
  type ReadFences,
  readFences,
} from './fence-file.ts'

const PART = `${FENCE_FILE}.part`
/** Lines in the file for each scope before it is written anew, and at least this many. */
const STALE = 8
const LEAST_LINES = 4_096
const SEAL_MS = 25

interface Waiting {
  readonly line: FenceLine
  readonly done: PromiseWithResolvers<void>
}

export interface FenceStoreOptions {
  /** Where it is noted that there are fences. */
  readonly known?: { note(part: 'fences', facts: object): Promise<void> } | undefined
  /** Without them the file is sealed on closing only. */
  readonly timers?: Pick<Port['timers'], 'after'>
}

const notKept = (error: unknown) => {
  const isFull = isFullDisk(error)
  const hint = isFull
    ? 'the effect is not let through; make room on the disk'
    : 'the effect is not let through; see the disk'
  return storeError(isFull ? 'disk-full' : 'disk-failed', 'a fence could not be kept', hint, error)
}

const encodeLines = (lines: readonly FenceLine[]): Uint8Array => new TextEncoder().encode(JSON.stringify(lines))

class FencesOnDisk implements FenceStore {
  readonly #disk: Disk
  readonly #random: RandomBytes
  readonly #options: FenceStoreOptions
  readonly #table: FenceTable = { scopes: new Map(), floor: NO_FENCE }
  #mark: LogMarker | undefined
  /** Of all files that follow one another. */
  #id: Uint8Array | undefined
  /** Of the file that was begun last. */
  #sequence = 0
  /** Undefined: the next write makes a whole new file. */
  #tail: LogTail | undefined
  #lines = 0
  #waiting: Waiting[] = []
  #flushing: Promise<void> | undefined
  #stopSealing: Stop | undefined
  #isSealDue = false
  #isClosed = false

  constructor(disk: Disk, random: RandomBytes, options: FenceStoreOptions) {
    this.#disk = disk
    this.#random = random
    this.#options = options
  }

  /** @throws STA003 with `details.reason` `damaged` or `newer` */
  async load(): Promise<{ floor: Fence; scopes: [string, Fence][] }> {
    const found = await readFences(this.#disk)
    if (found.problem !== undefined) throw found.problem
    const { header, mark, table, lines } = found
    for (const [scope, fence] of table.scopes) this.#table.scopes.set(scope, fence)
    this.#table.floor = table.floor
    this.#lines = lines
    if (header !== undefined && mark.kind === 'whole' && mark.value.id === hex(header.storageId)) {
      this.#id = header.storageId
      this.#mark = await openLogMarker(this.#disk, mark.slot)
    }
    if (header !== undefined) {
      await this.#goOn(found, header)
      await this.#options.known?.note('fences', {})
    }
    return { floor: this.#table.floor, scopes: [...this.#table.scopes] }
  }

  /** Resolves once it is durable. @throws STA003 with `details.reason` `disk-full`, `disk-failed`, `closed` */
  save(scope: string, fence: Fence, at: Fence): Promise<void> {
    if (this.#isClosed) return Promise.reject(storeError('closed', 'the fences are closed', 'start the node again'))
    const done = Promise.withResolvers<void>()
    this.#waiting.push({ line: [scope, fence.term, fence.index, at.term, at.index], done })
    this.#flushSoon()
    return done.promise
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#stopSealing?.()
    await this.#flushing
    await this.#seal()
    await this.#mark?.close(this.#tail !== undefined)
    await this.#tail?.file.close()
  }

  /** Keeps what is known of a file that is damaged: a new one in its place, or none where nothing is. */
  async replace({ table }: ReadFences): Promise<void> {
    for (const line of linesOf(table)) applyLine(this.#table, line)
    if (table.scopes.size > 0 || table.floor !== NO_FENCE) return this.#rewrite()
    for (const name of [FENCE_FILE, LOG_MARKER_FILE]) await this.#disk.remove(name)
    await this.#disk.syncNames()
  }

  /** What was read counts from now on: what the process before did not sync may be in the page cache alone. */
  async #goOn({ end, crc, torn, isSealed }: ReadFences, header: LogTail['segment']['header']): Promise<void> {
    const file = await this.#disk.open(FENCE_FILE)
    if (torn > 0) await file.truncate(end)
    await file.sync()
    await this.#disk.syncNames()
    this.#sequence = header.sequence
    this.#tail = { file, segment: { name: FENCE_FILE, header, reach: 0, bytes: 0 }, end, size: end, crc, isSealed }
    if (this.#mark !== undefined) {
      this.#mark.note(positionOf(this.#tail))
      if (!isSealed) this.#sealLater()
      return
    }
    // Where there is no room for it now the next fence makes it.
    await this.#rewrite().catch(() => this.#drop())
  }

  async #drop(): Promise<void> {
    const tail = this.#tail
    this.#tail = undefined
    await tail?.file.close().catch(() => {})
  }

  /** Before the first file that says there is one. Without room for it there is none, and that file does not say so. */
  async #beginMark(): Promise<{ id: Uint8Array; mark: LogMarker }> {
    if (this.#id === undefined) {
      this.#id = this.#random(ID_BYTES)
      this.#sequence = 0
    }
    this.#mark ??= await openLogMarker(this.#disk, undefined)
    const id = this.#id
    if (!this.#mark.isThere()) await this.#mark.begin({ id: hex(id), sequence: 1, end: LOG_HEADER_BYTES, crc: 0 })
    return { id, mark: this.#mark }
  }

  /** Everything that is known, as a new file in place of the old one. */
  async #rewrite(): Promise<void> {
    const { id, mark } = await this.#beginMark()
    this.#sequence += 1
    const salt = new Uint8Array(this.#random(SALT_BYTES))
    const marked = mark.isThere()
    const header = { format: LOG_FORMAT, sequence: this.#sequence, salt, storageId: id, previous: 0, marked }
    const all = linesOf(this.#table)
    const frame = encodeFrame(salt, 0, encodeLines(all))
    await this.#disk.remove(PART)
    const file = await this.#disk.create(PART)
    try {
      await file.write(encodeHeader(header), 0)
      await file.write(frame.bytes, LOG_HEADER_BYTES)
      await file.sync()
      await this.#disk.rename(PART, FENCE_FILE)
      await this.#disk.syncNames()
    } catch (error) {
      await file.close().catch(() => {})
      throw error
    }
    await this.#drop()
    const end = LOG_HEADER_BYTES + frame.bytes.length
    this.#tail = {
      file,
      segment: { name: FENCE_FILE, header, reach: 0, bytes: 0 },
      end,
      size: end,
      crc: frame.crc,
      isSealed: false,
    }
    this.#lines = all.length
    mark.note(positionOf(this.#tail))
    await this.#options.known?.note('fences', {})
  }

  async #put(tail: LogTail, lines: readonly FenceLine[]): Promise<void> {
    await appendFrame(tail, frameOf(encodeLines(lines)))
    tail.isSealed = lines.length === 0
    this.#lines += Math.max(1, lines.length)
    // A seal that is lost takes nothing with it: the mark ends before it.
    if (!tail.isSealed) this.#mark?.note(positionOf(tail))
  }

  async #write(batch: readonly Waiting[]): Promise<void> {
    try {
      const lines = batch.map(({ line }) => line)
      for (const line of lines) applyLine(this.#table, line)
      const isStale = this.#lines > LEAST_LINES + STALE * this.#table.scopes.size
      if (this.#tail === undefined || isStale) await this.#rewrite()
      else await this.#put(this.#tail, lines)
      for (const { done } of batch) done.resolve()
    } catch (error) {
      // Nobody knows what is on the disk, or it has less than is known: the next write makes a whole new file.
      await this.#drop()
      for (const { done } of batch) done.reject(notKept(error))
    }
  }

  #flushSoon(): void {
    this.#flushing ??= Promise.resolve().then(() => this.#flush())
  }

  async #flush(): Promise<void> {
    let wrote = false
    while (this.#waiting.length > 0 || this.#isSealDue) {
      if (this.#waiting.length > 0) {
        wrote = true
        await this.#write(this.#waiting.splice(0))
      } else {
        this.#isSealDue = false
        await this.#seal()
      }
    }
    this.#flushing = undefined
    if (wrote && !this.#isClosed) this.#sealLater()
  }

  #sealLater(): void {
    this.#stopSealing?.()
    this.#stopSealing = this.#options.timers?.after(SEAL_MS, () => {
      this.#isSealDue = true
      this.#flushSoon()
    })
  }

  /** Something good stands behind the last line from now on, and the mark is durable; no fence waits for that. */
  async #seal(): Promise<void> {
    const [tail, mark] = [this.#tail, this.#mark]
    if (tail === undefined || tail.isSealed || mark === undefined) return
    try {
      if (!mark.isThere()) await mark.begin(positionOf(tail))
      if (!mark.isThere()) return
      await this.#put(tail, [])
      mark.syncSoon()
    } catch (error) {
      // The mark says as much. Only where nobody knows what the disk has the file is no use any more.
      if (isParleyError(error) && error.details.reason === 'broken') await this.#drop()
    }
  }
}

export const createFenceStore = (
  disk: Disk,
  random: RandomBytes,
  options: FenceStoreOptions = {},
): FenceStore & { close(): Promise<void> } => {
  const fences = new FencesOnDisk(disk, random, options)
  return { load: () => fences.load(), save: (...line) => fences.save(...line), close: () => fences.close() }
}

/**
 * That fences are gone is accepted: what is good of them goes on. What was there is copied to names with `.damaged`.
 * @returns those names
 * @throws STA003 `newer`; what the disk says, and then it can be done again
 */
export const acceptFenceLoss = async (disk: Disk, random: RandomBytes): Promise<string[]> => {
  const found = await readFences(disk)
  if (found.problem === undefined) return []
  if (found.problem.details.reason === 'newer') throw found.problem
  const aside: string[] = []
  for (const name of [FENCE_FILE, LOG_MARKER_FILE])
    aside.push(...[await copyAside(disk, name, '.damaged')].flatMap((copy) => copy ?? []))
  const fences = new FencesOnDisk(disk, random, {})
  await fences.replace(found)
  await fences.close()
  return aside
}
