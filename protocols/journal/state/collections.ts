/**
 * Collections: what parts decide that is too much for memory. Their rows lie in snapshots on disk; in memory are what has
 * changed since the last one, and for each collection how many rows and bytes it has.
 *
 * A command says which rows it reads or writes (`CommandKind.rows`); they are read before it is applied, so that applying
 * waits for no disk. A collection that is dropped is gone at once; its rows go with the snapshots that follow, some with each
 * of them. One that is made again under the same name is another one.
 *
 * State: the collections, what has changed (bounded by how often a snapshot is taken), what is being saved, rows that were
 * read for the commands that come next, collections whose rows still lie there.
 */
import type { SavedRows, StateChange } from '../../consensus/group/group-storage.ts'
import { partPrefix } from '../../part.ts'
import { prefixOfPart } from '../part-records.ts'
import { ChangedRows, listRows } from './changed-rows.ts'
import {
  COLLECTIONS,
  type Collection,
  type CollectionRow,
  collectionKey,
  DROPPED,
  madeAt,
  rowKey,
  rowSize,
  SharedRows,
  sizeOf,
} from './collection-rows.ts'
import type { Json, RowName } from './command-kind.ts'

/** Of dropped collections, that go with one snapshot. */
const ROWS_PER_SNAPSHOT = 20_000
const DECODER = new TextDecoder()

/** Rows by collection. */
type ChangedById = Map<string, ChangedRows>

const found = (rows: ChangedById | undefined, id: string, key: string): { value: string | undefined } | undefined => {
  const of = rows?.get(id)
  const value = of?.get(key)
  return value !== undefined || of?.has(key) === true ? { value } : undefined
}

/** What a command made of a collection. */
export interface CollectionChange {
  readonly name: string
  /** As it was before the command. */
  readonly before: Collection | undefined
  /** Undefined: there is none any more. */
  readonly after: Collection | undefined
  readonly rows: ReadonlyMap<string, string | undefined>
}

export interface CollectionChanges {
  readonly rows: AsyncIterable<StateChange>
  settle(saved: SavedRows | undefined): void
}

export class Collections {
  #live = new Map<string, Collection>()
  #changed: ChangedById = new Map()
  #changedBytes = 0
  #saving: ChangedById | undefined
  #savingBytes = 0
  /** Names of collections that were made, changed or dropped. */
  #named = new Set<string>()
  #dropped = new Set<string>()
  #saved: SharedRows | undefined
  #read = new Map<string, string | undefined>()
  /** Of all collections, by part. */
  #bytes = new Map<string, number>()

  get = (name: string): Collection | undefined => this.#live.get(name)

  /** What the collections of a part take, with COLLECTION_BYTES and its name for each. */
  bytesOf(part: string): number {
    return this.#bytes.get(partPrefix(part)) ?? 0
  }

  /** It is there from now on (1), or is not any more (-1). */
  #account(one: Collection | undefined, sign: 1 | -1): void {
    if (one === undefined) return
    const prefix = prefixOfPart(one.name) ?? ''
    this.#bytes.set(prefix, (this.#bytes.get(prefix) ?? 0) + sign * sizeOf(one))
  }

  /** Reads what commands will need. @returns undefined: there is nothing to wait for */
  prepare(names: Iterable<RowName>): Promise<void> | undefined {
    this.#read = new Map()
    const waiting: Promise<void>[] = []
    for (const { collection, key } of names) {
      const id = this.#live.get(collection)?.id
      if (id === undefined) continue
      const at = rowKey(id, key)
      const near = this.#near(id, key)
      if (near !== undefined || this.#saved === undefined) this.#read.set(at, near?.value)
      else if (!this.#read.has(at)) {
        this.#read.set(at, undefined)
        waiting.push(this.#readSaved(this.#saved, at).then((value) => void this.#read.set(at, value)))
      }
    }
    return waiting.length === 0 ? undefined : Promise.all(waiting).then(() => {})
  }

  async #readSaved(saved: SharedRows, at: string): Promise<string | undefined> {
    saved.use()
    try {
      const value = await saved.rows.get(at)
      return value && DECODER.decode(value)
    } finally {
      saved.release()
    }
  }

  /** A row that was prepared, as text. @throws Error where nobody said that it is read */
  row({ id }: Collection, key: string): string | undefined {
    const near = found(this.#changed, id, key)
    if (near !== undefined) return near.value
    const at = rowKey(id, key)
    if (this.#read.has(at)) return this.#read.get(at)
    // It was made by a command that was applied since they were read.
    if (found(this.#saving, id, key) === undefined && madeAt(id) > (this.#saved?.version ?? 0)) return undefined
    throw new Error(`the row ${key} was not read before the command: \`rows\` of its kind has to name it`)
  }

  /** A row as it is now, or was when it was read; undefined: there is none. */
  async read(name: string, key: string): Promise<Json | undefined> {
    const id = this.#live.get(name)?.id
    if (id === undefined) return undefined
    const near = this.#near(id, key)
    const saved = near === undefined ? this.#saved : undefined
    const text = saved === undefined ? near?.value : await this.#readSaved(saved, rowKey(id, key))
    return text === undefined ? undefined : JSON.parse(text)
  }

  /** What is known of a row without reading the disk; undefined: it may be in the snapshot. */
  #near(id: string, key: string): { value: string | undefined } | undefined {
    const near = found(this.#changed, id, key) ?? found(this.#saving, id, key)
    if (near !== undefined) return near
    return this.#saved === undefined || madeAt(id) > this.#saved.version ? { value: undefined } : undefined
  }

  commit(changes: Iterable<CollectionChange>): void {
    for (const { name, before, after, rows } of changes) {
      this.#named.add(name)
      this.#account(before, -1)
      this.#account(after, 1)
      if (before !== undefined && before.id !== after?.id) this.#drop(before)
      if (after === undefined) {
        this.#live.delete(name)
        continue
      }
      this.#live.set(name, after)
      const changed = this.#changed.get(after.id) ?? new ChangedRows()
      this.#changed.set(after.id, changed)
      for (const [key, value] of rows) {
        this.#changedBytes += rowSize(key, value) - (changed.has(key) ? rowSize(key, changed.get(key)) : 0)
        changed.set(key, value)
      }
    }
  }

  /** Of what is in no snapshot, about: a row that was written again counts once. */
  changedBytes = (): number => this.#changedBytes + this.#savingBytes

  #drop({ id }: Collection): void {
    for (const [key, value] of this.#changed.get(id) ?? []) this.#changedBytes -= rowSize(key, value)
    this.#changed.delete(id)
    // Where it was never in a snapshot, nothing is left of it.
    if (madeAt(id) <= (this.#saved?.version ?? 0) || this.#saving?.has(id) === true) this.#dropped.add(id)
  }

  /** Of a collection, those that are in no snapshot: the newest first. */
  #nearRows(id: string): ChangedRows[] {
    return [this.#changed.get(id), this.#saving?.get(id)].filter((rows) => rows !== undefined)
  }

  /** Before rows are listed that many others were added to. @param turn lets others have their turn */
  async sort(name: string, turn: () => Promise<void>): Promise<void> {
    for (;;) {
      const rows = this.#nearRows(this.#live.get(name)?.id ?? '')
      if (!rows.some((one) => one.sort())) return
      await turn()
    }
  }

  /** Rows after the key `after`, in their order, as they are when each part of them is read; at least one where there is any. */
  async list(name: string, after: string, most: number, mostBytes: number): Promise<CollectionRow[]> {
    const id = this.#live.get(name)?.id
    if (id === undefined) return []
    const saved = madeAt(id) > (this.#saved?.version ?? 0) ? undefined : this.#saved
    return listRows({ id, changed: this.#nearRows(id), saved, after, most, mostBytes })
  }

  /** What has changed since the last snapshot, and some of what was dropped before it. */
  changes(): CollectionChanges {
    const [saving, named, dropped] = [this.#changed, this.#named, [...this.#dropped]]
    const on = this.#saved
    on?.use()
    this.#saving = saving
    this.#savingBytes = this.#changedBytes
    this.#changed = new Map()
    this.#changedBytes = 0
    this.#named = new Set()
    const collections = [...named].map((name) => [name, this.#live.get(name)] as const)
    /** All their rows are gone with this snapshot. */
    const ended: string[] = []
    const rows = async function* (): AsyncGenerator<StateChange> {
      for (const [name, one] of collections) yield { key: collectionKey(name), value: one && JSON.stringify(one) }
      for (const [id, changed] of saving) for (const [key, value] of changed) yield { key: rowKey(id, key), value }
      let left = ROWS_PER_SNAPSHOT
      for (const id of dropped) {
        const isIn = on !== undefined && madeAt(id) <= on.version
        if (isIn)
          for await (const { key } of on.rows.rows(rowKey(id, ''))) {
            if (left === 0) break
            left -= 1
            yield { key, value: undefined }
          }
        if (left === 0) {
          yield { key: DROPPED + id, value: '{}' }
          continue
        }
        ended.push(id)
        yield { key: DROPPED + id, value: undefined }
      }
    }
    return {
      rows: rows(),
      settle: (saved) => {
        on?.release()
        // It was restored meanwhile.
        if (this.#saving !== saving) return saved?.release()
        this.#saving = undefined
        const bytes = this.#savingBytes
        this.#savingBytes = 0
        if (saved === undefined) {
          this.#changedBytes += bytes
          this.#putBack(saving, named)
          return
        }
        for (const id of ended) this.#dropped.delete(id)
        this.#saved?.release()
        this.#saved = new SharedRows(saved)
      },
    }
  }

  #putBack(rows: ChangedById, named: ReadonlySet<string>): void {
    for (const name of named) this.#named.add(name)
    for (const [id, changed] of rows) {
      if (this.#dropped.has(id)) continue
      this.#changed.set(id, new ChangedRows([...changed, ...(this.#changed.get(id) ?? [])]))
    }
  }

  /** These take the place of everything. @throws STA003 `damaged` */
  async restore(saved: SavedRows): Promise<() => void> {
    const live = new Map<string, Collection>()
    const dropped = new Set<string>()
    for await (const { value } of saved.rows(COLLECTIONS)) {
      const one: Collection = JSON.parse(DECODER.decode(value))
      live.set(one.name, one)
    }
    for await (const { key } of saved.rows(DROPPED)) dropped.add(key.slice(DROPPED.length))
    return () => {
      this.#live = live
      this.#bytes = new Map()
      for (const one of live.values()) this.#account(one, 1)
      this.#dropped = dropped
      this.#changed = new Map()
      this.#changedBytes = 0
      this.#saving = undefined
      this.#savingBytes = 0
      this.#named = new Set()
      this.#read = new Map()
      this.#saved?.release()
      this.#saved = new SharedRows(saved)
    }
  }
}
