/**
 * The files of tables: their numbers, who still reads them, and their end once nobody does. State: that.
 */
import type { Disk } from '../../files/disk.ts'
import type { Run } from '../row-manifest.ts'
import type { TableReader } from './table-reader.ts'
import { tableName } from './table-writer.ts'

const NAME = /^(\d{16})\.table$/

/** Of the name of a table's file; undefined for another file. */
export const tableNumber = (name: string): number | undefined => {
  const [, digits] = NAME.exec(name) ?? []
  return digits === undefined ? undefined : Number(digits)
}

export const numbersOf = (runs: readonly Run[]): number[] => runs.flat().map(({ number }) => number)

export class TableFiles {
  readonly #disk: Disk
  readonly #tables: TableReader
  readonly #kept: () => void
  readonly #pins = new Map<number, number>()
  /** To be removed once nobody reads them. */
  readonly #leaving = new Set<number>()
  #next = 1

  /** @param kept told of a file that is needed no more and could not be removed */
  constructor(disk: Disk, tables: TableReader, kept: () => void) {
    this.#disk = disk
    this.#tables = tables
    this.#kept = kept
  }

  /** Removes files that nobody names. @param known numbers of those that somebody does */
  async open(known: ReadonlySet<number>): Promise<void> {
    for (const name of await this.#disk.list()) {
      const number = tableNumber(name)
      if (number === undefined) continue
      this.#next = Math.max(this.#next, number + 1)
      if (!known.has(number)) await this.#disk.remove(name)
    }
  }

  next(): number {
    const number = this.#next
    this.#next += 1
    return number
  }

  /** They stay until they are let go. @returns lets them go */
  pin(runs: readonly Run[]): () => void {
    const numbers = numbersOf(runs)
    for (const number of numbers) this.#pins.set(number, (this.#pins.get(number) ?? 0) + 1)
    let isPinned = true
    return () => {
      if (!isPinned) return
      isPinned = false
      for (const number of numbers) {
        const left = (this.#pins.get(number) ?? 1) - 1
        if (left > 0) this.#pins.set(number, left)
        else this.#pins.delete(number)
        if (left === 0 && this.#leaving.delete(number)) void this.remove(number)
      }
    }
  }

  /** Once nobody reads it. */
  async remove(number: number): Promise<void> {
    if (this.#pins.has(number)) {
      this.#leaving.add(number)
      return
    }
    try {
      await this.#tables.forget(number)
      await this.#disk.remove(tableName(number))
    } catch {
      // It is removed by the next opening.
      this.#kept()
    }
  }
}
