/**
 * The records of a journal by key, and in the order of their keys.
 *
 * State: the records (bounded by what record-transaction.ts lets in), how much room they take, and their keys in order,
 * from the first time that somebody asks for them.
 */
import { SortedKeys } from '../../sorted-keys.ts'
import type { Json } from './command-kind.ts'

export interface JournalRecord {
  readonly key: string
  /** Index of the entry that wrote it. */
  readonly version: number
  readonly term: number
  /** Length of key and value as text. */
  readonly size: number
  readonly value: Json
  /** Peer id of who wrote it; undefined before feature level 2, and for records of the mesh itself. */
  readonly by?: string
}

export class RecordMap {
  #records = new Map<string, JournalRecord>()
  #sorted: SortedKeys | undefined
  #bytes = 0

  /** Of all keys and values together, as `JournalRecord.size` counts them. */
  get bytes(): number {
    return this.#bytes
  }

  get size(): number {
    return this.#records.size
  }

  get(key: string): JournalRecord | undefined {
    return this.#records.get(key)
  }

  has(key: string): boolean {
    return this.#records.has(key)
  }

  all(): JournalRecord[] {
    return [...this.#records.values()]
  }

  /** @returns the record that it takes the place of */
  set(record: JournalRecord): JournalRecord | undefined {
    const before = this.#records.get(record.key)
    if (before === undefined) this.#sorted?.add(record.key)
    this.#bytes += record.size - (before?.size ?? 0)
    this.#records.set(record.key, record)
    return before
  }

  /** @returns the record that was there */
  delete(key: string): JournalRecord | undefined {
    const before = this.#records.get(key)
    if (before === undefined) return undefined
    this.#sorted?.delete(key)
    this.#bytes -= before.size
    this.#records.delete(key)
    return before
  }

  /** These, in place of all. */
  restore(records: readonly JournalRecord[]): void {
    this.#records = new Map(records.map((record) => [record.key, record]))
    this.#sorted = undefined
    this.#bytes = records.reduce((sum, { size }) => sum + size, 0)
  }

  /** Keys that begin so, sorted. */
  keys(prefix: string): string[] {
    const found: string[] = []
    for (const key of this.#keysInOrder().from(prefix)) {
      if (!key.startsWith(prefix)) break
      found.push(key)
    }
    return found
  }

  /** Records that begin so, sorted by key, after the key `after`; at least one where there is any. */
  list(prefix: string, after: string, most: number, mostBytes: number): JournalRecord[] {
    const found: JournalRecord[] = []
    let size = 0
    for (const key of this.#keysInOrder().from(after > prefix ? after : prefix)) {
      const record = this.#records.get(key)
      if (found.length >= most || record === undefined || !key.startsWith(prefix)) break
      if (key <= after) continue
      size += record.size
      if (found.length > 0 && size > mostBytes) break
      found.push(record)
    }
    return found
  }

  #keysInOrder(): SortedKeys {
    this.#sorted ??= new SortedKeys(this.#records.keys())
    return this.#sorted
  }
}
