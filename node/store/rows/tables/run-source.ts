/** The rows of a run, table after table. State: the table that is read. */

import type { Run, TableRef } from '../row-manifest.ts'
import type { RowSource } from './merged-rows.ts'
import type { TableReader } from './table-reader.ts'

export class RunSource implements RowSource {
  key: string | undefined
  value: Uint8Array | undefined
  readonly #tables: TableReader
  readonly #run: Run
  readonly #from: string
  readonly #isMerge: boolean
  #next: number
  #current: RowSource | undefined
  #isAtStart = false

  /** @param isMerge all of it is read once */
  constructor(tables: TableReader, run: Run, from: string, isMerge = false) {
    this.#tables = tables
    this.#run = run
    this.#from = from
    this.#isMerge = isMerge
    this.#next = run.findIndex(({ last }) => last >= from)
    if (this.#next < 0) this.#next = run.length
  }

  #take(): void {
    this.key = this.#current?.key
    this.value = this.#current?.value
  }

  /** The table at whose first row this stands: nothing of it was read past. */
  untouchedTable(): TableRef | undefined {
    return this.#isAtStart ? this.#run[this.#next - 1] : undefined
  }

  /** Leaves the table out. */
  skipTable(): void {
    this.#current = undefined
    this.#isAtStart = false
    this.key = undefined
  }

  advance(): void {
    this.#isAtStart = false
    this.#current?.advance()
    this.#take()
  }

  async load(): Promise<boolean> {
    for (;;) {
      if (this.#current !== undefined && (await this.#current.load())) {
        this.#take()
        return true
      }
      const ref = this.#run[this.#next]
      if (ref === undefined) return false
      this.#next += 1
      this.#current = this.#tables.source(ref, this.#from, this.#isMerge)
      this.#isAtStart = true
    }
  }
}
