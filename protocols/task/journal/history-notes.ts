/**
 * Notes what happens to tasks while one command is applied, in rows of each open task's own collection: its first entries, and
 * behind them the newest effects and the newest of all else, so that a note costs the same however long a history is. With the
 * end of a task its history goes into what the task leaves. Pure.
 *
 * A row is text: how many entries it ever had, then those that are kept. That a task was given to a worker is not noted at once:
 * its record says so, and the next note tells it too. So a task that is submitted, done and completed costs no row.
 * State: the notes of this command: of many changes of one task each row is written once.
 */
import type { CollectionTx, RowName } from '../../journal/state/command-kind.ts'
import {
  EFFECT_ENTRIES,
  ENTRY_END,
  type EntryLetter,
  FIRST_ENTRIES,
  historyEntry,
  isAssigned,
  OTHER_ENTRIES,
  timeOf,
} from '../history-entry.ts'
import { HISTORY_ROWS, type TaskRecord, workOf } from '../task-record.ts'
import type { TaskChange } from './task-changes.ts'
import type { TaskRows } from './task-rows.ts'

const [FIRST, EFFECTS, OTHERS] = HISTORY_ROWS
const MOST = { [FIRST]: FIRST_ENTRIES, [EFFECTS]: EFFECT_ENTRIES, [OTHERS]: OTHER_ENTRIES }
type Row = keyof typeof MOST

const readRow = (work: CollectionTx, row: Row): string | undefined => {
  const text = work.get(row)
  return typeof text === 'string' ? text : undefined
}

/** How many there ever were. */
const countOf = (row: string): number => Number.parseInt(row, 10)

const withEntry = (row: string | undefined, entry: string, most: number): string => {
  if (row === undefined) return `1${ENTRY_END}${entry}`
  const n = countOf(row)
  const begin = row.indexOf(ENTRY_END)
  const kept = n < most ? begin : row.indexOf(ENTRY_END, begin + 1)
  return `${n + 1}${kept < 0 ? '' : row.slice(kept)}${ENTRY_END}${entry}`
}

export interface KeptEntries {
  readonly entries: readonly string[]
  readonly dropped: number
}

/** Rows of an open task, or what a final one keeps, as entries in their order. */
export const keptEntries = (rows: readonly (string | undefined)[]): KeptEntries => {
  const [first = [], ...later] = rows.map((row) => (row === undefined ? [] : row.split(ENTRY_END).slice(1)))
  const newest = later.flat().sort((a, b) => timeOf(a) - timeOf(b))
  const all = [...first, ...newest]
  const had = rows.reduce((sum, row) => sum + (row === undefined ? 0 : countOf(row)), 0)
  // What two rows have is told once.
  const entries = all.filter((entry, i) => !isAssigned(entry) || all.indexOf(entry) === i)
  return { entries, dropped: had - all.length }
}

/** Notes of one change about one task: they go into one row, which that change names. */
interface NotedChange {
  readonly row: Row
  readonly entries: readonly string[]
}

/** A row with these behind what it has: of more than it keeps only the newest are looked at. */
const withEntries = (row: string | undefined, entries: readonly string[], most: number): string | undefined => {
  const kept = entries.slice(-most)
  const passed = entries.length - kept.length
  const before = passed === 0 ? row : String((row === undefined ? 0 : countOf(row)) + passed)
  return kept.reduce((text: string | undefined, entry) => withEntry(text, entry, most), before)
}

export class HistoryNotes {
  readonly #rows: TaskRows
  /** Of the change in work, by task, in their order. */
  readonly #notes = new Map<string, string[]>()
  /** Of the command. */
  readonly #kept = new Map<string, NotedChange[]>()

  constructor(rows: TaskRows) {
    this.#rows = rows
  }

  /** @param before its record, as it was */
  note(id: string, before: TaskRecord, letter: EntryLetter, at: number, fields?: string): void {
    const notes = this.#notesOf(id, before)
    notes.push(historyEntry(letter, at, before.attempts, fields))
    this.#notes.set(id, notes)
  }

  /** The change was made. */
  keep(): void {
    for (const [id, entries] of this.#notes) {
      const row = entries.some((entry) => entry.startsWith('e ')) ? EFFECTS : OTHERS
      const kept = this.#kept.get(id)
      if (kept === undefined) this.#kept.set(id, [{ row, entries }])
      else kept.push({ row, entries })
    }
    this.#notes.clear()
  }

  /** The change was refused. */
  drop(): void {
    this.#notes.clear()
  }

  /** The command has ended: what was noted is written. */
  flush(): void {
    for (const [id, changes] of this.#kept) this.#write(this.#rows.work(id), changes)
    this.#kept.clear()
  }

  /** Of a task that ends: what it leaves has its history from now on, as text. */
  close(id: string, before: TaskRecord): string {
    const earlier = this.#kept.get(id)?.flatMap(({ entries }) => entries) ?? []
    const notes = [...earlier, ...this.#notesOf(id, before)]
    this.#notes.delete(id)
    this.#kept.delete(id)
    const work = this.#rows.work(id)
    const first = readRow(work, FIRST)
    if (first !== undefined && countOf(first) >= FIRST_ENTRIES) {
      const { entries, dropped } = keptEntries([first, readRow(work, EFFECTS), readRow(work, OTHERS)])
      const added = notes.filter((entry) => !isAssigned(entry) || !entries.includes(entry))
      return [dropped + entries.length + added.length, ...entries, ...added].join(ENTRY_END)
    }
    let all = first ?? '0'
    for (const entry of notes) if (!isAssigned(entry) || !all.includes(entry)) all = withEntry(all, entry, Infinity)
    return all
  }

  #notesOf(id: string, { status, attempts, changedAt, worker }: TaskRecord): string[] {
    const notes = this.#notes.get(id)
    if (notes !== undefined) return notes
    return status === 'assigned' ? [historyEntry('a', changedAt, attempts, worker)] : []
  }

  #write(work: CollectionTx, changes: readonly NotedChange[]): void {
    const isBegun = changes.some(({ entries: [entry = ''] }) => isAssigned(entry))
    // A task of many rows has most likely filled the first one, which then need not be read.
    const mayBeFar = work.rows() > FIRST_ENTRIES && !isBegun
    const later = new Map<Row, string[]>()
    for (const { row, entries } of changes) {
      const known = later.get(row)
      if (known === undefined) later.set(row, [...entries])
      else known.push(...entries)
    }
    if (mayBeFar && [...later.keys()].every((row) => readRow(work, row) !== undefined)) this.#append(work, later)
    else this.#fillFirst(work, changes)
  }

  #append(work: CollectionTx, later: ReadonlyMap<Row, readonly string[]>): void {
    for (const [row, entries] of later) {
      if (entries.length === 0) continue
      const text = withEntries(readRow(work, row), entries, MOST[row])
      if (text !== undefined) work.put(row, text)
    }
  }

  /** In the order of the changes: the first ones go into the first row, as long as that has room. */
  #fillFirst(work: CollectionTx, changes: readonly NotedChange[]): void {
    let first = readRow(work, FIRST)
    const had = first === undefined ? 0 : countOf(first)
    const later = new Map<Row, string[]>()
    for (const { row, entries } of changes) {
      const behind = later.get(row) ?? []
      const known = had < FIRST_ENTRIES ? undefined : readRow(work, row)
      for (const entry of entries) {
        const isKnown = first?.includes(entry) === true || known?.includes(entry) === true || behind.includes(entry)
        if (isAssigned(entry) && isKnown) continue
        if (first === undefined || countOf(first) < FIRST_ENTRIES) first = withEntry(first, entry, FIRST_ENTRIES)
        else behind.push(entry)
      }
      if (behind.length > 0) later.set(row, behind)
    }
    if (first !== undefined && had < FIRST_ENTRIES) work.put(FIRST, first)
    this.#append(work, later)
  }
}

const rowsIn = (id: string, keys: readonly Row[]): RowName[] => {
  const collection = workOf(id)
  return keys.map((key) => ({ collection, key }))
}
const OF_EFFECTS: readonly Row[] = [FIRST, EFFECTS]
const OF_OTHERS: readonly Row[] = [FIRST, OTHERS]

/** Rows of histories that a change may read or write. */
export const historyRowsOf = (change: TaskChange): RowName[] => {
  switch (change.do) {
    case 'submit':
      return change.tasks.flatMap(({ parent }) => (parent === undefined ? [] : rowsIn(parent, OF_OTHERS)))
    case 'effect':
      return rowsIn(change.id, OF_EFFECTS)
    case 'start':
    case 'draw':
    case 'release':
    case 'sleep':
    case 'wait':
    case 'listen':
    case 'hear':
    case 'signal':
    case 'wake':
    case 'pause':
      return rowsIn(change.id, OF_OTHERS)
    // It may end, or makes the collection anew.
    case 'resume':
    case 'cancel':
    case 'checkpoint':
    case 'complete':
    case 'fail':
    case 'settle':
    case 'lose':
    case 'expire':
    case 'time-out':
      return rowsIn(change.id, HISTORY_ROWS)
    default:
      return []
  }
}
