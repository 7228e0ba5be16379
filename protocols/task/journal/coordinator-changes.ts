/** What only the coordinator of an epoch decides about tasks: who works on which, and what time has brought about. Pure. */
import { stateError } from '../../errors.ts'
import { compareFences } from '../../journal/fencing/fence.ts'
import { type Dependency, type EndedTask, notFound, type TaskRecord, type WorkerOffer } from '../task-record.ts'
import { isFinal, type TaskStatus } from '../task-status.ts'
import { countFailure, type Failed } from './attempt-changes.ts'
import { goOn } from './peer-changes.ts'
import type { ChangeOf } from './task-changes.ts'
import { budgetAfter, type TaskLedger } from './task-ledger.ts'

/** Attempts of one task that may be lost with their workers: what kills whoever works on it must end. */
export const MAX_LOSSES = 20
/** Why an attempt failed, for people and programs. */
const ATTEMPT_TIMEOUT = 'attempt-timeout'

const changed = (id: string): Error =>
  stateError('task-status', `the task ${id} changed meanwhile`, 'look at it again', { task: id })

/** @throws STA003 `task-status` */
const still = (id: string, record: TaskRecord | undefined, status: TaskStatus): TaskRecord => {
  if (record?.status === status) return record
  throw changed(id)
}

const offer = (ledger: TaskLedger, worker: string, type: string): WorkerOffer | undefined =>
  ledger.worker(worker)?.offers.find((one) => one.type === type)

export const placeTask = (ledger: TaskLedger, change: ChangeOf<'place'>): null => {
  const { id, worker, registration, epoch, allocation } = change
  ledger.requireCoordinator(epoch)
  const record = still(id, ledger.find(id), 'queued')
  // It was steered elsewhere, or is held, since it was chosen.
  if (record.plan !== undefined && record.assignee !== worker) throw changed(id)
  if (ledger.worker(worker)?.registration !== registration)
    throw stateError('worker-gone', `the worker ${worker} is gone`, 'choose another one', { worker })
  const { reason: _reason, notBefore: _notBefore, ...rest } = record
  const { fence, at } = ledger.facts
  const limit = record.attemptTimeoutMs ?? offer(ledger, worker, record.type)?.attemptTimeoutMs
  ledger.change(id, rest, {
    ...{ status: 'assigned', attempts: record.attempts + 1, worker, registration, fence },
    ...(limit !== undefined && { attemptUntil: at + limit }),
    ...(allocation !== undefined && { allocation }),
    ...budgetAfter(record),
  })
  return null
}

interface Judged {
  readonly open: Dependency[]
  /** The first one that ended otherwise than it must. */
  readonly broken: { readonly task: string; readonly status: string } | undefined
}

const judge = (ledger: TaskLedger, dependencies: readonly Dependency[]): Judged => {
  const open: Dependency[] = []
  let broken: Judged['broken']
  for (const dependency of dependencies) {
    const { task_id: on, condition } = dependency
    // Its record stays for as long as others wait for it.
    const status = ledger.find(on)?.status
    if (status !== undefined && !isFinal(status)) open.push(dependency)
    else if (condition === 'completed' && status !== 'completed') broken ??= { task: on, status: status ?? 'gone' }
  }
  return { open, broken }
}

/** @returns whether it waits for others still */
export const settleDependencies = (ledger: TaskLedger, { id, epoch }: ChangeOf<'settle'>): { waits: boolean } => {
  ledger.requireCoordinator(epoch)
  const record = still(id, ledger.find(id), 'submitted')
  const { open, broken } = judge(ledger, record.dependencies ?? [])
  if (broken !== undefined) {
    const { task, status } = broken
    const message = `it depends on ${task}, which is ${status}`
    const error = { code: 'STA003', message, details: { reason: 'dependency', dependency: task, status } }
    ledger.end(id, record, 'failed', { error, reason: 'dependency-failed' })
    return { waits: false }
  }
  const { dependencies = [], ...rest } = record
  if (open.length === 0) {
    ledger.note(id, record, 'q')
    ledger.change(id, rest, { status: 'queued' })
  } else if (open.length < dependencies.length) ledger.change(id, record, { dependencies: open })
  return { waits: open.length > 0 }
}

export const loseAttempt = (ledger: TaskLedger, change: ChangeOf<'lose'>): null => {
  const { id, fence, reason, epoch } = change
  ledger.requireCoordinator(epoch)
  const record = ledger.find(id)
  if (record?.fence === undefined || isFinal(record.status) || compareFences(record.fence, fence) !== 0)
    throw changed(id)
  ledger.note(id, record, 'l', `${record.worker ?? ''} ${reason}`)
  if (record.status !== 'assigned' && record.status !== 'running') {
    // Held: it stays so, and whoever is free takes it when it is resumed.
    ledger.free(id, record, record.reason === undefined ? {} : { reason: record.reason })
    return null
  }
  const losses = record.losses + 1
  if (losses > MAX_LOSSES) {
    const error = { code: 'COM002', message: `${losses} workers were lost while they worked on it` }
    ledger.end(id, { ...record, losses }, 'failed', { error, reason: 'workers-lost' })
  } else ledger.free(id, record, { status: 'queued', losses, reason })
  return null
}

/** What the attempt still reports counts no more. */
export const timeOutAttempt = (ledger: TaskLedger, change: ChangeOf<'time-out'>): Failed => {
  const { id, fence, epoch } = change
  ledger.requireCoordinator(epoch)
  const record = ledger.find(id)
  const isInWork = record?.status === 'assigned' || record?.status === 'running'
  if (!isInWork || record.fence === undefined || compareFences(record.fence, fence) !== 0) throw changed(id)
  if (record.attemptUntil === undefined || record.attemptUntil > ledger.facts.at) throw changed(id)
  const error = {
    code: 'COM001',
    message: `its attempt ${record.attempts} took longer than it may`,
    hint: 'let the work check its signal, or give it more time: attemptTimeoutMs',
    details: { reason: ATTEMPT_TIMEOUT, attempt: record.attempts },
  }
  return countFailure(ledger, id, record, { error, retry: true, reason: ATTEMPT_TIMEOUT })
}

export const wakeTask = (ledger: TaskLedger, { id, epoch }: ChangeOf<'wake'>): null => {
  ledger.requireCoordinator(epoch)
  const record = ledger.open(id)
  if (record.wait?.until === undefined || record.wait.until > ledger.facts.at) throw changed(id)
  ledger.note(id, record, 'k')
  goOn(ledger, id, record)
  return null
}

export const expireTask = (ledger: TaskLedger, { id, epoch }: ChangeOf<'expire'>): null => {
  ledger.requireCoordinator(epoch)
  const record = ledger.open(id)
  if (record.deadline === undefined || record.deadline > ledger.facts.at) throw changed(id)
  const error = { code: 'MSG005', message: 'its deadline passed before it was done' }
  ledger.end(id, record, 'failed', { error, reason: 'deadline' })
  return null
}

export const explainTask = (ledger: TaskLedger, { id, epoch, reason }: ChangeOf<'explain'>): null => {
  ledger.requireCoordinator(epoch)
  const record = still(id, ledger.find(id), 'queued')
  if (reason !== '') ledger.change(id, record, { reason })
  else {
    const { reason: _reason, ...rest } = record
    ledger.change(id, rest, {})
  }
  return null
}

/** States in which an attempt may still go to somebody else than before. */
const STEERABLE: ReadonlySet<TaskStatus> = new Set(['submitted', 'queued', 'paused', 'input_required', 'auth_required'])

/** One that is in work stays where it is. */
export const steerTask = (ledger: TaskLedger, { id, epoch, plan, assignee, free }: ChangeOf<'steer'>): null => {
  ledger.requireCoordinator(epoch)
  const record = ledger.find(id)
  if (record === undefined) throw notFound(id)
  if (!STEERABLE.has(record.status) || record.plan !== plan) throw changed(id)
  if (free !== true && record.assignee === assignee) return null
  const { plan: _plan, assignee: _assignee, ...rest } = record
  const next = free === true ? {} : { plan, ...(assignee !== undefined && { assignee }) }
  ledger.change(id, rest, next)
  return null
}

export const dismissWorker = (ledger: TaskLedger, change: ChangeOf<'dismiss'>): null => {
  const { epoch, worker, registration } = change
  ledger.requireCoordinator(epoch)
  if (ledger.worker(worker)?.registration === registration) ledger.deleteWorker(worker)
  return null
}

const endedOf = ({ type, status, attempts, worker, reason }: TaskRecord): EndedTask => ({
  ...{ type, status, attempts },
  ...(worker !== undefined && { worker }),
  ...(reason !== undefined && { reason }),
})

export const archiveTasks = (ledger: TaskLedger, { epoch, tasks }: ChangeOf<'archive'>): null => {
  ledger.requireCoordinator(epoch)
  for (const { id, endedAt } of tasks) {
    const record = ledger.find(id)
    if (record !== undefined && isFinal(record.status) && record.changedAt === endedAt)
      ledger.archive(id, endedAt, endedOf(record))
  }
  return null
}

export const forgetTasks = (ledger: TaskLedger, { epoch, tasks }: ChangeOf<'forget'>): null => {
  ledger.requireCoordinator(epoch)
  for (const { id, endedAt } of tasks) if (ledger.find(id) === undefined) ledger.forget(id, endedAt)
  return null
}
