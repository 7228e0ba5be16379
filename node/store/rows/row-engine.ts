/**
 * Rows on disk by key: a log of changes (append-log.ts), the rows that changed last in memory, all others in tables.
 *
 * A group of changes is one record of the log, so it is all there or not at all. Where memory or the log has grown, another
 * segment begins and what is in memory becomes a table, beside everything else; then the segments before it go. Opening reads
 * the log, which is bounded, and the index of each table. A log record, an index and a block each have a checksum, the log
 * names the index and the index the blocks, so that what is lost, older or something else is never taken for the row.
 *
 * Removing a row that no table has leaves nothing: a message that is sent and acknowledged while it is in memory never gets
 * into a table.
 *
 * State: rows in memory, those that become a table now, the tables (table-set.ts), the job under way.
 */
import type { StoredRow } from '../../../protocols/delivery/store/row-storage.ts'
import type { Disk } from '../files/disk.ts'
import { openAppendLog } from '../log/append-log.ts'
import type { AppendLog, LogOwner } from '../log/append-log-contract.ts'
import { FrameRoom } from '../log/log-frames.ts'
import { storeError } from '../log/log-segments.ts'
import type { RowWrites } from './group-commit.ts'
import { MemoryRows } from './memory-rows.ts'
import { RowJobs } from './row-jobs.ts'
import { ROWS_FORMAT, type RowManifest, renewedId } from './row-manifest.ts'
import {
  type ChosenOptions,
  createPace,
  DEFAULT_BYTES,
  type RowEngineCounts,
  type RowEngineOptions,
} from './row-options.ts'
import { groupRecord, manifestPayload, manifestRecord, RowReplay } from './row-records.ts'
import { type RowSpan, readSpan, SCAN_ROWS } from './row-scan.ts'
import { numbersOf, TableFiles } from './tables/table-files.ts'
import { byteText, textOf } from './tables/table-format.ts'
import { TableReader } from './tables/table-reader.ts'
import { TableSet } from './tables/table-set.ts'

/** What opening found in the log becomes a table where it is this much, so that the next one reads less. */
const FIRST_LOG_BYTES = 4 * 1024
const RETRY_MS = 1_000
/** Memory may grow to this times its limit while the disk has no room for tables. */
const MEMORY_MARGIN = 4

const emptyManifest = ({ random, identity }: RowEngineOptions): RowManifest => ({
  format: ROWS_FORMAT,
  ...(identity ?? renewedId(undefined, random)),
  flushed: 0,
  runs: [],
})

export class RowEngine {
  readonly #log: AppendLog
  readonly #set: TableSet
  readonly #tables: TableReader
  readonly #files: TableFiles
  readonly #options: ChosenOptions
  #memory: MemoryRows
  #group: number
  /** Bytes of the segment that is written. */
  #logged = 0
  #turn: Promise<void> = Promise.resolve()
  #isClosed = false
  readonly #jobs: RowJobs
  #kept = 0
  readonly #room = new FrameRoom()

  private constructor(disk: Disk, log: AppendLog, replay: RowReplay, options: ChosenOptions) {
    const { cacheBytes, random, pace, tableBytes } = options
    this.#log = log
    this.#options = options
    this.#memory = replay.memory()
    this.#group = replay.group
    this.#logged = this.#memory.bytes
    this.#tables = new TableReader(disk, cacheBytes)
    this.#files = new TableFiles(disk, this.#tables, () => {
      this.#kept += 1
    })
    this.#set = new TableSet(replay.manifest ?? emptyManifest(options), {
      disk,
      tables: this.#tables,
      files: this.#files,
      random,
      pace,
      tableBytes,
      persist: () => this.#persist(),
    })
    this.#jobs = new RowJobs({ ...options, set: this.#set, onFlushed: (upTo) => log.prune(upTo) })
  }

  /**
   * Opens the rows in this folder, or begins them.
   * @throws STA003 with `details.reason` `damaged`, or `newer` for a format of a later version; what the disk says
   */
  static async open(disk: Disk, given: RowEngineOptions): Promise<RowEngine> {
    const options = { pace: createPace(), ...DEFAULT_BYTES, ...given }
    const replay = new RowReplay()
    let engine: RowEngine | undefined
    const owner: LogOwner = {
      apply: (payload, sequence) => replay.apply(payload, sequence),
      covered: () => replay.manifest?.flushed ?? 0,
      missing: () => replay.missing(),
      carry: () => manifestPayload((engine as RowEngine).#set.manifest),
    }
    const log = await openAppendLog(disk, owner, { ...options, segmentBytes: Number.POSITIVE_INFINITY })
    engine = new RowEngine(disk, log, replay, options)
    try {
      await engine.#begin(replay.manifest)
      return engine
    } catch (error) {
      await engine.#tables.close()
      await log.close().catch(() => {})
      throw error
    }
  }

  /** @param found undefined: nothing was ever kept here */
  async #begin(found: RowManifest | undefined): Promise<void> {
    if (found !== undefined && found.format > ROWS_FORMAT)
      throw storeError(
        'newer',
        `the rows have the format ${found.format}, and this version knows ${ROWS_FORMAT}`,
        'start this node with the version that wrote them, or a later one',
      )
    const { random, isRenewed } = this.#options
    await this.#files.open(new Set(numbersOf(this.#set.manifest.runs)))
    await this.#set.open()
    if (found === undefined) await this.#log.append(manifestRecord(this.#set.manifest), 0)
    else if (isRenewed === true) await this.#set.rename(renewedId(found, random))
    await this.#log.prune(this.#set.manifest.flushed)
    // Without room for it the next one reads it again.
    if (this.#logged >= FIRST_LOG_BYTES) void this.#inTurn(() => this.#freeze()).catch(() => {})
    this.#jobs.resume()
  }

  get id(): string {
    return this.#set.manifest.id
  }

  get formerIds(): readonly string[] {
    return this.#set.manifest.formerIds
  }

  /** Number of the last group that is durable. */
  get group(): number {
    return this.#group
  }

  /** On disk, about. */
  get bytes(): number {
    return this.#logged + this.#set.bytes
  }

  counts(): RowEngineCounts {
    const { runs } = this.#set.manifest
    return {
      groups: this.#group,
      memoryRows: this.#memory.size + (this.#jobs.frozen?.size ?? 0),
      memoryBytes: this.#memory.bytes + (this.#jobs.frozen?.bytes ?? 0),
      logBytes: this.#logged,
      tables: runs.flat().length,
      runs: runs.length,
      ...this.#jobs.counts,
      kept: this.#kept + this.#log.counts().kept,
      syncs: this.#log.counts().syncs,
    }
  }

  /**
   * Makes the rows durable, all or none. Not called again before it resolved.
   * @param rows `undefined` removes the row
   * @throws STA003 with `details.reason` `disk-full` (nothing was changed), `disk-failed`, `broken` (open it again)
   */
  async write(rows: RowWrites): Promise<void> {
    if (rows.size > 0) await this.#inTurn(() => this.#write(rows))
  }

  /** Groups, and what begins another segment, one after the other. */
  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(run)
    this.#turn = done.then(
      () => {},
      () => {},
    )
    return done
  }

  async #write(rows: RowWrites): Promise<void> {
    if (this.#isFull(1)) await this.#freeze()
    else if (this.#isFull(0.5)) this.#log.prepare()
    const group = this.#group + 1
    const { record, keys } = groupRecord(group, rows, this.#room)
    await this.#log.append(record, group)
    this.#group = group
    this.#logged += record.length
    const memory = this.#memory
    memory.upTo = group
    let at = 0
    for (const value of rows.values()) {
      const key = keys[at++] ?? ''
      if (value !== undefined || this.#isBelow(key)) memory.put(key, value)
      else memory.drop(key)
    }
  }

  /** Something older than memory may have the row. */
  #isBelow(key: string): boolean {
    return this.#jobs.frozen?.has(key) === true || this.#set.mayHave(key)
  }

  #isFull(share: number): boolean {
    const { memoryBytes, logBytes } = this.#options
    return this.#memory.bytes >= share * memoryBytes || this.#logged >= share * logBytes
  }

  /** What is in memory becomes a table, and other rows gather. Waits for the one before. */
  async #freeze(): Promise<void> {
    await this.#jobs.room()
    if (this.#jobs.frozen !== undefined) {
      if (!this.#isFull(MEMORY_MARGIN)) return
      throw this.#jobs.failure ?? storeError('disk-failed', 'no table can be written', 'see whether the disk is well')
    }
    await this.#log.roll()
    const memory = this.#memory
    this.#memory = new MemoryRows()
    this.#logged = 0
    this.#jobs.flush(memory)
  }

  /** Until it is durable: what it names is there, and what it does not name goes only then. */
  async #persist(): Promise<void> {
    for (;;) {
      try {
        return await this.#log.append(manifestRecord(this.#set.manifest), 0)
      } catch (error) {
        const { timers } = this.#options
        const isOver = this.#log.broken() !== undefined || this.#isClosed || timers === undefined
        if (isOver) throw error
        await new Promise<void>((resolve) => timers.after(RETRY_MS, resolve))
      }
    }
  }

  /** @throws STA003 `damaged`; what the disk says */
  async get(text: string): Promise<Uint8Array | undefined> {
    const key = byteText(text)
    const found = this.#memory.find(key) ?? this.#jobs.frozen?.find(key) ?? (await this.#set.find(key))
    return found?.value
  }

  /** In the order of their keys, as they are when each part of them is read. @throws as `get` */
  async *rows({ prefix, after, limit = Number.POSITIVE_INFINITY }: RowSpan): AsyncGenerator<StoredRow> {
    const begin = byteText(prefix)
    const behind = after === undefined ? undefined : `${byteText(after)}\0`
    let from = behind !== undefined && behind > begin ? behind : begin
    let left = limit < 0 ? Number.POSITIVE_INFINITY : limit
    while (left > 0) {
      const { rows, next } = await readSpan([this.#memory, this.#jobs.frozen], this.#set, {
        from,
        prefix: begin,
        count: Math.min(left, SCAN_ROWS),
      })
      for (const { key, value } of rows) if (value !== undefined) yield { key: textOf(key), value }
      left -= rows.length
      if (next === undefined) return
      from = next
    }
  }

  /** Waits for what is under way. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#turn
    await this.#jobs.close()
    await this.#tables.close()
    await this.#log.close()
  }
}
