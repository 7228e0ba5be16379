/** What an attempt does to its task: only the assignee, and only under the fence that it was given. Pure. */
import { ParleyError } from '../../errors.ts'
import type { Json } from '../../journal/state/command-kind.ts'
import { effectRow, reasonText, type TaskRecord } from '../task-record.ts'
import type { ChangeOf } from './task-changes.ts'
import type { TaskLedger } from './task-ledger.ts'

/** Effects of one task; with a checkpoint they begin anew. */
export const MAX_EFFECTS = 200_000

/** Its first sign of life is enough. */
const running = (ledger: TaskLedger, id: string, record: TaskRecord): TaskRecord =>
  record.status === 'assigned' ? ledger.change(id, record, { status: 'running' }) : record

/** The assignee works on it. @throws STA002 while it is held */
const working = (ledger: TaskLedger, change: ChangeOf<'start' | 'effect' | 'checkpoint' | 'complete' | 'fail'>) => {
  const record = ledger.ofAttempt(change)
  if (record.status === 'assigned' || record.status === 'running') return record
  throw new ParleyError('STA002', `the task ${change.id} is ${record.status}`, {
    hint: 'end the work: another attempt goes on from the last checkpoint once it is resumed',
    details: { task: change.id, fence: change.fence, status: record.status },
  })
}

export const startAttempt = (ledger: TaskLedger, change: ChangeOf<'start'>): null => {
  running(ledger, change.id, working(ledger, change))
  return null
}

export interface RecordedEffect {
  /** It was recorded before: this is what counts. */
  readonly known?: Json
}

export const recordEffect = (ledger: TaskLedger, change: ChangeOf<'effect'>): RecordedEffect => {
  const { id, name, key, value } = change
  const record = working(ledger, change)
  const row = effectRow(name, key)
  const work = ledger.work(id)
  const before = work.get(row)
  if (before !== undefined) return { known: before }
  if (work.rows() >= MAX_EFFECTS)
    throw new ParleyError('COM003', `the task ${id} has ${MAX_EFFECTS} effects`, {
      hint: 'make a checkpoint: effects before it are not needed any more',
      details: { reason: 'effects', task: id },
    })
  running(ledger, id, record)
  ledger.putRow(id, row, value)
  return {}
}

export const recordCheckpoint = (ledger: TaskLedger, change: ChangeOf<'checkpoint'>): null => {
  running(ledger, change.id, working(ledger, change))
  ledger.putCheckpoint(change.id, change.value)
  return null
}

export const completeTask = (ledger: TaskLedger, change: ChangeOf<'complete'>): null => {
  ledger.end(change.id, working(ledger, change), 'completed', { result: change.result })
  return null
}

/** Milliseconds before the next attempt, by how many failed. */
export const retryDelayMs = ({ delayMs, maxDelayMs }: TaskRecord['retry'], failures: number): number =>
  Math.min(maxDelayMs, delayMs * 2 ** Math.min(30, Math.max(0, failures - 1)))

export const failAttempt = (ledger: TaskLedger, change: ChangeOf<'fail'>): { readonly retried: boolean } => {
  const { id, error, retry } = change
  const record = running(ledger, id, working(ledger, change))
  const failures = record.failures + 1
  const reason = reasonText(error.message)
  if (!retry || failures > record.retry.max) {
    ledger.end(id, { ...record, failures }, 'failed', { error, reason })
    return { retried: false }
  }
  const notBefore = ledger.facts.at + retryDelayMs(record.retry, failures)
  ledger.free(id, record, { status: 'queued', failures, notBefore, reason })
  return { retried: true }
}

/** Its worker stops: it is nobody's fault. */
export const releaseAttempt = (ledger: TaskLedger, { id, fence, reason }: ChangeOf<'release'>): null => {
  const record = ledger.ofAttempt({ id, fence })
  if (record.status === 'assigned' || record.status === 'running') ledger.free(id, record, { status: 'queued', reason })
  // Held: it stays so, and goes elsewhere when it is resumed.
  else ledger.free(id, record, { reason: record.reason ?? reason })
  return null
}
