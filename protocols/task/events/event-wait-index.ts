/**
 * Which tasks wait for events, and how many of each submitter's do: small records, so that the coordinator finds them without
 * a look at all tasks. Pure.
 */
import type { JournalTx } from '../../journal/state/command-kind.ts'
import { partPrefix } from '../../part.ts'
import { TASKS_PART, type TaskRecord } from '../task-record.ts'

const PREFIX = partPrefix(TASKS_PART)
export const EVENT_WAIT_PREFIX = `${PREFIX}e/`
const SHARE_PREFIX = `${PREFIX}eu/`
const EVERYBODY = 'all'

const countOf = (tx: JournalTx, whose: string): number => Number(tx.get(SHARE_PREFIX + whose) ?? 0)

const count = (tx: JournalTx, submitter: string, by: 1 | -1): void => {
  for (const whose of [submitter, EVERYBODY]) {
    const next = countOf(tx, whose) + by
    if (next > 0) tx.put(SHARE_PREFIX + whose, next)
    else tx.delete(SHARE_PREFIX + whose)
  }
}

/** Of all submitters together, and of this one. */
export const eventWaits = (tx: JournalTx, submitter: string): { readonly all: number; readonly own: number } => ({
  all: countOf(tx, EVERYBODY),
  own: countOf(tx, submitter),
})

export const beginEventWait = (tx: JournalTx, id: string, { submitter }: TaskRecord, name: string): void => {
  tx.put(EVENT_WAIT_PREFIX + id, { name })
  count(tx, submitter, 1)
}

/** However it ends; of a task that waits for no event nothing is done. */
export const endEventWait = (tx: JournalTx, id: string, { wait, submitter }: TaskRecord): void => {
  if (wait?.topic === undefined) return
  tx.delete(EVENT_WAIT_PREFIX + id)
  count(tx, submitter, -1)
}
