/** Rows of several sources as one, in the order of their keys: of rows with one key the newest. */
import type { TableRow } from './table-format.ts'

/** Rows in the order of their keys. */
export interface RowSource {
  /** Where it stands; undefined: `load` tells whether there is more. */
  key: string | undefined
  value: Uint8Array | undefined
  advance(): void
  /** Reads on. @returns false: that was all */
  load(): Promise<boolean>
}

/** Rows that are at hand, in order. @param rowOf is asked for one at a time */
export const sourceOf = <T>(rows: readonly T[], rowOf: (row: T) => TableRow): RowSource => {
  let at = -1
  const source: RowSource = {
    key: undefined,
    value: undefined,
    advance() {
      at += 1
      const next = rows[at]
      const row = next === undefined ? undefined : rowOf(next)
      source.key = row?.key
      source.value = row?.value
    },
    async load() {
      if (at < 0) source.advance()
      return source.key !== undefined
    },
  }
  return source
}

export class MergedRows {
  /** The newest first. */
  #sources: RowSource[]

  constructor(sources: readonly RowSource[]) {
    this.#sources = [...sources]
  }

  /** Has all sources stand at a row. @returns false: there is none left */
  async load(): Promise<boolean> {
    const left: RowSource[] = []
    for (const source of this.#sources) if (source.key !== undefined || (await source.load())) left.push(source)
    this.#sources = left
    return left.length > 0
  }

  /** All others stand behind this key. */
  isAlone(source: RowSource, upTo: string): boolean {
    return this.#sources.every((other) => other === source || (other.key !== undefined && other.key > upTo))
  }

  /** The next row that can be told without reading on; undefined: `load` first. Removed rows are told too. */
  next(): TableRow | undefined {
    const sources = this.#sources
    let newest: RowSource | undefined
    for (const source of sources) {
      if (source.key === undefined) return undefined
      if (newest?.key === undefined || source.key < newest.key) newest = source
    }
    if (newest?.key === undefined) return undefined
    const row = { key: newest.key, value: newest.value }
    for (const source of sources) if (source.key === row.key) source.advance()
    return row
  }
}
