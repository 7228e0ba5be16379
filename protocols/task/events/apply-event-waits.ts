/** What comes of changes of tasks that wait for events. Pure. */
import { ParleyError, stateError } from '../../errors.ts'
import type { Json } from '../../journal/state/command-kind.ts'
import { runningTask, workingTask } from '../journal/attempt-changes.ts'
import { goOn, MAX_SIGNALS } from '../journal/peer-changes.ts'
import type { ChangeOf } from '../journal/task-changes.ts'
import type { TaskLedger } from '../journal/task-ledger.ts'
import type { TaskRecord } from '../task-record.ts'
import { eventRow, type Heard, type ListenRow, listenRow, MAX_EVENT_WAITS } from './event-wait.ts'
import { beginEventWait, eventWaits } from './event-wait-index.ts'

/** A peer's tasks may have three times of what is free, as shares of the journal are cut. */
const TIMES_FREE = 3

export interface Listened {
  /** It came before: the attempt goes on. */
  readonly heard?: Heard
  readonly isOver: boolean
}

/** @throws COM003 */
const checkRoom = (ledger: TaskLedger, id: string, submitter: string): void => {
  const { all, own } = eventWaits(ledger.tx, submitter)
  const isFair = all < MAX_EVENT_WAITS && own + 1 <= TIMES_FREE * (MAX_EVENT_WAITS - all)
  if (!isFair)
    throw new ParleyError('COM003', `${own} tasks of ${submitter} wait for events, of ${all}, and no more may`, {
      hint: 'wait until some of them have ended',
      details: { reason: 'task-share', task: id, retryAfterMs: 5_000 },
    })
  if (ledger.signals(id).rows() >= MAX_SIGNALS)
    throw new ParleyError('COM003', `the task ${id} was given ${MAX_SIGNALS} signals`, {
      hint: 'it takes no more: what is given is used once',
      details: { reason: 'effects', task: id, retry: false },
    })
  ledger.checkRows(submitter)
}

export const listenAttempt = (ledger: TaskLedger, change: ChangeOf<'listen'>): Listened => {
  const { do: _do, id, fence: _fence, name, ...given } = change
  const record = workingTask(ledger, change)
  const signals = ledger.signals(id)
  // This part wrote them.
  const heard = signals.get(eventRow(name)) as unknown as Heard | undefined
  if (heard !== undefined) return { heard, isOver: false }
  // Where it begins, and how long it lasts, was said when it began.
  const begun = signals.get(listenRow(name)) as unknown as ListenRow | undefined
  const { topic, until } = begun ?? given
  if (until !== undefined && until <= ledger.facts.at) return { isOver: true }
  checkRoom(ledger, id, record.submitter)
  if (begun === undefined) ledger.putSignal(id, listenRow(name), given as unknown as Json)
  const wait = { name, topic, ...(until !== undefined && { until }) }
  const now = runningTask(ledger, id, record)
  ledger.note(id, now, 'w', name)
  ledger.free(id, now, { status: 'input_required', wait })
  beginEventWait(ledger.tx, id, record, name)
  return { isOver: false }
}

/** @throws STA003 `task-status` */
const waiting = (ledger: TaskLedger, id: string, name: string): TaskRecord => {
  const record = ledger.open(id)
  if (record.wait?.name === name && record.wait.topic !== undefined) return record
  throw stateError('task-status', `the task ${id} does not wait for ${name}`, 'look at it again', { task: id })
}

/** A place in the history that is kept for long is gone at last: it moves on while nothing comes that fits. */
export const advanceWait = (ledger: TaskLedger, { epoch, id, name, cursor }: ChangeOf<'advance'>): null => {
  ledger.requireCoordinator(epoch)
  waiting(ledger, id, name)
  // This part wrote it.
  const begun = ledger.signals(id).get(listenRow(name)) as unknown as ListenRow
  ledger.putSignal(id, listenRow(name), { ...begun, cursor } as unknown as Json)
  return null
}

/** The first one counts. */
export const hearEvent = (ledger: TaskLedger, { epoch, id, name, heard }: ChangeOf<'hear'>): null => {
  ledger.requireCoordinator(epoch)
  const record = waiting(ledger, id, name)
  ledger.putSignal(id, eventRow(name), heard as unknown as Json)
  ledger.note(id, record, 'h', name)
  goOn(ledger, id, record)
  return null
}
