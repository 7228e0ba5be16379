/**
 * The records of a journal by key, and in the order of their keys.
 *
 * State: the records (bounded by what record-transaction.ts lets in), how much room they take, and their keys in order,
 * from the first time that somebody asks for them.
 */
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

/** Place of the first key at or after this one. */
const placeOf = (keys: readonly string[], key: string): number => {
  let [low, high] = [0, keys.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((keys[middle] ?? '') < key) low = middle + 1
    else high = middle
  }
  return low
}

export class RecordMap {
  #records = new Map<string, JournalRecord>()
  #sorted: string[] | undefined
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
    if (before === undefined) this.#sorted?.splice(placeOf(this.#sorted, record.key), 0, record.key)
    this.#bytes += record.size - (before?.size ?? 0)
    this.#records.set(record.key, record)
    return before
  }

  /** @returns the record that was there */
  delete(key: string): JournalRecord | undefined {
    const before = this.#records.get(key)
    if (before === undefined) return undefined
    this.#sorted?.splice(placeOf(this.#sorted, key), 1)
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
    const keys = this.#keysInOrder()
    const found: string[] = []
    for (let at = placeOf(keys, prefix); keys[at]?.startsWith(prefix) === true; at += 1) found.push(keys[at] ?? '')
    return found
  }

  /** Records that begin so, sorted by key, after the key `after`; at least one where there is any. */
  list(prefix: string, after: string, most: number, mostBytes: number): JournalRecord[] {
    const keys = this.#keysInOrder()
    const found: JournalRecord[] = []
    let size = 0
    for (let at = placeOf(keys, after > prefix ? after : prefix); found.length < most; at += 1) {
      const record = this.#records.get(keys[at] ?? '')
      if (record === undefined || !record.key.startsWith(prefix)) break
      if (record.key <= after) continue
      size += record.size
      if (found.length > 0 && size > mostBytes) break
      found.push(record)
    }
    return found
  }

  #keysInOrder(): string[] {
    this.#sorted ??= [...this.#records.keys()].sort()
    return this.#sorted
  }
}
