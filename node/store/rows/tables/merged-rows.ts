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

/** The sources stand in a heap by their keys, of one key the newest first: most rows of a flush come from dozens of them. */
export class MergedRows {
  /** The newest first. */
  readonly #sources: readonly RowSource[]
  /** Places in `#sources`, as a binary heap. */
  #heap: number[] = []
  /** Those that have more, as far as is known. */
  #live: number[]
  /** One of them has to be read on before the next row is known. */
  #isDry = true

  constructor(sources: readonly RowSource[]) {
    this.#sources = [...sources]
    this.#live = this.#sources.map((_, place) => place)
  }

  /** Has all sources stand at a row, also those that were moved by others. @returns false: there is none left */
  async load(): Promise<boolean> {
    const live: number[] = []
    for (const place of this.#live) {
      const source = this.#sources[place]
      if (source !== undefined && (source.key !== undefined || (await source.load()))) live.push(place)
    }
    this.#live = live
    this.#heap = []
    for (const place of live) this.#push(place)
    this.#isDry = false
    return live.length > 0
  }

  /** All others stand behind this key. */
  isAlone(source: RowSource, upTo: string): boolean {
    return this.#heap.every((place) => {
      const other = this.#sources[place]
      return other === source || (other?.key !== undefined && other.key > upTo)
    })
  }

  /** The next row that can be told without reading on; undefined: `load` first. Removed rows are told too. */
  next(): TableRow | undefined {
    const newest = this.#first()
    if (this.#isDry || newest?.key === undefined) return undefined
    const row = { key: newest.key, value: newest.value }
    for (let source = this.#first(); source?.key === row.key; source = this.#first()) this.#advance(source)
    return row
  }

  #first(): RowSource | undefined {
    return this.#sources[this.#heap[0] ?? -1]
  }

  /** The first one goes on, to its new place in the heap or out of it. */
  #advance(source: RowSource): void {
    source.advance()
    if (source.key === undefined) {
      this.#isDry = true
      const last = this.#heap.pop() ?? 0
      if (this.#heap.length === 0) return
      this.#heap[0] = last
    }
    this.#sink()
  }

  #isBefore(a: number, b: number): boolean {
    const [one, other] = [this.#sources[a]?.key ?? '', this.#sources[b]?.key ?? '']
    return one < other || (one === other && a < b)
  }

  #push(place: number): void {
    const heap = this.#heap
    let at = heap.length
    while (at > 0) {
      const up = (at - 1) >>> 1
      const above = heap[up] ?? 0
      if (!this.#isBefore(place, above)) break
      heap[at] = above
      at = up
    }
    heap[at] = place
  }

  #sink(): void {
    const heap = this.#heap
    const [place = 0] = heap
    let at = 0
    for (;;) {
      let down = 2 * at + 1
      if (down >= heap.length) break
      if (down + 1 < heap.length && this.#isBefore(heap[down + 1] ?? 0, heap[down] ?? 0)) down += 1
      if (!this.#isBefore(heap[down] ?? 0, place)) break
      heap[at] = heap[down] ?? 0
      at = down
    }
    heap[at] = place
  }
}
