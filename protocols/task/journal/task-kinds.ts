/**
 * The journal commands of tasks: what gathered in one turn of a node, each change answered by itself. Pure.
 *
 * A change that is refused has changed nothing; one that fails once it has written fails the command, and whoever sent it sends
 * its changes again, fewer at a time (journal/client/change-batcher.ts).
 */
import * as z from 'zod'
import { isParleyError, toFault } from '../../errors.ts'
import { type ChangeAnswer, ChangeFaultSchema } from '../../journal/change-answers.ts'
import { agreedKey, readAgreed } from '../../journal/part-records.ts'
import {
  type AnyCommandKind,
  defineJournalCommand,
  type EntryFacts,
  type JournalTx,
  type Json,
} from '../../journal/state/command-kind.ts'
import { advanceWait, hearEvent, listenAttempt } from '../events/apply-event-waits.ts'
import { fireSchedule, holdSchedule, makeSchedule, removeSchedule } from '../schedule/apply-schedules.ts'
import { TASKS_PART } from '../task-record.ts'
import {
  completeTask,
  failAttempt,
  recordCheckpoint,
  recordEffect,
  releaseAttempt,
  sleepAttempt,
  startAttempt,
  waitAttempt,
} from './attempt-changes.ts'
import { rowsOf } from './change-rows.ts'
import {
  archiveTasks,
  dismissWorker,
  expireTask,
  explainTask,
  forgetTasks,
  loseAttempt,
  placeTask,
  settleDependencies,
  steerTask,
  timeOutAttempt,
  wakeTask,
} from './coordinator-changes.ts'
import { HistoryNotes } from './history-notes.ts'
import {
  cancelTask,
  pauseTask,
  registerWorker,
  renewWorker,
  resumeTask,
  signalTask,
  withdrawWorker,
} from './peer-changes.ts'
import { reholdBytes } from './rehold-kind.ts'
import { RowShares } from './row-shares.ts'
import { admitTasks, submitTasks } from './submit-tasks.ts'
import { drawBudget } from './task-budgets.ts'
import {
  FifthChangeSchema,
  FirstChangeSchema,
  FourthChangeSchema,
  MAX_CHANGES_AT_ONCE,
  SecondChangeSchema,
  type TaskChange,
  TaskChangeSchema,
  ThirdChangeSchema,
} from './task-changes.ts'
import { type LaterKeeping, TaskLedger } from './task-ledger.ts'
import { TaskRows } from './task-rows.ts'

/** Of records: open tasks, workers, what submitters hold. */
const MAX_BYTES = 16 * 1024 * 1024
/** Of inputs, checkpoints, effects, and what final tasks left. */
const MAX_COLLECTION_BYTES = 16 * 1024 * 1024 * 1024

/** Of many at once: what is in `ok` is JSON already. */
const isAnswer = (value: unknown): value is ChangeAnswer =>
  typeof value === 'object' &&
  value !== null &&
  ('ok' in value || ('fault' in value && ChangeFaultSchema.safeParse(value.fault).success))
const ChangeAnswersSchema = z.custom<ChangeAnswer[]>((value) => Array.isArray(value) && value.every(isAnswer))

const apply = (ledger: TaskLedger, change: TaskChange): unknown => {
  switch (change.do) {
    case 'submit':
      return submitTasks(ledger, change)
    case 'pause':
      return pauseTask(ledger, change)
    case 'resume':
      return resumeTask(ledger, change)
    case 'cancel':
      return cancelTask(ledger, change)
    case 'register':
      return registerWorker(ledger, change)
    case 'renew':
      return renewWorker(ledger, change)
    case 'withdraw':
      return withdrawWorker(ledger, change)
    case 'start':
      return startAttempt(ledger, change)
    case 'effect':
      return recordEffect(ledger, change)
    case 'checkpoint':
      return recordCheckpoint(ledger, change)
    case 'complete':
      return completeTask(ledger, change)
    case 'fail':
      return failAttempt(ledger, change)
    case 'sleep':
      return sleepAttempt(ledger, change)
    case 'wait':
      return waitAttempt(ledger, change)
    case 'signal':
      return signalTask(ledger, change)
    case 'wake':
      return wakeTask(ledger, change)
    case 'release':
      return releaseAttempt(ledger, change)
    case 'place':
      return placeTask(ledger, change)
    case 'settle':
      return settleDependencies(ledger, change)
    case 'lose':
      return loseAttempt(ledger, change)
    case 'expire':
      return expireTask(ledger, change)
    case 'time-out':
      return timeOutAttempt(ledger, change)
    case 'listen':
      return listenAttempt(ledger, change)
    case 'advance':
      return advanceWait(ledger, change)
    case 'hear':
      return hearEvent(ledger, change)
    case 'schedule':
      return makeSchedule(ledger, change)
    case 'unschedule':
      return removeSchedule(ledger, change)
    case 'hold-schedule':
      return holdSchedule(ledger, change)
    case 'fire':
      return fireSchedule(ledger, change)
    case 'draw':
      return drawBudget(ledger, change)
    case 'steer':
      return steerTask(ledger, change)
    case 'explain':
      return explainTask(ledger, change)
    case 'dismiss':
      return dismissWorker(ledger, change)
    case 'archive':
      return archiveTasks(ledger, change)
    case 'forget':
      return forgetTasks(ledger, change)
  }
}

const answer = (ledger: TaskLedger, change: TaskChange, later?: LaterKeeping): ChangeAnswer => {
  try {
    const ok = (apply(ledger, change) ?? null) as Json
    later?.notes.keep()
    return { ok }
  } catch (error) {
    later?.notes.drop()
    // Once something was written, all of the command has to fail with it.
    if (!isParleyError(error) || ledger.hasWritten) throw error
    return { fault: toFault(error) as Extract<ChangeAnswer, { fault: unknown }>['fault'] }
  }
}

/** What all voters are known to keep is kept by either command. */
const keepsLater = (tx: JournalTx): boolean => (readAgreed(tx.get(agreedKey(TASKS_PART)))?.level ?? 0) >= 2

const answers = (tx: JournalTx, changes: readonly TaskChange[], facts: EntryFacts): ChangeAnswer[] => {
  const rows = new TaskRows(tx)
  if (!keepsLater(tx)) return changes.map((change) => answer(new TaskLedger(tx, rows, facts), change))
  const later = { notes: new HistoryNotes(rows), shares: new RowShares(tx, rows) }
  const all = changes.map((change) => answer(new TaskLedger(tx, rows, facts, later), change, later))
  later.notes.flush()
  later.shares.flush()
  return all
}

const changesOf = <C extends TaskChange>(schema: z.ZodType<C>) =>
  z.object({ changes: z.array(schema).min(1).max(MAX_CHANGES_AT_ONCE) })
/** Of both commands: what is looked at where they enter the log, what they touch, and what an answer says was refused. */
const common = {
  admit(get: JournalTx['get'], { changes }: { readonly changes: readonly TaskChange[] }, by: string): void {
    for (const change of changes) if (change.do === 'submit') admitTasks(get, change, by)
  },
  rows: ({ changes }: { readonly changes: readonly TaskChange[] }) => changes.flatMap(rowsOf),
  apply: (tx: JournalTx, { changes }: { readonly changes: readonly TaskChange[] }, facts: EntryFacts) =>
    answers(tx, changes, facts),
  refusals: (answers: ChangeAnswer[]) => answers.flatMap((one) => ('fault' in one ? [one.fault.code] : [])),
}

/** As nodes of level 1 decide, or while a voter is one. */
export const changeTasks = defineJournalCommand({
  ...common,
  name: `${TASKS_PART}.change`,
  level: 1,
  input: changesOf(FirstChangeSchema),
  output: ChangeAnswersSchema,
})

/** With what level 2 of the part brought: as nodes of level 2 decide, or while a voter is one. */
export const decideTasks = defineJournalCommand({
  ...common,
  name: `${TASKS_PART}.decide`,
  level: 2,
  input: changesOf(SecondChangeSchema),
  output: ChangeAnswersSchema,
})

/** With what level 3 brought: tasks that are placed with what they require. */
export const resolveTasks = defineJournalCommand({
  ...common,
  name: `${TASKS_PART}.resolve`,
  level: 3,
  input: changesOf(ThirdChangeSchema),
  output: ChangeAnswersSchema,
})

/** With what level 4 brought: tasks that are held for a plan. */
export const directTasks = defineJournalCommand({
  ...common,
  name: `${TASKS_PART}.direct`,
  level: 4,
  input: changesOf(FourthChangeSchema),
  output: ChangeAnswersSchema,
})

/** With what level 5 brought: tasks that have budgets. */
export const spendTasks = defineJournalCommand({
  ...common,
  name: `${TASKS_PART}.spend`,
  level: 5,
  input: changesOf(FifthChangeSchema),
  output: ChangeAnswersSchema,
})

/** With what level 6 brought: attempts that let go of their children. */
export const lendTasks = defineJournalCommand({
  ...common,
  name: `${TASKS_PART}.lend`,
  level: 6,
  input: changesOf(TaskChangeSchema),
  output: ChangeAnswersSchema,
})

export const taskJournal = {
  level: 6,
  maxBytes: MAX_BYTES,
  maxCollectionBytes: MAX_COLLECTION_BYTES,
  kinds: [
    changeTasks,
    decideTasks,
    resolveTasks,
    directTasks,
    spendTasks,
    lendTasks,
    reholdBytes,
  ] as unknown as readonly AnyCommandKind[],
} as const
