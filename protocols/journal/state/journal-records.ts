/**
 * What the members of a journal have agreed on: records by key, each with the index of the entry that wrote it last.
 *
 * State: the records (record-map.ts), what each peer and each part holds of them, and the last changes (recent-changes.ts).
 */
import type { Fence } from '../fencing/fence.ts'
import { createPartRecords, type PartRecords } from '../part-records.ts'
import { Collections } from './collections.ts'
import type { JournalTx, RowName } from './command-kind.ts'
import { freezeJson } from './json-value.ts'
import { RecentChanges, type RecordChange } from './recent-changes.ts'
import { type JournalRecord, RecordMap } from './record-map.ts'
import { createRecordShares, RECORD_BYTES } from './record-shares.ts'
import {
  changeBytes,
  type JournalTables,
  MAX_RECORDS_BYTES,
  MESH_PREFIX,
  RecordTransaction,
} from './record-transaction.ts'

export class JournalRecords {
  readonly collections = new Collections()
  readonly #records = new RecordMap()
  readonly #changes = new RecentChanges()
  readonly #shares = createRecordShares()
  readonly #parts = createPartRecords()
  readonly #tables: JournalTables
  /** Keys, since `takeChanged`. */
  #changed = new Set<string>()

  /** @param maxBytes of all keys and values together */
  constructor(maxBytes: number = MAX_RECORDS_BYTES) {
    this.#tables = {
      records: this.#records,
      shares: this.#shares,
      parts: this.#parts,
      collections: this.collections,
      maxBytes,
    }
  }

  get parts(): Pick<PartRecords, 'agreed' | 'levels' | 'held'> {
    return this.#parts
  }

  /**
   * Runs a command's changes: all of them, or none where it throws.
   * @param by who answers for what it writes; undefined: nobody
   * @param part whose command it is: it writes its own keys, and no other command does; `NO_PART`: of none, where there are parts
   * @param named rows of collections that it reads or writes; undefined: it knows none
   * @returns what it returned
   */
  transact<T>(
    fence: Fence,
    at: number,
    run: (tx: JournalTx) => T,
    by?: string,
    part?: string,
    named?: readonly RowName[],
  ): T {
    const transaction = new RecordTransaction(this.#tables, fence.index, by, part, named)
    const result = run(transaction)
    const inCollections = transaction.collectionChanges()
    if (inCollections !== undefined) this.collections.commit(inCollections)
    for (const [key, { value, size }] of transaction.changed) {
      if (value === undefined) this.#account(this.#records.delete(key), -1)
      else {
        const whose = by === undefined || key.startsWith(MESH_PREFIX) ? {} : { by }
        this.#set({ key, version: fence.index, term: fence.term, size, value, ...whose })
      }
      this.#changes.add({ key, fence, at, value, size: changeBytes(key, size) })
      this.#changed.add(key)
    }
    return result
  }

  get(key: string): JournalRecord | undefined {
    return this.#records.get(key)
  }

  /** Sorted by key. */
  list(prefix: string, after: string, most: number, mostBytes: number): JournalRecord[] {
    return this.#records.list(prefix, after, most, mostBytes)
  }

  /**
   * Changes after `version`, oldest first, whole entries, and at least one; undefined where not all of them are here any
   * more.
   */
  since(version: number, most: number, mostBytes: number): RecordChange[] | undefined {
    return this.#changes.since(version, most, mostBytes)
  }

  all(): JournalRecord[] {
    return this.#records.all()
  }

  /** Takes the place of everything; what is newer than `version` comes from here on. */
  restore(all: readonly JournalRecord[], version: number): void {
    this.#records.restore(all.map((record) => ({ ...record, value: freezeJson(record.value) })))
    this.#shares.clear()
    this.#parts.clear()
    for (const record of all) this.#account(record, 1)
    this.#changes.restart(version)
    this.#changed = new Set()
  }

  /** What has changed since this was called last, as it is now; undefined: it is gone. */
  takeChanged(): readonly (readonly [string, JournalRecord | undefined])[] {
    const keys = [...this.#changed]
    this.#changed = new Set()
    return keys.map((key) => [key, this.#records.get(key)] as const)
  }

  /** They count as changed again. */
  putBack(keys: Iterable<string>): void {
    for (const key of keys) this.#changed.add(key)
  }

  /** What the records of this peer take, with RECORD_BYTES for each. */
  bytesOf(peer: string): number {
    return this.#shares.bytesOf(peer)
  }

  bytes(): number {
    return this.#records.bytes
  }

  count(): number {
    return this.#records.size
  }

  #set(record: JournalRecord): void {
    const before = this.#records.set(record)
    // As most are: written again by the same peer.
    if (before !== undefined && record.by !== undefined && before.by === record.by)
      this.#shares.add(record.by, record.size - before.size)
    else {
      this.#account(before, -1)
      this.#account(record, 1)
    }
  }

  /** A record is there from now on (1), or is not any more (-1). */
  #account(record: JournalRecord | undefined, sign: 1 | -1): void {
    if (record?.key.startsWith(MESH_PREFIX) === true) this.#parts.count(record, sign)
    if (record?.by !== undefined) this.#shares.add(record.by, sign * (record.size + RECORD_BYTES))
  }
}
