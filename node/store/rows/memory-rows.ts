/**
 * Rows that are in the log and not yet in a table, by key. State: the rows; their order, once somebody asked for a range.
 */

import { SortedKeys } from '../../../protocols/sorted-keys.ts'
import type { RowSource } from './tables/merged-rows.ts'
import type { TableRow } from './tables/table-format.ts'

/** What a row takes besides its bytes, about. */
const ROW_OVERHEAD = 96
const SLICE_ROWS = 256

/**
 * A value as it is kept: its bytes as characters. A short text is one small object that the collector knows how to move; a
 * view of bytes is three, and keeps all that it is a view of.
 */
type KeptValue = string | Uint8Array | undefined
/** What `toString('latin1')` of a Buffer calls; it takes any bytes, and a Buffer around them costs as much again. */
const LATIN1 = Buffer.prototype as unknown as { latin1Slice: (this: Uint8Array) => string }
/** From here on the copy would cost more. */
const LONG_VALUE = 64 * 1024

const kept = (value: KeptValue): KeptValue => {
  if (value === undefined || typeof value === 'string') return value
  if (value.length >= LONG_VALUE) return value.slice()
  return LATIN1.latin1Slice.call(value)
}

const given = (value: KeptValue): Uint8Array | undefined => {
  if (typeof value !== 'string') return value
  const { buffer, byteOffset, length } = Buffer.from(value, 'latin1')
  return new Uint8Array(buffer, byteOffset, length)
}

export class MemoryRows {
  readonly #rows = new Map<string, KeptValue>()
  #order: SortedKeys | undefined
  #bytes = 0
  /** Number of the last group that is in it. */
  upTo = 0

  /** Of the rows, with what they take. */
  get bytes(): number {
    return this.#bytes
  }

  get size(): number {
    return this.#rows.size
  }

  has(key: string): boolean {
    return this.#rows.has(key)
  }

  /** `value` undefined: the row was removed; undefined: this does not know the key. */
  find(key: string): { readonly value: Uint8Array | undefined } | undefined {
    const value = this.#rows.get(key)
    return value !== undefined || this.#rows.has(key) ? { value: given(value) } : undefined
  }

  #without(key: string): boolean {
    const was = this.#rows.get(key)
    if (was === undefined && !this.#rows.has(key)) return false
    this.#bytes -= key.length + (was?.length ?? 0) + ROW_OVERHEAD
    return true
  }

  /** @param value a copy is kept, or a text whose characters are the bytes; undefined: the row is removed, whatever older ones say */
  put(key: string, value: KeptValue): void {
    if (!this.#without(key)) this.#order?.add(key)
    this.#rows.set(key, kept(value))
    this.#bytes += key.length + (value?.length ?? 0) + ROW_OVERHEAD
  }

  /** Nobody has the row: nothing has to be said of it. */
  drop(key: string): void {
    if (!this.#without(key)) return
    this.#rows.delete(key)
    this.#order?.delete(key)
  }

  /** Puts all of another one over it. */
  putAll(newer: MemoryRows): void {
    for (const [key, value] of newer.#rows) this.put(key, value)
  }

  keys(): IterableIterator<string> {
    return this.#rows.keys()
  }

  row(key: string): TableRow {
    return { key, value: given(this.#rows.get(key)) }
  }

  /** From a key on, as they are by then. */
  source(from: string): RowSource {
    this.#order ??= new SortedKeys(this.#rows.keys())
    const order = this.#order
    const rows = this.#rows
    let slice: string[] = []
    let at = 0
    let last: string | undefined
    const source: RowSource = {
      key: undefined,
      value: undefined,
      advance() {
        source.key = undefined
        // What was dropped meanwhile is not there.
        for (let key = slice[at]; key !== undefined; key = slice[at]) {
          at += 1
          if (!rows.has(key)) continue
          source.key = key
          source.value = given(rows.get(key))
          return
        }
      },
      async load() {
        for (;;) {
          slice = order.take(last ?? from, last !== undefined, SLICE_ROWS)
          last = slice.at(-1)
          at = 0
          source.advance()
          if (source.key !== undefined) return true
          if (last === undefined) return false
        }
      },
    }
    return source
  }
}
