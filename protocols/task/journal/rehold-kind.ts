/** The journal command by which the coordinator writes down who holds a value of a task by now. Pure. */
import * as z from 'zod'
import { stateError } from '../../errors.ts'
import { defineJournalCommand, type Json } from '../../journal/state/command-kind.ts'
import {
  Hash,
  MAX_HOLDERS,
  RESULT_ROW,
  RowName,
  readStored,
  type StoredBytes,
  withHolders,
} from '../bytes/stored-bytes.ts'
import { DONE, type DoneTask, INPUT_ROW, PeerId, TASKS_PART, TaskId, workOf } from '../task-record.ts'
import { HistoryNotes } from './history-notes.ts'
import { RowShares } from './row-shares.ts'
import { TaskLedger } from './task-ledger.ts'
import { TaskRows } from './task-rows.ts'

const ReholdSchema = z.object({
  epoch: z.int().nonnegative(),
  id: TaskId,
  row: RowName,
  hash: Hash,
  /** Holds it no more; absent: one more holder. */
  from: PeerId.optional(),
  to: PeerId,
})

/** Where a row has stored bytes: itself, or its input, or its result. */
const PLACES = ['input', 'result'] as const

/** What stands for stored bytes in a row of a task. */
export const storedIn = (row: Json | undefined, hash: string): StoredBytes | undefined => {
  const own = readStored(row)
  if (own?.hash === hash) return own
  if (typeof row !== 'object' || row === null || Array.isArray(row)) return undefined
  return PLACES.map((place) => readStored((row as Record<string, Json>)[place])).find((one) => one?.hash === hash)
}

const replaceIn = (row: Json, hash: string, holders: readonly string[]): Json => {
  const own = readStored(row)
  if (own?.hash === hash) return withHolders(own, holders)
  const fields = row as Record<string, Json>
  const place = PLACES.find((one) => readStored(fields[one])?.hash === hash)
  const stored = place === undefined ? undefined : readStored(fields[place])
  return place === undefined || stored === undefined ? row : { ...fields, [place]: withHolders(stored, holders) }
}

/** Undefined: it is one of its holders already, or there would be too many. */
const nextHolders = ({ holders }: StoredBytes, from: string | undefined, to: string): string[] | undefined => {
  const rest = holders.filter((peer) => peer !== from)
  return rest.includes(to) || rest.length >= MAX_HOLDERS ? undefined : [...rest, to]
}

/** The rows in which a value of a task may stand. */
export const placesOf = (id: string, row: string): readonly { collection: string; key: string }[] => [
  ...(row === RESULT_ROW ? [] : [{ collection: workOf(id), key: row }]),
  // What a final one leaves: its result, and what it may be tried again with.
  ...(row === RESULT_ROW || row === INPUT_ROW ? [{ collection: DONE, key: id }] : []),
]

export const reholdBytes = defineJournalCommand({
  name: `${TASKS_PART}.rehold`,
  level: 2,
  input: ReholdSchema,
  output: z.object({ holders: z.array(PeerId) }),
  rows: ({ id, row }) => [...placesOf(id, row)],
  apply(tx, { epoch, id, row, hash, from, to }, facts) {
    const opened = new TaskRows(tx)
    const shares = new RowShares(tx, opened)
    const ledger = new TaskLedger(tx, opened, facts, { notes: new HistoryNotes(opened), shares })
    ledger.requireCoordinator(epoch)
    // Of an open task what its rows take is counted.
    ledger.find(id)
    for (const { collection, key } of placesOf(id, row)) {
      const rows = collection === DONE ? tx.collection(DONE) : opened.work(id)
      const value = rows.get(key)
      const stored = storedIn(value, hash)
      if (value === undefined || stored === undefined) continue
      const holders = nextHolders(stored, from, to)
      if (holders === undefined) return { holders: [...stored.holders] }
      const write = (): void => rows.put(key, replaceIn(value, hash, holders))
      if (collection === DONE) shares.changeDone((value as unknown as DoneTask).record, write)
      else write()
      shares.flush()
      return { holders }
    }
    throw stateError('missing', `the task ${id} has no such bytes any more`, 'they are not needed', { task: id, hash })
  },
})
