/**
 * Fences on disk: a log (append-log.ts) of what was seen, synced before an effect is let through. Where most of it is out of
 * date another segment begins with all that is known, and those before it go.
 *
 * Where a fence could not be kept, the disk has less than is known here: the next one begins another segment too. The log is
 * made with the first fence. State: what is known, the open log, what waits to be written (one write and one sync for all of it).
 */
import { isParleyError, type ParleyError } from '../../../protocols/errors.ts'
import type { Fence } from '../../../protocols/journal/fencing/fence.ts'
import type { FenceStore } from '../../../protocols/journal/fencing/fence-guard.ts'
import type { Port } from '../../../protocols/port.ts'
import { isFullDisk } from '../../platform/private-file.ts'
import type { Disk } from '../files/disk.ts'
import { newStorageId, putAside, type RandomBytes, replaceLog } from '../journal/replace-log.ts'
import { openAppendLog } from '../log/append-log.ts'
import type { AppendLog } from '../log/append-log-contract.ts'
import { frameOf } from '../log/log-frames.ts'
import { LOG_MARKER_FILE } from '../log/log-marker.ts'
import { isSegmentName, storeError } from '../log/log-segments.ts'
import {
  earlierSegment,
  encodeLines,
  FENCE_FILE,
  type FenceLine,
  FenceTable,
  readerOf,
  readFences,
} from './fence-file.ts'

/** Lines in the log for each scope before another segment begins, and at least this many. */
const STALE = 8
const LEAST_LINES = 4_096

interface Waiting {
  readonly line: FenceLine
  readonly done: PromiseWithResolvers<void>
}

export interface FenceStoreOptions {
  /** Where it is noted that there are fences. */
  readonly known?: { note(part: 'fences', facts: object): Promise<void> } | undefined
  /** Without them the log is sealed on closing only. */
  readonly timers?: Pick<Port['timers'], 'after'>
}

const isFull = (error: unknown): boolean =>
  isFullDisk(error) || (isParleyError(error) && error.details.reason === 'disk-full')

const notKept = (error: unknown): ParleyError => {
  const hint = isFull(error)
    ? 'the effect is not let through; make room on the disk'
    : 'the effect is not let through; see the disk'
  return storeError(isFull(error) ? 'disk-full' : 'disk-failed', 'a fence could not be kept', hint, error)
}

/** The file of an earlier version becomes the segment that it is. @throws as `earlierSegment` */
const takeOverEarlier = async (disk: Disk): Promise<void> => {
  const name = await earlierSegment(disk)
  if (name === undefined) return
  await disk.rename(FENCE_FILE, name)
  await disk.syncNames()
}

class FencesOnDisk implements FenceStore {
  readonly #disk: Disk
  readonly #random: RandomBytes
  readonly #options: FenceStoreOptions
  readonly #table = new FenceTable()
  #log: AppendLog | undefined
  /** The disk has less than is known here. */
  #isBehind = false
  #waiting: Waiting[] = []
  #flushing: Promise<void> | undefined
  #isClosed = false

  constructor(disk: Disk, random: RandomBytes, options: FenceStoreOptions) {
    this.#disk = disk
    this.#random = random
    this.#options = options
  }

  /** @throws STA003 with `details.reason` `damaged` or `newer` */
  async load(): Promise<{ floor: Fence; scopes: [string, Fence][] }> {
    const { problem, segments, table } = await readFences(this.#disk)
    if (problem !== undefined) throw problem
    for (const [scope, fence] of table.scopes) this.#table.scopes.set(scope, fence)
    this.#table.floor = table.floor
    if (segments.length > 0) {
      await takeOverEarlier(this.#disk)
      // Without room for that the next fence opens it.
      await this.#open().catch((error: unknown) => {
        if (!isFull(error)) throw error
      })
    }
    return { floor: this.#table.floor, scopes: [...this.#table.scopes] }
  }

  async #open(): Promise<AppendLog> {
    const { timers, known } = this.#options
    // What it says is known here; more may be.
    const found = new FenceTable()
    const owner = { ...readerOf(found), carry: () => this.#table.record() }
    const log = await openAppendLog(this.#disk, owner, {
      random: this.#random,
      segmentBytes: Number.POSITIVE_INFINITY,
      ...(timers && { timers }),
    })
    this.#table.lines = found.lines
    this.#log = log
    await known?.note('fences', {})
    return log
  }

  /** Resolves once it is durable. @throws STA003 with `details.reason` `disk-full`, `disk-failed`, `closed` */
  save(scope: string, fence: Fence, at: Fence): Promise<void> {
    if (this.#isClosed) return Promise.reject(storeError('closed', 'the fences are closed', 'start the node again'))
    const done = Promise.withResolvers<void>()
    this.#waiting.push({ line: [scope, fence.term, fence.index, at.term, at.index], done })
    this.#flushing ??= Promise.resolve().then(() => this.#flush())
    return done.promise
  }

  async #flush(): Promise<void> {
    while (this.#waiting.length > 0) await this.#write(this.#waiting.splice(0))
    this.#flushing = undefined
  }

  async #write(batch: readonly Waiting[]): Promise<void> {
    const lines = batch.map(({ line }) => line)
    for (const line of lines) this.#table.apply(line)
    try {
      const log = this.#log ?? (await this.#open())
      if (this.#isBehind || this.#table.lines > LEAST_LINES + STALE * this.#table.scopes.size) await this.#renew(log)
      else {
        await log.append(frameOf(encodeLines(lines)), 0)
        this.#table.lines += lines.length
      }
      for (const { done } of batch) done.resolve()
    } catch (error) {
      this.#isBehind = true
      if (this.#log?.broken() !== undefined) await this.#letGo()
      for (const { done } of batch) done.reject(notKept(error))
    }
  }

  /** A segment that begins with all that is known. */
  async #renew(log: AppendLog): Promise<void> {
    await log.roll()
    this.#isBehind = false
    this.#table.lines = this.#table.scopes.size
    await log.prune(0)
  }

  async #letGo(): Promise<void> {
    const log = this.#log
    this.#log = undefined
    await log?.close().catch(() => {})
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#flushing
    await this.#letGo()
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
 * That fences are gone is accepted: what is good of them goes on, in a log of its own. What was there is put aside under names
 * with `.damaged`.
 * @returns those names
 * @throws STA003 `newer`; what the disk says, and then it can be done again
 */
export const acceptFenceLoss = async (disk: Disk, random: RandomBytes): Promise<string[]> => {
  const { problem, table } = await readFences(disk)
  if (problem === undefined) return []
  if (problem.details.reason === 'newer') throw problem
  if (!table.isEmpty) {
    await takeOverEarlier(disk)
    return replaceLog(disk, random, [table.record()], newStorageId(random), '.damaged')
  }
  const isOfFences = (name: string): boolean => isSegmentName(name) || name === LOG_MARKER_FILE || name === FENCE_FILE
  return putAside(disk, (await disk.list()).filter(isOfFences), '.damaged')
}
