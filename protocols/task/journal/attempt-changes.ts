/** What an attempt does to its task: only the assignee, and only under the fence that it was given. Pure. */
import { ParleyError } from '../../errors.ts'
import { ROW_BYTES } from '../../journal/state/collection-rows.ts'
import type { Json } from '../../journal/state/command-kind.ts'
import { readStored } from '../bytes/stored-bytes.ts'
import { effectRow, reasonText, signalRow, sleepRow, type TaskError, type TaskRecord, waitRow } from '../task-record.ts'
import type { ChangeOf } from './task-changes.ts'
import type { TaskLedger } from './task-ledger.ts'

/** Why it is queued, for people. */
const SLEEPS = 'it sleeps'
/** Effects of one task; with a checkpoint they begin anew. */
export const MAX_EFFECTS = 200_000

/** Its first sign of life is enough. */
const running = (ledger: TaskLedger, id: string, record: TaskRecord): TaskRecord =>
  record.status === 'assigned' ? ledger.change(id, record, { status: 'running' }) : record

/** The assignee works on it. @throws STA002 while it is held */
const working = (
  ledger: TaskLedger,
  change: ChangeOf<'start' | 'effect' | 'checkpoint' | 'complete' | 'fail' | 'sleep' | 'wait' | 'listen' | 'draw'>,
) => {
  const record = ledger.ofAttempt(change)
  if (record.status === 'assigned' || record.status === 'running') return record
  throw new ParleyError('STA002', `the task ${change.id} is ${record.status}`, {
    hint: 'end the work: another attempt goes on from the last checkpoint once it is resumed',
    details: { task: change.id, fence: change.fence, status: record.status },
  })
}

export { running as runningTask, working as workingTask }

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
      details: { reason: 'effects', task: id, retry: false },
    })
  ledger.checkRows(record.submitter)
  const now = running(ledger, id, record)
  const bytes = work.bytes()
  ledger.putRow(id, row, value)
  // Of a large value its own size, not that of what stands for it.
  const size = readStored(value)?.size ?? work.bytes() - bytes - row.length - ROW_BYTES
  ledger.note(id, now, 'e', `${size} ${name} ${key}`)
  return {}
}

export const recordCheckpoint = (ledger: TaskLedger, change: ChangeOf<'checkpoint'>): null => {
  const { id, value } = change
  const record = running(ledger, id, working(ledger, change))
  ledger.putCheckpoint(id, value)
  ledger.note(id, record, 'c', String(readStored(value)?.size ?? JSON.stringify(value).length))
  return null
}

export const completeTask = (ledger: TaskLedger, change: ChangeOf<'complete'>): null => {
  ledger.end(change.id, working(ledger, change), 'completed', { result: change.result })
  return null
}

/** Milliseconds before the next attempt, by how many failed. */
export const retryDelayMs = ({ delayMs, maxDelayMs }: TaskRecord['retry'], failures: number): number =>
  Math.min(maxDelayMs, delayMs * 2 ** Math.min(30, Math.max(0, failures - 1)))

export interface Failed {
  readonly retried: boolean
}

/** One attempt more, after a while, or its end. */
export const countFailure = (
  ledger: TaskLedger,
  id: string,
  record: TaskRecord,
  { error, retry, reason }: { readonly error: TaskError; readonly retry: boolean; readonly reason: string },
): Failed => {
  const failures = record.failures + 1
  if (!retry || failures > record.retry.max) {
    ledger.end(id, { ...record, failures }, 'failed', { error, reason })
    return { retried: false }
  }
  ledger.note(id, record, 'f', `${error.code} ${reason}`)
  const notBefore = ledger.facts.at + retryDelayMs(record.retry, failures)
  ledger.free(id, record, { status: 'queued', failures, notBefore, reason })
  return { retried: true }
}

export const failAttempt = (ledger: TaskLedger, change: ChangeOf<'fail'>): Failed => {
  const { id, error, retry } = change
  const record = running(ledger, id, working(ledger, change))
  return countFailure(ledger, id, record, { error, retry, reason: reasonText(error.message) })
}

/** @returns until when it sleeps */
export const sleepAttempt = (ledger: TaskLedger, change: ChangeOf<'sleep'>): { readonly until: number } => {
  const { id, name, until, stays } = change
  const given = working(ledger, change)
  const before = ledger.work(id).get(sleepRow(name))
  if (before === undefined) ledger.checkRows(given.submitter)
  const record = running(ledger, id, given)
  const due = typeof before === 'number' ? before : until
  if (before === undefined) {
    ledger.putRow(id, sleepRow(name), due)
    ledger.note(id, record, 'z', `${due} ${name}`)
  }
  // A due time that has passed is no reason to begin anew.
  if (!stays && due > ledger.facts.at) ledger.free(id, record, { status: 'queued', notBefore: due, reason: SLEEPS })
  return { until: due }
}

export interface Waited {
  /** It was given before: the attempt goes on. */
  readonly given?: Json
  readonly isGiven: boolean
  readonly isOver: boolean
}

export const waitAttempt = (ledger: TaskLedger, change: ChangeOf<'wait'>): Waited => {
  const { id, name, status, prompt, until } = change
  const before = working(ledger, change)
  const work = ledger.work(id)
  // How long it waits was said when it began to.
  const begun = work.get(waitRow(name))
  const given = ledger.signals(id).get(signalRow(name))
  if (begun === undefined && given === undefined) ledger.checkRows(before.submitter)
  const record = running(ledger, id, before)
  if (given !== undefined) return { given, isGiven: true, isOver: false }
  const due = begun === undefined ? until : typeof begun === 'number' ? begun : undefined
  if (due !== undefined && due <= ledger.facts.at) return { isGiven: false, isOver: true }
  if (begun === undefined) ledger.putRow(id, waitRow(name), due ?? null)
  const wait = { name, ...(prompt !== undefined && { prompt }), ...(due !== undefined && { until: due }) }
  ledger.note(id, record, 'w', name)
  ledger.free(id, record, { status, wait })
  return { isGiven: false, isOver: false }
}

/** Its worker stops: it is nobody's fault. */
export const releaseAttempt = (ledger: TaskLedger, { id, fence, reason }: ChangeOf<'release'>): null => {
  const record = ledger.ofAttempt({ id, fence })
  ledger.note(id, record, 'b', reason)
  if (record.status === 'assigned' || record.status === 'running') ledger.free(id, record, { status: 'queued', reason })
  // Held: it stays so, and goes elsewhere when it is resumed.
  else ledger.free(id, record, { reason: record.reason ?? reason })
  return null
}
