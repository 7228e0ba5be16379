/**
 * The tables of a row store: what they have, new ones from memory, and merges of those that there are.
 *
 * A change of the tables counts once the manifest that names them is durable in the log; before that the new files are
 * nobody's, and after that the old ones are. Memory becomes tables beside merges. Merges are cut into slices, and into tables
 * that each count when they are whole, so that a merge takes little room beside what it merges and goes on after a restart.
 *
 * State: the manifest.
 */
import { isParleyError } from '../../../../protocols/errors.ts'
import type { Disk } from '../../files/disk.ts'
import type { MemoryRows } from '../memory-rows.ts'
import type { RowManifest, Run, TableRef } from '../row-manifest.ts'
import type { Pace } from '../row-options.ts'
import { dueMerge } from './merge-policy.ts'
import { MergedRows, type RowSource, sourceOf } from './merged-rows.ts'
import { RunSource } from './run-source.ts'
import type { TableFiles } from './table-files.ts'
import { hashOf } from './table-format.ts'
import type { TableReader } from './table-reader.ts'
import { newSalt, TableWriter } from './table-writer.ts'
import { type RowWriting, writeTables } from './write-tables.ts'

const SORT_KEYS = 2_048

export interface TableSetOptions {
  readonly disk: Disk
  readonly tables: TableReader
  readonly files: TableFiles
  readonly random: (bytes: number) => Uint8Array
  readonly pace: Pace
  /** A table that has grown beyond it is followed by another one. */
  readonly tableBytes: number
  /** Resolves once the manifest is durable, however often it has to be tried. @throws where that will never be */
  persist(): Promise<void>
}

/** A table that no other one of a merge has keys between stays as it is, where it is this share of a full one at least. */
const MOVED_SHARE = 2

/** The only table of a run that may have the key. */
const tableOf = (run: Run, key: string): TableRef | undefined => {
  let [low, high] = [0, run.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((run[middle]?.last ?? '') < key) low = middle + 1
    else high = middle
  }
  return run[low]
}

/** @returns undefined: no table knows the key @throws STA003 `damaged` */
export const findInRuns = async (
  tables: TableReader,
  runs: readonly Run[],
  key: string,
): Promise<{ readonly value: Uint8Array | undefined } | undefined> => {
  if (runs.length === 0) return undefined
  const bytes = Buffer.from(key, 'latin1')
  const hash = hashOf(bytes)
  for (const run of runs) {
    const ref = tableOf(run, key)
    if (ref === undefined || !tables.mayHave(ref, key, hash)) continue
    const found = await tables.find(ref, bytes, hash)
    if (found !== undefined) return found
  }
  return undefined
}

export class TableSet {
  #manifest: RowManifest
  readonly #options: TableSetOptions
  #isClosed = false

  constructor(manifest: RowManifest, options: TableSetOptions) {
    this.#manifest = manifest
    this.#options = options
  }

  /** A merge that is under way ends soon: the next opening goes on with it. */
  close(): void {
    this.#isClosed = true
  }

  get manifest(): RowManifest {
    return this.#manifest
  }

  get bytes(): number {
    return this.#manifest.runs.flat().reduce((sum, { bytes }) => sum + bytes, 0)
  }

  /** Looks at the index and the filter of each table. @throws STA003 `damaged` */
  async open(): Promise<void> {
    const { tables } = this.#options
    for (const ref of this.#manifest.runs.flat()) {
      await tables.index(ref)
      await tables.filter(ref)
    }
  }

  /** The same tables under another id. */
  async rename(id: Pick<RowManifest, 'id' | 'formerIds'>): Promise<void> {
    this.#manifest = { ...this.#manifest, ...id }
    await this.#options.persist()
  }

  isThere(ref: Pick<TableRef, 'number'>): boolean {
    return this.#manifest.runs.flat().some(({ number }) => number === ref.number)
  }

  /** False: no table has the row. */
  mayHave(key: string): boolean {
    if (this.#manifest.runs.length === 0) return false
    const hash = hashOf(Buffer.from(key, 'latin1'))
    return this.#manifest.runs.some((run) => {
      const ref = tableOf(run, key)
      return ref !== undefined && this.#options.tables.mayHave(ref, key, hash)
    })
  }

  /** @returns undefined: no table knows the key @throws STA003 `damaged`; a table that was merged meanwhile is not there */
  async find(key: string): Promise<{ readonly value: Uint8Array | undefined } | undefined> {
    const { runs } = this.#manifest
    try {
      return await findInRuns(this.#options.tables, runs, key)
    } catch (error) {
      const wasMerged = isParleyError(error) && runs.flat().some((ref) => !this.isThere(ref))
      if (wasMerged) return this.find(key)
      throw error
    }
  }

  /** All tables from a key on, the newest first; they are there until `unpin`. */
  sources(from: string): { sources: RowSource[]; unpin: () => void } {
    const { runs } = this.#manifest
    const unpin = this.#options.files.pin(runs)
    return { sources: runs.map((run) => new RunSource(this.#options.tables, run, from)), unpin }
  }

  /**
   * Tables that this change leaves out go once it is durable. What another change leaves out meanwhile is that one's to
   * remove: until it is durable too, a power cut brings those tables back.
   */
  async #change(flushed: number, runs: readonly Run[]): Promise<void> {
    const was = this.#manifest.runs.flat()
    this.#manifest = { ...this.#manifest, flushed, runs: runs.filter(({ length }) => length > 0) }
    const gone = was.filter((ref) => !this.isThere(ref))
    await this.#options.persist()
    for (const { number } of gone) await this.#options.files.remove(number)
  }

  #begin(upTo: number): Promise<TableWriter> {
    const { disk, files, random } = this.#options
    return TableWriter.begin(disk, {
      number: files.next(),
      upTo,
      salt: newSalt(random),
      storageId: Buffer.from(this.#manifest.id, 'hex'),
    })
  }

  /** Puts all that is in memory into tables. @param done told when they count, before anything else can happen */
  async flush(memory: MemoryRows, done: () => void): Promise<void> {
    const { pace } = this.#options
    const sources: RowSource[] = []
    const keys = [...memory.keys()]
    for (let i = 0; i < keys.length; i += SORT_KEYS) {
      const sorted = keys.slice(i, i + SORT_KEYS).sort((a, b) => (a < b ? -1 : 1))
      sources.push(sourceOf(sorted, (key) => memory.row(key)))
      if (pace.isDue()) await pace.rest()
    }
    const run = await this.#write(new MergedRows(sources), memory.upTo, {
      keeps: ({ key, value }) => value !== undefined || this.mayHave(key),
    })
    if (run.length > 0) await this.#options.disk.syncNames()
    const written = this.#change(memory.upTo, [run, ...this.#manifest.runs])
    done()
    await written
  }

  #write(rows: MergedRows, upTo: number, how: RowWriting): Promise<TableRef[]> {
    return writeTables(rows, { ...how, ...this.#options, begin: () => this.#begin(upTo) })
  }

  /** One merge, where one is due. @returns whether there was one */
  async merge(): Promise<boolean> {
    const due = dueMerge(this.#manifest.runs)
    if (due === undefined) return false
    const { runs } = this.#manifest
    const inputs = runs.slice(due.from, due.to)
    /** Runs behind the ones that are merged; before them there may be more and more. */
    const behind = runs.length - due.to
    const isLast = behind === 0
    const upTo = Math.max(...inputs.flat().map((ref) => ref.upTo))
    const outputs: TableRef[] = []
    let left: Run[] = [...inputs]

    /** @param boundary all rows before it are in the outputs; undefined: all there are */
    const progress = async (boundary: string | undefined): Promise<void> => {
      const now = this.#manifest.runs
      const before = now.slice(0, now.length - behind - left.length - (outputsCount > 0 ? 1 : 0))
      const after = now.slice(now.length - behind)
      left =
        boundary === undefined
          ? []
          : inputs
              .map((run) =>
                run
                  .filter(({ last }) => last >= boundary)
                  .map((ref) => (ref.first < boundary ? { ...ref, from: boundary } : ref)),
              )
              .filter(({ length }) => length > 0)
      outputsCount = outputs.length
      await this.#change(this.#manifest.flushed, [...before, [...outputs], ...left, ...after])
    }
    let outputsCount = 0
    const sources = inputs.map((run) => new RunSource(this.#options.tables, run, '', true))
    const merged = new MergedRows(sources)
    await this.#write(merged, upTo, {
      moved: () => {
        const source = sources.find((one) => {
          const ref = one.untouchedTable()
          if (ref === undefined || ref.bytes < this.#options.tableBytes / MOVED_SHARE) return false
          return (ref.removed === 0 || !isLast) && merged.isAlone(one, ref.last)
        })
        const ref = source?.untouchedTable()
        if (source === undefined || ref === undefined) return undefined
        return {
          ref,
          take() {
            outputs.push(ref)
            source.skipTable()
          },
        }
      },
      keeps: ({ value }) => value !== undefined || !isLast,
      isOver: () => this.#isClosed,
      onTable: async (ref, last) => {
        outputs.push(ref)
        await this.#options.disk.syncNames()
        if (last !== '') await progress(`${last}\0`)
      },
    })
    await progress(undefined)
    return true
  }
}
