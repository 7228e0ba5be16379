/**
 * What one command does to collections: it sees them with its own changes. Nothing is written before the command has ended.
 * State: its changes.
 */
import { stateError } from '../../errors.ts'
import { COLLECTIONS_LEVEL, type Collection, collectionId, rowSize, sizeOf } from './collection-rows.ts'
import type { CollectionChange, Collections } from './collections.ts'
import type { CollectionTx, Json, RowName } from './command-kind.ts'

/** What the transaction that it is a part of decides. */
export interface CollectionRules {
  /** @throws MSG001, SEC002 */
  checkName(name: string): void
  /** @returns the value as text @throws MSG001 */
  checkRow(key: string, value: Json): string
  /** One command writes so many bytes more. @throws MSG001 */
  checkEntry(bytes: number): void
  /** @param growth bytes, of all that this command writes @throws COM003 */
  checkRoom(growth: number): void
}

interface Draft {
  readonly before: Collection | undefined
  id: string
  rows: number
  bytes: number
  isThere: boolean
  changed: Map<string, string | undefined>
}

const byCollection = (named: readonly RowName[]): Map<string, Set<string>> => {
  const found = new Map<string, Set<string>>()
  for (const { collection, key } of named) {
    const keys = found.get(collection)
    if (keys === undefined) found.set(collection, new Set([key]))
    else keys.add(key)
  }
  return found
}

export class CollectionTransaction {
  readonly #collections: Collections
  readonly #index: number
  readonly #rules: CollectionRules
  /** Rows that the kind said it reads or writes, by collection; undefined: not every voter knows collections. */
  readonly #named: ReadonlyMap<string, ReadonlySet<string>> | undefined
  readonly #drafts = new Map<string, Draft>()
  readonly #opened = new Map<string, CollectionTx>()
  #grown = 0
  #made = 0

  /** @param index of the entry @param named rows that the command says it reads or writes */
  constructor(collections: Collections, index: number, rules: CollectionRules, named: readonly RowName[] | undefined) {
    this.#collections = collections
    this.#index = index
    this.#rules = rules
    this.#named = named && byCollection(named)
  }

  /** @throws STA003 `level`, MSG001, SEC002 */
  open(name: string): CollectionTx {
    if (this.#named === undefined)
      throw stateError('level', `collections need level ${COLLECTIONS_LEVEL} of all voters`, 'upgrade all voters')
    const opened = this.#opened.get(name)
    if (opened !== undefined) return opened
    this.#rules.checkName(name)
    const draft = this.#draft(name)
    this.#drafts.set(name, draft)
    const tx = this.#open(name, draft, this.#named.get(name))
    this.#opened.set(name, tx)
    return tx
  }

  #open(name: string, draft: Draft, named: ReadonlySet<string> | undefined): CollectionTx {
    const check = (key: string): void => {
      if (named?.has(key) === true) return
      throw new Error(`the command reads or writes the row ${key} of ${name}: \`rows\` of its kind has to name it`)
    }
    return {
      rows: () => draft.rows,
      bytes: () => draft.bytes,
      get: (key) => {
        check(key)
        const text = this.#text(draft, key)
        return text === undefined ? undefined : JSON.parse(text)
      },
      put: (key, value) => {
        check(key)
        this.#put(name, draft, key, this.#rules.checkRow(key, value))
      },
      delete: (key) => {
        check(key)
        const before = this.#text(draft, key)
        if (before === undefined) return
        this.#grow(-rowSize(key, before))
        draft.changed.set(key, undefined)
        draft.rows -= 1
        draft.bytes -= rowSize(key, before)
      },
      drop: () => {
        if (!draft.isThere) return
        this.#grow(-sizeOf({ name, bytes: draft.bytes }))
        Object.assign(draft, { id: this.#nextId(), rows: 0, bytes: 0, isThere: false, changed: new Map() })
      },
    }
  }

  /** Those that a command has looked at are numbered: one that is not there is not looked at. */
  drop(name: string): void {
    if (this.#drafts.has(name) || this.#collections.get(name) !== undefined) this.open(name).drop()
  }

  #nextId(): string {
    this.#made += 1
    return collectionId(this.#index, this.#made)
  }

  #draft(name: string): Draft {
    const before = this.#collections.get(name)
    const { id = this.#nextId(), rows = 0, bytes = 0 } = before ?? {}
    return { before, id, rows, bytes, isThere: before !== undefined, changed: new Map() }
  }

  #text(draft: Draft, key: string): string | undefined {
    if (draft.changed.has(key)) return draft.changed.get(key)
    // One that was made by this command has what it wrote.
    return draft.before?.id === draft.id ? this.#collections.row(draft.before, key) : undefined
  }

  /** @throws COM003 */
  #grow(bytes: number): void {
    if (bytes > 0) this.#rules.checkRoom(this.#grown + bytes)
    this.#grown += bytes
  }

  #put(name: string, draft: Draft, key: string, text: string): void {
    const before = this.#text(draft, key)
    const growth = rowSize(key, text) - (before === undefined ? 0 : rowSize(key, before))
    this.#rules.checkEntry(rowSize(key, text))
    this.#grow(growth + (draft.isThere ? 0 : sizeOf({ name, bytes: 0 })))
    draft.changed.set(key, text)
    draft.isThere = true
    draft.bytes += growth
    if (before === undefined) draft.rows += 1
  }

  changes(): CollectionChange[] {
    return [...this.#drafts].flatMap(([name, { before, id, rows, bytes, isThere, changed }]): CollectionChange[] => {
      if (before?.id === id && changed.size === 0) return []
      if (before === undefined && !isThere) return []
      return [{ name, before, after: isThere ? { name, id, rows, bytes } : undefined, rows: changed }]
    })
  }
}
