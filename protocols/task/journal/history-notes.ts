/**
 * Notes what happens to tasks while one change is applied, in rows of each open task's own collection: its first entries, and
 * behind them the newest effects and the newest of all else, so that a note costs the same however long a history is. With the
 * end of a task its history goes into what the task leaves. Pure.
 *
 * A row is text: how many entries it ever had, then those that are kept. That a task was given to a worker is not noted at once:
 * its record says so, and the next note tells it too. So a task that is submitted, done and completed costs no row.
 * State: the notes of this change.
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

export class HistoryNotes {
  readonly #rows: TaskRows
  /** By task, in their order. */
  readonly #notes = new Map<string, string[]>()

  constructor(rows: TaskRows) {
    this.#rows = rows
  }

  /** @param before its record, as it was */
  note(id: string, before: TaskRecord, letter: EntryLetter, at: number, fields?: string): void {
    const notes = this.#notesOf(id, before)
    notes.push(historyEntry(letter, at, before.attempts, fields))
    this.#notes.set(id, notes)
  }

  /** What was noted is written. */
  flush(): void {
    for (const [id, notes] of this.#notes) this.#write(this.#rows.work(id), notes)
    this.#notes.clear()
  }

  /** Of a task that ends: what it leaves has its history from now on, as text. */
  close(id: string, before: TaskRecord): string {
    const notes = this.#notesOf(id, before)
    this.#notes.delete(id)
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

  #write(work: CollectionTx, notes: readonly string[]): void {
    const row = notes.some((entry) => entry.startsWith('e ')) ? EFFECTS : OTHERS
    // A task of many rows has most likely filled the first one, which then need not be read.
    const far = work.rows() > FIRST_ENTRIES && !isAssigned(notes[0] ?? '') ? readRow(work, row) : undefined
    let first = far === undefined ? readRow(work, FIRST) : undefined
    const had = far !== undefined ? FIRST_ENTRIES : first === undefined ? 0 : countOf(first)
    let later = far ?? (had < FIRST_ENTRIES ? undefined : readRow(work, row))
    let n = had
    for (const entry of notes) {
      if (isAssigned(entry) && (first?.includes(entry) === true || later?.includes(entry) === true)) continue
      if (n < FIRST_ENTRIES) first = withEntry(first, entry, FIRST_ENTRIES)
      else later = withEntry(later, entry, MOST[row])
      n += 1
    }
    if (first !== undefined && had < FIRST_ENTRIES) work.put(FIRST, first)
    if (later !== undefined) work.put(row, later)
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
