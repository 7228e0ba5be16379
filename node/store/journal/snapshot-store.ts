/**
 * Snapshots of a journal on disk. Each is a small file that names the tables which hold its rows; a snapshot on top of another
 * one is that one's tables and one more with what has changed, so that it costs as much as that. Tables never change, and are
 * merged beside everything else; a merge counts from the next snapshot on.
 *
 * A table stays as long as a snapshot names it or somebody reads it. What a crash leaves is removed by the next opening.
 * State: the snapshots that there are, the tables that the next one is put on, the merge and the saving under way.
 */
import type { SavedRows, SnapshotAt, StateChange, StateRow } from '../../../protocols/consensus/group/group-storage.ts'
import type { SnapshotMeta } from '../../../protocols/consensus/raft/raft-messages.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import type { Log } from '../../../protocols/port.ts'
import type { Disk } from '../files/disk.ts'
import { storeError } from '../log/log-segments.ts'
import { MemoryRows } from '../rows/memory-rows.ts'
import type { Run } from '../rows/row-manifest.ts'
import { createPace, DEFAULT_BYTES, type Pace } from '../rows/row-options.ts'
import { readSpan, SCAN_ROWS, type ScannedRows } from '../rows/row-scan.ts'
import { RunSource } from '../rows/tables/run-source.ts'
import { numbersOf, TableFiles } from '../rows/tables/table-files.ts'
import { byteText } from '../rows/tables/table-format.ts'
import { TableReader } from '../rows/tables/table-reader.ts'
import { findInRuns, TableSet } from '../rows/tables/table-set.ts'
import {
  damagedSnapshot,
  readSnapshotFile,
  snapshotAt,
  snapshotFileNames,
  snapshotManifest,
  snapshotName,
  writeSnapshotFile,
} from './snapshot-files.ts'

/** Rows that become one table; those of a whole journal are several. */
const BATCH_BYTES = 32 * 1024 * 1024
/** With more runs than this a snapshot waits for a merge. */
const MAX_RUNS = 256

export interface SnapshotStoreOptions {
  readonly random: (bytes: number) => Uint8Array
  readonly log?: Pick<Log, 'warn'> | undefined
  readonly pace?: Pace | undefined
  /** What a snapshot of an earlier version holds; without it there is none. */
  readonly decode?: ((chunks: AsyncIterable<Uint8Array>) => AsyncIterable<StateRow>) | undefined
  /** Told of damage that is found while rows are read or merged. */
  readonly onDamage?: ((what: string) => void) | undefined
}

interface KnownSnapshot {
  readonly meta: SnapshotMeta
  readonly runs: readonly Run[]
  unpin(): void
}

type Changes = Iterable<StateChange> | AsyncIterable<StateChange>

const isSame = (a: SnapshotAt | undefined, b: SnapshotAt): boolean => a?.index === b.index && a.term === b.term

export class SnapshotStore {
  readonly #disk: Disk
  readonly #options: SnapshotStoreOptions
  readonly #pace: Pace
  readonly #tables: TableReader
  readonly #files: TableFiles
  /** By name. */
  readonly #known = new Map<string, KnownSnapshot>()
  /** The tables of the last one that was put on another, and which that was. */
  #top: { at: SnapshotAt; readonly set: TableSet } | undefined
  #merging: Promise<void> | undefined
  readonly #saving = new Set<Promise<void>>()
  #isClosed = false

  private constructor(disk: Disk, options: SnapshotStoreOptions) {
    this.#disk = disk
    this.#options = options
    this.#pace = options.pace ?? createPace()
    this.#tables = new TableReader(disk, DEFAULT_BYTES.cacheBytes)
    this.#files = new TableFiles(disk, this.#tables, () => {})
  }

  /**
   * @param base the one that counts
   * @throws STA003 `damaged` where that one is not whole: its file, or the index of one of its tables
   */
  static async open(disk: Disk, options: SnapshotStoreOptions, base: SnapshotAt | undefined): Promise<SnapshotStore> {
    const store = new SnapshotStore(disk, options)
    try {
      await store.#begin(base)
      return store
    } catch (error) {
      await store.#tables.close()
      throw error
    }
  }

  async #begin(base: SnapshotAt | undefined): Promise<void> {
    const found = base && (await readSnapshotFile(this.#disk, base))
    for (const name of await snapshotFileNames(this.#disk)) {
      const at = snapshotAt(name)
      if (at === undefined) continue
      const { meta, runs } = await readSnapshotFile(this.#disk, at).catch(() => ({ meta: undefined, runs: undefined }))
      if (meta !== undefined && runs !== undefined) this.#know(meta, runs)
    }
    // Before any table is removed.
    if (found?.runs !== undefined) await this.#setOn(found.runs, found.meta.index).open()
    await this.#files.open(new Set([...this.#known.values()].flatMap(({ runs }) => numbersOf(runs))))
    if (found === undefined || found.runs !== undefined) return
    const { chunks, meta } = found
    const given = async function* (): AsyncGenerator<Uint8Array> {
      yield* chunks
    }
    await this.save(meta, this.#options.decode?.(given()) ?? [])
  }

  #know(meta: SnapshotMeta, runs: readonly Run[]): void {
    const name = snapshotName(meta)
    const before = this.#known.get(name)
    this.#known.set(name, { meta, runs, unpin: this.#files.pin(runs) })
    before?.unpin()
  }

  #setOn(runs: readonly Run[], upTo: number): TableSet {
    return new TableSet(snapshotManifest(runs, upTo), {
      disk: this.#disk,
      tables: this.#tables,
      files: this.#files,
      random: this.#options.random,
      pace: this.#pace,
      tableBytes: DEFAULT_BYTES.tableBytes,
      // A snapshot that names them makes them count.
      persist: async () => {},
    })
  }

  /** What was written of a snapshot that is none: the next one begins where this one did. */
  async #abandon(set: TableSet): Promise<void> {
    set.close()
    if (this.#top?.set === set) {
      this.#top = undefined
      await this.#merging
    }
    await this.#letGo(set.manifest.runs)
  }

  /** Tables that only this one had. */
  async #letGo(runs: readonly Run[]): Promise<void> {
    const needed = new Set(numbersOf(this.#top?.set.manifest.runs ?? []))
    for (const number of numbersOf(runs)) if (!needed.has(number)) await this.#files.remove(number)
  }

  /** @throws STA003 `damaged` for a snapshot that is not there */
  #snapshot(at: SnapshotAt): KnownSnapshot {
    const found = this.#known.get(snapshotName(at))
    if (found === undefined || !isSame(found.meta, at)) throw damagedSnapshot(snapshotName(at), 'is not there')
    return found
  }

  /** As GroupStorage.saveSnapshot. @throws STA003 `closed` too */
  async save(meta: SnapshotMeta, rows: Changes, on?: SnapshotAt): Promise<void> {
    const saving = this.#save(meta, rows, on)
    this.#saving.add(saving)
    try {
      await saving
    } finally {
      this.#saving.delete(saving)
    }
  }

  async #save(meta: SnapshotMeta, rows: Changes, on: SnapshotAt | undefined): Promise<void> {
    const set = on === undefined ? this.#setOn([], meta.index) : await this.#topOn(on)
    let unpin = (): void => {}
    try {
      await this.#flush(set, rows, meta.index)
      // A merge may put others in their place meanwhile.
      const { runs } = set.manifest
      unpin = this.#files.pin(runs)
      await writeSnapshotFile(this.#disk, this.#options.random, meta, runs)
      this.#know(meta, runs)
    } catch (error) {
      unpin()
      await this.#abandon(set)
      throw error
    }
    unpin()
    if (on === undefined) return
    this.#top = { at: meta, set }
    this.#merge(set)
  }

  /** Tables that changes of this snapshot are put on. */
  async #topOn(on: SnapshotAt): Promise<TableSet> {
    const { runs, meta } = this.#snapshot(on)
    if (this.#top === undefined || !isSame(this.#top.at, on)) {
      await this.#merging
      const before = this.#top?.set.manifest.runs ?? []
      const set = this.#setOn(runs, meta.index)
      this.#top = { at: on, set }
      await this.#letGo(before)
      await set.open()
    }
    if (this.#top.set.manifest.runs.length > MAX_RUNS) await this.#merging
    return this.#top.set
  }

  async #flush(set: TableSet, rows: Changes, upTo: number): Promise<void> {
    let memory = new MemoryRows()
    const end = async (): Promise<void> => {
      if (memory.size === 0) return
      memory.upTo = upTo
      await set.flush(memory, () => {})
      memory = new MemoryRows()
    }
    for await (const { key, value } of rows) {
      if (this.#isClosed) throw storeError('closed', 'the journal is closed', 'open it again')
      memory.put(key, typeof value === 'string' ? byteText(value) : value)
      if (memory.bytes >= BATCH_BYTES) await end()
      else if (this.#pace.isDue()) await this.#pace.rest()
    }
    await end()
  }

  #merge(set: TableSet): void {
    this.#merging ??= this.#run(set).then(() => {
      this.#merging = undefined
    })
  }

  async #run(set: TableSet): Promise<void> {
    try {
      while (!this.#isClosed && (await set.merge()));
    } catch (error) {
      if (isParleyError(error) && error.details.reason === 'closed') return
      if (this.#isClosed || this.#tellDamage(error)) return
      this.#options.log?.warn('tables of the journal could not be merged; that is tried again', { error })
    }
  }

  #tellDamage(error: unknown): boolean {
    const isDamage = isParleyError(error) && error.details.reason === 'damaged'
    if (isDamage) this.#options.onDamage?.(error.message)
    return isDamage
  }

  /** As GroupStorage.readSnapshot. */
  async read(at: SnapshotAt): Promise<SavedRows> {
    const { meta, runs } = this.#snapshot(at)
    const unpin = this.#files.pin(runs)
    const tables = this.#tables
    const told = async <T>(read: Promise<T>): Promise<T> => {
      try {
        return await read
      } catch (error) {
        this.#tellDamage(error)
        throw error
      }
    }
    const sources = (from: string) => ({
      sources: runs.map((run) => new RunSource(tables, run, from)),
      unpin: () => {},
    })
    return {
      meta,
      get: async (key) => (await told(findInRuns(tables, runs, key)))?.value,
      async *rows(prefix, after) {
        for (let from: string | undefined = after === undefined ? prefix : `${after}\0`; from !== undefined; ) {
          const span: ScannedRows = await told(readSpan([], { sources }, { from, prefix, count: SCAN_ROWS }))
          yield* span.rows
          from = span.next
        }
      },
      release: unpin,
    }
  }

  /** As GroupStorage.removeSnapshotsExcept. */
  async keepOnly(kept: readonly SnapshotAt[]): Promise<void> {
    // One that is being saved now is kept under both its names.
    const names = new Set(kept.flatMap((at) => [snapshotName(at), `${snapshotName(at)}.part`]))
    const old = (await snapshotFileNames(this.#disk)).filter((name) => !names.has(name))
    for (const name of old) await this.#disk.remove(name)
    if (old.length > 0) await this.#disk.syncNames()
    for (const name of old) {
      const known = this.#known.get(name)
      this.#known.delete(name)
      known?.unpin()
      await this.#letGo(known?.runs ?? [])
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#top?.set.close()
    await Promise.allSettled(this.#saving)
    await this.#merging
    await this.#tables.close()
  }
}
