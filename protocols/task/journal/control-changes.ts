/** Pause, resume, cancel: what the submitter does to its task, or the coordinator in its name. Pure. */
import { ParleyError } from '../../errors.ts'
import type { TaskRecord } from '../task-record.ts'
import type { TaskStatus } from '../task-status.ts'
import type { ChangeOf } from './task-changes.ts'
import type { TaskLedger } from './task-ledger.ts'

const wrongState = (id: string, status: TaskStatus, what: string): ParleyError =>
  new ParleyError('STA003', `the task ${id} is ${status}, and cannot be ${what}`, {
    hint:
      what === 'resumed'
        ? 'only a paused task, or one that waits for input, is resumed'
        : 'only a running task is paused',
    details: { reason: 'task-status', task: id, status },
  })

/** Fenced: what the attempt in work still reports does not count. */
export const pauseTask = (ledger: TaskLedger, { id, reason, epoch }: ChangeOf<'pause'>): { status: TaskStatus } => {
  const record = ledger.open(id)
  ledger.requireControl(record, epoch)
  if (record.status === 'paused') return { status: 'paused' }
  if (record.status !== 'running' && record.status !== 'assigned') throw wrongState(id, record.status, 'paused')
  ledger.change(id, record, { status: 'paused', fence: ledger.facts.fence, ...(reason !== undefined && { reason }) })
  return { status: 'paused' }
}

const HELD: ReadonlySet<TaskStatus> = new Set(['paused', 'input_required', 'auth_required'])

/** It goes back to the queue: whoever is free takes it, from its last checkpoint. */
export const resumeTask = (
  ledger: TaskLedger,
  { id, checkpoint, epoch }: ChangeOf<'resume'>,
): { status: TaskStatus } => {
  const record = ledger.open(id)
  ledger.requireControl(record, epoch)
  if (!HELD.has(record.status)) throw wrongState(id, record.status, 'resumed')
  if (checkpoint !== undefined) ledger.putCheckpoint(id, checkpoint)
  // Two moves of one entry: it runs, and whoever is free takes it.
  const { worker: _worker, registration: _registration, fence: _fence, reason: _reason, ...rest } = record
  ledger.change(id, rest, { status: 'queued' })
  return { status: 'queued' }
}

export const cancelTask = (ledger: TaskLedger, { id, reason, epoch }: ChangeOf<'cancel'>): { status: TaskStatus } => {
  const record: TaskRecord = ledger.open(id)
  ledger.requireControl(record, epoch)
  ledger.end(id, record, 'canceled', reason === undefined ? {} : { reason })
  return { status: 'canceled' }
}
