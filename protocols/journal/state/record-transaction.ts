/**
 * What one command does to the records of a journal: it sees them with its own changes, and each change is held to the
 * bounds. Nothing is written before the command has ended; one that throws changes nothing.
 *
 * State: its changes (bounded by MAX_ENTRY_BYTES), and by how much they grow what the journal, the writer and the part hold.
 */
import { ParleyError } from '../../errors.ts'
import type { PartRecords } from '../part-records.ts'
import { type CollectionRules, CollectionTransaction } from './collection-transaction.ts'
import type { CollectionChange, Collections } from './collections.ts'
import type { CollectionTx, JournalTx, Json, RowName } from './command-kind.ts'
import { freezeJson, isJson, MAX_JSON_DEPTH } from './json-value.ts'
import type { RecordMap } from './record-map.ts'
import { RECORD_BYTES, type RecordShares } from './record-shares.ts'

/** The limits are the same on every member: they belong to feature level 1. Lengths are those of JSON text. */
export const MAX_KEY = 256
export const MAX_VALUE_BYTES = 262_144
/** Of all keys and values together. */
export const MAX_RECORDS_BYTES = 64 * 1024 * 1024
/** More, for what the mesh keeps of itself: a full journal must not stop its coordinator. */
export const MESH_BYTES = 1024 * 1024
/** What one command may change, so that it can be told in one message. */
export const MAX_ENTRY_BYTES = 1024 * 1024
/** About what a change takes beside its key and value. */
export const CHANGE_BYTES = 128
/** Keys of the mesh itself; programs may read them. */
export const MESH_PREFIX = '$'
/** In the place of a part's name: a command of none, in a journal that has parts. */
export const NO_PART = ''
const KEY = /^[\x21-\x7e]+$/

/** What a record becomes. */
export interface RecordValue {
  /** Undefined: it is deleted. */
  readonly value: Json | undefined
  /** Length of key and value as text; 0 where it is deleted. */
  readonly size: number
}

/** What the members hold, and what a command is held to. */
export interface JournalTables {
  readonly records: RecordMap
  readonly shares: RecordShares
  readonly parts: PartRecords
  readonly collections: Collections
  readonly maxBytes: number
}

const problem = (message: string, hint: string): ParleyError => new ParleyError('MSG001', message, { hint })

const checkKey = (key: string): void => {
  if (key.length <= MAX_KEY && KEY.test(key)) return
  throw problem(
    `the key ${JSON.stringify(key.slice(0, 80))} is not usable`,
    `use 1 to ${MAX_KEY} printable ASCII characters without blanks`,
  )
}

/** The value as text. @throws MSG001 */
const textOf = (key: string, value: Json): string => {
  if (!isJson(value))
    throw problem(`the value of ${key} is not usable`, `use JSON, at most ${MAX_JSON_DEPTH} levels deep`)
  const text = JSON.stringify(value)
  const size = key.length + text.length
  if (size > MAX_VALUE_BYTES)
    throw problem(`the value of ${key} has ${size} bytes`, `keep it below ${MAX_VALUE_BYTES}; put large data elsewhere`)
  return text
}

/** Of a change, by the length of key and value, which is 0 where it was deleted. */
export const changeBytes = (key: string, size: number): number => CHANGE_BYTES + (size === 0 ? key.length : size)

/** What commands use of it is arrow functions: they may take it apart, as in `({ get, put }) => …`. */
export class RecordTransaction implements JournalTx {
  readonly changed = new Map<string, RecordValue>()
  readonly #tables: JournalTables
  /** Of the entry. */
  readonly #index: number
  readonly #by: string | undefined
  readonly #part: string | undefined
  readonly #named: readonly RowName[] | undefined
  #collections: CollectionTransaction | undefined
  /** Bytes, of all that changes. */
  #entryBytes = 0
  #grown = 0
  /** Of what `by` answers for. */
  #ownGrown = 0
  /** Of what the part answers for. */
  #partGrown = 0

  /**
   * @param by who answers for what it writes; undefined: nobody
   * @param named rows of collections that the command says it reads or writes; undefined: it knows none
   * @param part whose command it is; `NO_PART`: of none, where there are parts; undefined: there are none
   */
  constructor(
    tables: JournalTables,
    index: number,
    by: string | undefined,
    part: string | undefined,
    named: readonly RowName[] | undefined,
  ) {
    this.#tables = tables
    this.#index = index
    this.#by = by
    this.#part = part
    this.#named = named
  }

  readonly collection = (name: string): CollectionTx => this.#ofCollections().open(name)
  readonly dropCollection = (name: string): void => this.#ofCollections().drop(name)

  #ofCollections(): CollectionTransaction {
    this.#collections ??= new CollectionTransaction(this.#tables.collections, this.#index, this.#rules(), this.#named)
    return this.#collections
  }

  /** Undefined: it saw no collection. */
  collectionChanges(): CollectionChange[] | undefined {
    return this.#collections?.changes()
  }

  #rules(): CollectionRules {
    const { parts, collections } = this.#tables
    const part = this.#part ?? NO_PART
    return {
      checkName: (name) => {
        checkKey(name)
        if (!this.#isOfPart()) throw problem(`${name} is no collection of a part`, 'only parts have collections')
        parts.checkKey(part, name)
      },
      checkRow(key, value) {
        checkKey(key)
        return textOf(key, value)
      },
      checkEntry: (bytes) => this.#countEntry(bytes),
      checkRoom: (growth) => parts.checkCollections(part, collections.bytesOf(part) + growth),
    }
  }

  readonly get = (key: string): Json | undefined =>
    this.changed.has(key) ? this.changed.get(key)?.value : this.#tables.records.get(key)?.value

  readonly version = (key: string): number => {
    const mine = this.changed.get(key)
    if (mine !== undefined) return mine.value === undefined ? 0 : this.#index
    return this.#tables.records.get(key)?.version ?? 0
  }

  readonly put = (key: string, value: Json): void => {
    checkKey(key)
    this.#checkOwner(key)
    const size = key.length + textOf(key, value).length
    const before = this.#sizeOf(key)
    const growth = size - before
    this.#checkRoom(key, growth)
    const ownGrowth = this.#isCounted(key) ? size + RECORD_BYTES - this.#ownSizeOf(key) : 0
    this.#checkShare(ownGrowth)
    const partGrowth = growth + (before === 0 ? RECORD_BYTES : 0)
    if (this.#isOfPart()) this.#tables.parts.checkRoom(this.#part ?? NO_PART, this.#partGrown + partGrowth)
    this.#change(key, { value: freezeJson(value), size })
    this.#partGrown += partGrowth
    this.#grown += growth
    this.#ownGrown += ownGrowth
  }

  readonly delete = (key: string): void => {
    this.#checkOwner(key)
    const size = this.#sizeOf(key)
    if (size > 0) this.#partGrown -= size + RECORD_BYTES
    this.#ownGrown -= this.#ownSizeOf(key)
    if (this.#tables.records.has(key)) this.#change(key, { value: undefined, size: 0 })
    else if (this.changed.has(key)) {
      this.#entryBytes -= changeBytes(key, size)
      this.changed.delete(key)
    }
    this.#grown -= size
  }

  readonly keys = (prefix: string): string[] => {
    const { records } = this.#tables
    const { changed } = this
    const found = records.keys(prefix).filter((key) => !changed.has(key) || changed.get(key)?.value !== undefined)
    const added = [...changed].filter(
      ([key, { value }]) => value !== undefined && !records.has(key) && key.startsWith(prefix),
    )
    return added.length === 0 ? found : [...found, ...added.map(([key]) => key)].sort()
  }

  #isOfPart(): boolean {
    return this.#part !== undefined && this.#part !== NO_PART
  }

  /** Whether the writer answers for it. */
  #isCounted(key: string): boolean {
    return this.#by !== undefined && !key.startsWith(MESH_PREFIX)
  }

  #sizeOf(key: string): number {
    return this.changed.get(key)?.size ?? this.#tables.records.get(key)?.size ?? 0
  }

  /** What the writer answers for under this key. */
  #ownSizeOf(key: string): number {
    if (!this.#isCounted(key)) return 0
    const before = this.#tables.records.get(key)
    const size = this.changed.get(key)?.size ?? (before?.by === this.#by ? before?.size : 0) ?? 0
    return size === 0 ? 0 : size + RECORD_BYTES
  }

  #checkOwner(key: string): void {
    if (this.#part !== undefined) this.#tables.parts.checkKey(this.#isOfPart() ? this.#part : undefined, key)
  }

  #checkRoom(key: string, growth: number): void {
    const { records, maxBytes } = this.#tables
    const room = key.startsWith(MESH_PREFIX) && !this.#isOfPart() ? maxBytes + MESH_BYTES : maxBytes
    if (growth <= 0 || records.bytes + this.#grown + growth <= room) return
    throw new ParleyError('COM003', 'the journal has no room left', {
      hint: 'delete records that are not needed any more',
      details: { reason: 'journal-full', maxBytes },
    })
  }

  #checkShare(ownGrowth: number): void {
    if (this.#by === undefined) return
    const { records, shares, maxBytes } = this.#tables
    shares.check(this.#by, this.#ownGrown + ownGrowth, records.bytes + records.size * RECORD_BYTES, maxBytes)
  }

  #change(key: string, to: RecordValue): void {
    const before = this.changed.get(key)
    this.#countEntry(changeBytes(key, to.size) - (before === undefined ? 0 : changeBytes(key, before.size)))
    this.changed.set(key, to)
  }

  #countEntry(cost: number): void {
    if (cost > 0 && this.#entryBytes + cost > MAX_ENTRY_BYTES)
      throw problem(
        `one command cannot change as much: above ${MAX_ENTRY_BYTES} bytes`,
        'decide it in several commands',
      )
    this.#entryBytes += cost
  }
}
