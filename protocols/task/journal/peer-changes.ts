/** What peers decide about what is theirs: submitters about their tasks, workers about their registration. Pure. */
import { ParleyError } from '../../errors.ts'
import { endEventWait } from '../events/event-wait-index.ts'
import { signalRow, type TaskRecord, type WorkerRecord, workerKey } from '../task-record.ts'
import type { TaskStatus } from '../task-status.ts'
import type { ChangeOf } from './task-changes.ts'
import type { TaskLedger } from './task-ledger.ts'

/** Of one task. */
export const MAX_SIGNALS = 1_000

const wrongState = (id: string, status: TaskStatus, what: string): ParleyError =>
  new ParleyError('STA003', `the task ${id} is ${status}, and cannot be ${what}`, {
    hint:
      what === 'resumed'
        ? 'only a paused task, or one that waits for input, is resumed'
        : 'only a running task is paused',
    details: { reason: 'task-status', task: id, status },
  })

/** Who wanted it; where the coordinator did it for somebody, it says for whom. */
const askedBy = ({ facts }: TaskLedger, epoch: number | undefined, asker: string | undefined): string =>
  (epoch === undefined ? undefined : asker) ?? facts.by

/** Fenced: what the attempt in work still reports does not count. */
export const pauseTask = (
  ledger: TaskLedger,
  { id, reason, epoch, asker }: ChangeOf<'pause'>,
): { status: TaskStatus } => {
  const record = ledger.open(id)
  ledger.requireControl(record, epoch)
  if (record.status === 'paused') return { status: 'paused' }
  if (record.status !== 'running' && record.status !== 'assigned') throw wrongState(id, record.status, 'paused')
  ledger.note(id, record, 'p', `${askedBy(ledger, epoch, asker)} ${reason ?? ''}`)
  const { allocation: _allocation, ...rest } = record
  ledger.change(id, rest, { status: 'paused', fence: ledger.facts.fence, ...(reason !== undefined && { reason }) })
  return { status: 'paused' }
}

/** Back to the queue: whoever is free takes it. */
export const goOn = (ledger: TaskLedger, id: string, record: TaskRecord): void => {
  const { worker: _worker, registration: _registration, fence: _fence, reason: _reason, wait: _wait, ...more } = record
  const { attemptUntil: _until, allocation: _allocation, ...rest } = more
  ledger.change(id, rest, { status: 'queued' })
  endEventWait(ledger.tx, id, record)
}

/** What it waits for; where it does not wait for that yet, it finds it then. The first one counts. */
export const signalTask = (ledger: TaskLedger, change: ChangeOf<'signal'>): { status: TaskStatus; known: boolean } => {
  const { id, name, value, epoch, asker } = change
  const record = ledger.open(id)
  ledger.requireControl(record, epoch)
  const signals = ledger.signals(id)
  const row = signalRow(name)
  if (signals.get(row) !== undefined) return { status: record.status, known: true }
  if (signals.rows() >= MAX_SIGNALS)
    throw new ParleyError('COM003', `the task ${id} was given ${MAX_SIGNALS} signals`, {
      hint: 'it takes no more: what is given is used once',
      details: { reason: 'effects', task: id },
    })
  ledger.checkRows(record.submitter)
  ledger.putSignal(id, row, value)
  ledger.note(id, record, 'g', `${askedBy(ledger, epoch, asker)} ${name}`)
  // Who waits for an event is given that alone.
  if (record.wait?.name !== name || record.wait.topic !== undefined) return { status: record.status, known: false }
  goOn(ledger, id, record)
  return { status: 'queued', known: false }
}

const HELD: ReadonlySet<TaskStatus> = new Set(['paused', 'input_required', 'auth_required'])

/** It goes back to the queue: whoever is free takes it, from its last checkpoint. */
export const resumeTask = (
  ledger: TaskLedger,
  { id, checkpoint, epoch, asker }: ChangeOf<'resume'>,
): { status: TaskStatus } => {
  const record = ledger.open(id)
  ledger.requireControl(record, epoch)
  if (!HELD.has(record.status)) throw wrongState(id, record.status, 'resumed')
  if (checkpoint !== undefined) ledger.putCheckpoint(id, checkpoint)
  ledger.note(id, record, 'u', askedBy(ledger, epoch, asker))
  // Two moves of one entry: it runs, and whoever is free takes it.
  goOn(ledger, id, record)
  return { status: 'queued' }
}

export const cancelTask = (
  ledger: TaskLedger,
  { id, reason, epoch, asker }: ChangeOf<'cancel'>,
): { status: TaskStatus } => {
  const record: TaskRecord = ledger.open(id)
  ledger.requireControl(record, epoch)
  ledger.note(id, record, 'x', askedBy(ledger, epoch, asker))
  ledger.end(id, record, 'canceled', reason === undefined ? {} : { reason })
  return { status: 'canceled' }
}

const gone = (peer: string, registration: number): ParleyError =>
  new ParleyError('STA002', `the registration ${registration} of ${peer} is over`, {
    hint: 'end all work of it, and register again: its tasks are given to others',
    details: { registration },
  })

/** Of the same process it stays the same one; one that was started again has lost what it had in work. */
export const registerWorker = (
  ledger: TaskLedger,
  { offers, incarnation, draining = false }: ChangeOf<'register'>,
): { readonly registration: number } => {
  const { by, at, fence } = ledger.facts
  const before = ledger.worker(by)
  if (before !== undefined && before.incarnation > incarnation) throw gone(by, incarnation)
  const registration = before?.incarnation === incarnation ? before.registration : fence.index
  const record: WorkerRecord = { offers, registration, incarnation, renewedAt: at, ...(draining && { draining }) }
  ledger.putWorker(by, record)
  return { registration }
}

/** @throws STA002 where it is over */
const own = (ledger: TaskLedger, registration: number): WorkerRecord => {
  const { by } = ledger.facts
  const record = ledger.worker(by)
  if (record?.registration !== registration) throw gone(by, registration)
  return record
}

export const renewWorker = (ledger: TaskLedger, { registration }: ChangeOf<'renew'>): null => {
  const { by, at, fence } = ledger.facts
  const record = own(ledger, registration)
  // Said twice in one decision, it writes once: a registration may be large.
  const isWritten = record.renewedAt === at && ledger.tx.version(workerKey(by)) === fence.index
  if (!isWritten) ledger.putWorker(by, { ...record, renewedAt: at })
  return null
}

export const withdrawWorker = (ledger: TaskLedger, { registration }: ChangeOf<'withdraw'>): null => {
  own(ledger, registration)
  ledger.deleteWorker(ledger.facts.by)
  return null
}
