/**
 * What comes of changes of schedules. Pure, and without time zones: the coordinator says which time is next, and here it is
 * only checked that time goes on. A task begins in the entry that moves its schedule on, so that no time is taken twice or
 * skipped, whoever coordinates.
 */
import { ParleyError, stateError } from '../../errors.ts'
import type { Json } from '../../journal/state/command-kind.ts'
import { newRecord } from '../journal/submit-tasks.ts'
import type { ChangeOf } from '../journal/task-changes.ts'
import type { TaskLedger } from '../journal/task-ledger.ts'
import { isFinal } from '../task-status.ts'
import {
  firedTaskId,
  MAX_SCHEDULES,
  readSchedule,
  SCHEDULES,
  type ScheduleInput,
  type ScheduleRecord,
  scheduleKey,
  scheduleShareKey,
} from './schedule-record.ts'

/** A peer may have three times of what is free, as shares of the journal are cut. */
const TIMES_FREE = 3
const EVERYBODY = 'all'

const find = ({ tx }: TaskLedger, id: string): ScheduleRecord | undefined => readSchedule(tx.get(scheduleKey(id)))

/** @throws STA001 */
const known = (ledger: TaskLedger, id: string): ScheduleRecord => {
  const record = find(ledger, id)
  if (record !== undefined) return record
  throw new ParleyError('STA001', `there is no schedule ${id}`, {
    hint: 'it was never made, was removed, or has no more times',
    details: { schedule: id },
  })
}

/** @throws SEC002, STA002 */
const requireOwner = (ledger: TaskLedger, { owner }: ScheduleRecord, epoch: number | undefined): void => {
  if (epoch !== undefined) ledger.requireCoordinator(epoch)
  else if (owner !== ledger.facts.by)
    throw new ParleyError('SEC002', 'only who made a schedule changes it', {
      hint: 'ask its owner, or use a node that may coordinate',
    })
}

const put = (ledger: TaskLedger, id: string, record: ScheduleRecord): void => {
  ledger.hasWritten = true
  ledger.tx.put(scheduleKey(id), record as unknown as Json)
}

const share = ({ tx }: TaskLedger, peer: string): number => Number(tx.get(scheduleShareKey(peer)) ?? 0)

const count = (ledger: TaskLedger, peer: string, by: 1 | -1): void => {
  for (const whose of [peer, EVERYBODY]) {
    const next = share(ledger, whose) + by
    if (next > 0) ledger.tx.put(scheduleShareKey(whose), next)
    else ledger.tx.delete(scheduleShareKey(whose))
  }
}

/** @throws COM003 */
const checkShare = (ledger: TaskLedger): void => {
  const { by } = ledger.facts
  const [all, own] = [share(ledger, EVERYBODY), share(ledger, by)]
  if (all < MAX_SCHEDULES && own + 1 <= TIMES_FREE * (MAX_SCHEDULES - all)) return
  throw new ParleyError('COM003', `${by} has ${own} schedules, of ${all}, and may not add more`, {
    hint: 'remove some of them: unschedule(id)',
    details: { reason: 'task-share', schedules: own },
  })
}

export const makeSchedule = (ledger: TaskLedger, change: ChangeOf<'schedule'>): { readonly known: boolean } => {
  const { do: _do, id, input, metadata, ...made } = change
  const { by, at, fence } = ledger.facts
  const before = find(ledger, id)
  if (before?.digest === made.digest) return { known: true }
  if (before === undefined) checkShare(ledger)
  else if (before.owner !== by)
    throw stateError('exists', `there is a schedule ${id} already`, 'choose another id', { schedule: id })
  const { fired = 0, held = 0, lastAt, lastTask, isPaused } = before ?? {}
  const last = { ...(lastAt !== undefined && { lastAt }), ...(lastTask !== undefined && { lastTask }) }
  const given: ScheduleInput = { input, ...(metadata !== undefined && { metadata }) }
  ledger.hasWritten = true
  ledger.tx.collection(SCHEDULES).put(id, given as unknown as Json)
  put(ledger, id, {
    ...{ ...made, owner: by, since: at, revision: fence.index, fired, held, ...last },
    ...(isPaused === true && { isPaused }),
  })
  if (before === undefined) count(ledger, by, 1)
  return { known: false }
}

const remove = (ledger: TaskLedger, id: string, { owner }: ScheduleRecord): void => {
  ledger.hasWritten = true
  ledger.tx.delete(scheduleKey(id))
  ledger.tx.collection(SCHEDULES).delete(id)
  count(ledger, owner, -1)
}

export const removeSchedule = (ledger: TaskLedger, { id, epoch }: ChangeOf<'unschedule'>): null => {
  const record = known(ledger, id)
  requireOwner(ledger, record, epoch)
  remove(ledger, id, record)
  return null
}

/** Times that pass while it is paused are no misfires: it goes on with the first one after it is resumed. */
export const holdSchedule = (ledger: TaskLedger, { id, paused, epoch }: ChangeOf<'hold-schedule'>): null => {
  const record = known(ledger, id)
  requireOwner(ledger, record, epoch)
  if ((record.isPaused ?? false) === paused) return null
  const { isPaused: _isPaused, nextAt: _nextAt, ...rest } = record
  const { at, fence } = ledger.facts
  put(ledger, id, { ...rest, ...(paused ? { isPaused: true } : { since: at }), revision: fence.index })
  return null
}

const changed = (id: string): Error =>
  stateError('task-status', `the schedule ${id} changed meanwhile`, 'look at it again', { schedule: id })

/** @throws STA003 `task-status` */
const checkTimes = (ledger: TaskLedger, change: ChangeOf<'fire'>, record: ScheduleRecord | undefined): void => {
  const { id, revision, from, nominal, next } = change
  if (record?.revision !== revision || record.isPaused === true || record.nextAt !== from) throw changed(id)
  const latest = Math.min(ledger.facts.at, record.until ?? Number.POSITIVE_INFINITY)
  if (nominal !== undefined && (from === undefined || nominal < from || nominal > latest)) throw changed(id)
  if (next !== undefined && next <= Math.max(from ?? -1, nominal ?? -1)) throw changed(id)
}

export interface Fired {
  /** The task that began. */
  readonly task?: string
}

/** @throws COM003 where its owner may not submit more */
export const fireSchedule = (ledger: TaskLedger, change: ChangeOf<'fire'>): Fired => {
  const { id, epoch, nominal, next } = change
  ledger.requireCoordinator(epoch)
  const record = find(ledger, id)
  checkTimes(ledger, change, record)
  if (record === undefined) throw changed(id)
  const task = nominal === undefined ? undefined : firedTaskId(id, nominal)
  const isHeld = task !== undefined && !mayBegin(ledger, record, task)
  if (task !== undefined && nominal !== undefined && !isHeld) begin(ledger, id, record, task, nominal)
  if (next === undefined || next > (record.until ?? Number.POSITIVE_INFINITY)) {
    remove(ledger, id, record)
    return task === undefined || isHeld ? {} : { task }
  }
  const { nextAt: _nextAt, fired, held, ...rest } = record
  if (task === undefined || nominal === undefined || isHeld) {
    put(ledger, id, { ...rest, fired, held: held + (isHeld ? 1 : 0), nextAt: next })
    return {}
  }
  put(ledger, id, { ...rest, fired: fired + 1, held, nextAt: next, lastAt: nominal, lastTask: task })
  return { task }
}

const mayBegin = (ledger: TaskLedger, { overlap, lastTask }: ScheduleRecord, task: string): boolean => {
  // Somebody had a task of this id before there was the schedule.
  if (ledger.find(task) !== undefined || ledger.done(task) !== undefined) return false
  if (overlap === 'allow' || lastTask === undefined) return true
  const last = ledger.find(lastTask)
  return last === undefined || isFinal(last.status)
}

const begin = (ledger: TaskLedger, id: string, record: ScheduleRecord, task: string, nominal: number): void => {
  const { withinMs, ...scheduled } = record.task
  const { input = null, metadata } = (ledger.tx.collection(SCHEDULES).get(id) ??
    {}) as unknown as Partial<ScheduleInput>
  const submitted = { ...scheduled, ...(withinMs !== undefined && { deadline: nominal + withinMs }) }
  const begun = newRecord(ledger, submitted, [], record.owner)
  ledger.room([begun], record.owner)
  ledger.checkRows(record.owner)
  ledger.add(task, begun, { input, ...(metadata !== undefined && { metadata }), digest: record.digest })
}
