/** Collections and their rows as they lie in snapshots. Pure. */
import type { SavedRows, StateRow } from '../../consensus/group/group-storage.ts'
import type { Json } from './command-kind.ts'

/** From this feature level on the journal has collections. */
export const COLLECTIONS_LEVEL = 4
/** About what a row takes beside its key and value, bytes. */
export const ROW_BYTES = 64
/** About what a collection takes in memory beside its name, bytes. */
const COLLECTION_BYTES = 128

export interface Collection {
  readonly name: string
  /** Of this one and of no other one that had its name: the entry that made it, and the how many-th of that entry. */
  readonly id: string
  readonly rows: number
  /** Of keys and values as text, with ROW_BYTES for each row. */
  readonly bytes: number
}

export interface CollectionRow {
  readonly key: string
  readonly value: Json
}

const DIGITS = 16
export const collectionId = (index: number, nth: number): string => `${String(index).padStart(DIGITS, '0')}.${nth}`
/** Index of the entry that made it. */
export const madeAt = (id: string): number => Number(id.slice(0, DIGITS))

/** What a row counts; undefined: it is gone. */
export const rowSize = (key: string, text: string | undefined): number => ROW_BYTES + key.length + (text?.length ?? 0)

/** What a collection counts for its part. */
export const sizeOf = ({ name, bytes }: Pick<Collection, 'name' | 'bytes'>): number =>
  COLLECTION_BYTES + name.length + bytes

export const COLLECTIONS = 'c/'
export const DROPPED = 'd/'
const ROWS = 'v/'
export const collectionKey = (name: string): string => COLLECTIONS + name
export const rowKey = (id: string, key: string): string => `${ROWS}${id}/${key}`

const DECODER = new TextDecoder()

/** What a snapshot holds of collections that there are. */
export const collectionRows = async function* (saved: SavedRows): AsyncGenerator<StateRow> {
  const ids = new Set<string>()
  for await (const row of saved.rows(COLLECTIONS)) {
    const { id }: Collection = JSON.parse(DECODER.decode(row.value))
    ids.add(id)
    yield row
  }
  for (const id of [...ids].sort()) yield* saved.rows(rowKey(id, ''))
}

export const isOfCollection = (key: string): boolean => key.startsWith(COLLECTIONS) || key.startsWith(ROWS)

/** A snapshot that several read; it is let go after the last of them. State: how many. */
export class SharedRows {
  readonly rows: SavedRows
  /** Index of the last entry that it has. */
  readonly version: number
  #users = 1

  constructor(rows: SavedRows) {
    this.rows = rows
    this.version = rows.meta.index
  }

  use(): void {
    this.#users += 1
  }

  release(): void {
    this.#users -= 1
    if (this.#users === 0) this.rows.release()
  }
}
