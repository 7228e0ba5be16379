/**
 * Notes what happens to tasks while one change is applied, in rows of each open task's own collection: its first entries, and
 * behind them the newest effects and the newest of all else, so that a note costs the same however long a history is. With the
 * end of a task its history goes into what the task leaves. Pure.
 *
 * A task that was given to a worker is not noted by that: its record says so, and the next note tells it too. So a task that is
 * submitted, done and completed costs no row. State: the notes of this change.
 */
import type { CollectionTx, JournalTx, Json, RowName } from '../../journal/state/command-kind.ts'
import {
  ASSIGNED,
  EFFECT_ENTRIES,
  encodeHappened,
  FIRST_ENTRIES,
  isEffectEntry,
  type KeptHistory,
  OTHER_ENTRIES,
  type TaskHappened,
  timeOf,
} from '../history-entry.ts'
import { HISTORY_ROWS, type TaskRecord, workOf } from '../task-record.ts'
import type { TaskChange } from './task-changes.ts'

const [FIRST, EFFECTS, OTHERS] = HISTORY_ROWS

/** A row: how many there ever were, and those that are kept. */
interface Noted {
  readonly n: number
  readonly all: readonly string[]
}
const NONE: Noted = { n: 0, all: [] }

const readNoted = (work: Pick<CollectionTx, 'get'>, row: string): Noted | undefined =>
  work.get(row) as unknown as Noted | undefined

const with_ = ({ n, all }: Noted, entry: string, most: number): Noted => ({
  n: n + 1,
  all: all.length < most ? [...all, entry] : [...all.slice(all.length - most + 1), entry],
})

/** Effects and others as they came. */
const mergeNoted = (rows: readonly (Noted | undefined)[]): KeptHistory => {
  const [first = NONE, effects = NONE, others = NONE] = rows
  const newest = [...others.all, ...effects.all].sort((a, b) => timeOf(a) - timeOf(b))
  const entries = [...first.all, ...newest]
  return { dropped: first.n + effects.n + others.n - entries.length, entries }
}

/** Of an open task, by its rows as they were read. */
export const keptHistory = (rows: ReadonlyMap<string, Json>): KeptHistory =>
  mergeNoted(HISTORY_ROWS.map((row) => rows.get(row) as unknown as Noted | undefined))

export class HistoryNotes {
  readonly #tx: JournalTx
  /** By task, in their order. */
  readonly #notes = new Map<string, string[]>()

  constructor(tx: JournalTx) {
    this.#tx = tx
  }

  /** @param record as it was before */
  note(id: string, record: TaskRecord, happened: Omit<TaskHappened, 'attempt'>): void {
    const notes = this.#notes.get(id) ?? []
    this.#notes.set(id, notes)
    const { status, attempts, changedAt, worker = '' } = record
    if (status === 'assigned' && notes.length === 0)
      notes.push(encodeHappened({ at: changedAt, what: status, attempt: attempts, worker }))
    notes.push(encodeHappened({ ...happened, attempt: attempts }))
  }

  /** What was noted is written. */
  flush(): void {
    for (const [id, notes] of this.#notes) {
      const work = this.#tx.collection(workOf(id))
      for (const [row, noted] of this.#added(work, notes)) work.put(row, noted as unknown as Json)
    }
    this.#notes.clear()
  }

  /** Of a task that ends: with this change it is not written any more, but kept with what the task leaves. */
  close(id: string, record: TaskRecord): KeptHistory {
    const { status, attempts, changedAt, worker = '' } = record
    const notes = this.#notes.get(id) ?? []
    this.#notes.delete(id)
    if (status === 'assigned' && notes.length === 0)
      notes.push(encodeHappened({ at: changedAt, what: status, attempt: attempts, worker }))
    const work = this.#tx.collection(workOf(id))
    const added = this.#added(work, notes)
    return mergeNoted(HISTORY_ROWS.map((row) => added.get(row) ?? readNoted(work, row)))
  }

  /** Rows that change. */
  #added(work: CollectionTx, notes: readonly string[]): Map<string, Noted> {
    const changed = new Map<string, Noted>()
    const read = (row: string): Noted | undefined => changed.get(row) ?? readNoted(work, row)
    for (const entry of notes) {
      const [row, most] = isEffectEntry(entry)
        ? ([EFFECTS, EFFECT_ENTRIES] as const)
        : ([OTHERS, OTHER_ENTRIES] as const)
      // Where there is such a row, the first one is full.
      const later = read(row)
      const first = later === undefined || entry.startsWith(ASSIGNED) ? (read(FIRST) ?? NONE) : undefined
      if (entry.startsWith(ASSIGNED) && [first, later].some((noted) => noted?.all.includes(entry))) continue
      if (later === undefined && first !== undefined && first.all.length < FIRST_ENTRIES)
        changed.set(FIRST, with_(first, entry, FIRST_ENTRIES))
      else changed.set(row, with_(later ?? NONE, entry, most))
    }
    return changed
  }
}

const allRows = (id: string): RowName[] => HISTORY_ROWS.map((key) => ({ collection: workOf(id), key }))

/** Rows of histories that a change may read or write. */
export const historyRowsOf = (change: TaskChange): RowName[] => {
  switch (change.do) {
    case 'submit':
      return change.tasks.flatMap(({ parent }) => (parent === undefined ? [] : allRows(parent)))
    case 'effect':
    case 'start':
    case 'release':
    case 'sleep':
    case 'wait':
    case 'signal':
    case 'wake':
    case 'pause':
    case 'resume':
    case 'cancel':
    case 'checkpoint':
    case 'complete':
    case 'fail':
    case 'settle':
    case 'lose':
    case 'expire':
      return allRows(change.id)
    default:
      return []
  }
}
