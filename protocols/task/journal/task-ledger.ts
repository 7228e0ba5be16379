/**
 * Tasks as one change of the journal sees and changes them: records, rows, and what each submitter holds.
 *
 * A change that is refused has written nothing: it checks first. What fails once something was written (the journal is full)
 * fails the whole command, so that no half of a change counts. State: whether anything was written.
 */
import { ParleyError, stateError } from '../../errors.ts'
import { compareFences } from '../../journal/fencing/fence.ts'
import { requireCoordinator } from '../../journal/fencing/require-coordinator.ts'
import type { CollectionTx, EntryFacts, JournalTx, Json } from '../../journal/state/command-kind.ts'
import { endEventWait } from '../events/event-wait-index.ts'
import type { EntryLetter } from '../history-entry.ts'
import {
  CHECKPOINT_ROW,
  DONE,
  type DoneTask,
  ENDED,
  type EndedTask,
  endedRow,
  HISTORY_ROWS,
  INPUT_ROW,
  notFound,
  readTask,
  readWorker,
  signalsOf,
  type TaskError,
  type TaskInput,
  type TaskRecord,
  taskKey,
  type WorkerRecord,
  workerKey,
} from '../task-record.ts'
import { type FinalStatus, isFinal, movesBetween } from '../task-status.ts'
import { leaveToParent } from './child-budgets.ts'
import type { HistoryNotes } from './history-notes.ts'
import { EVERYBODY, type RowShares, readUsage, TIMES_FREE, writeUsage } from './row-shares.ts'
import type { TaskRows } from './task-rows.ts'

/** Of all open tasks. */
export const MAX_OPEN_TASKS = 20_000
/** What their records may take; the part has as much again for what they become. */
export const MAX_OPEN_BYTES = 10 * 1024 * 1024

/** What voters of level 1 do not keep. */
export interface LaterKeeping {
  readonly notes: HistoryNotes
  readonly shares: RowShares
}

/** No attempt is at work any more: what it drew and did not give back is spent. */
export const budgetAfter = ({ budget }: TaskRecord): Pick<TaskRecord, 'budget'> => {
  if (budget === undefined) return {}
  const { open: _open, draws: _draws, ...rest } = budget
  return { budget: rest }
}

export class TaskLedger {
  readonly tx: JournalTx
  readonly facts: EntryFacts
  /** Undefined: of a command that keeps no history. */
  readonly #notes: HistoryNotes | undefined
  readonly #shares: RowShares | undefined
  readonly #rows: TaskRows
  hasWritten = false

  /** @param later undefined: as voters of level 1 decide */
  constructor(tx: JournalTx, rows: TaskRows, facts: EntryFacts, later?: LaterKeeping) {
    this.tx = tx
    this.#rows = rows
    this.facts = facts
    this.#notes = later?.notes
    this.#shares = later?.shares
  }

  /** All voters are known to keep what level 2 brought. */
  get keepsHistories(): boolean {
    return this.#notes !== undefined
  }

  /** Undefined: there is none, or only what a final one left. */
  find(id: string): TaskRecord | undefined {
    const record = readTask(this.tx.get(taskKey(id)))
    if (record !== undefined) this.#shares?.touch(id, record)
    return record
  }

  /** @throws STA001 where there is none; STA003 `ended` where it is final */
  open(id: string): TaskRecord {
    const record = this.find(id)
    if (record !== undefined && !isFinal(record.status)) return record
    const status = record?.status ?? this.done(id)?.record.status
    if (status === undefined) throw notFound(id)
    throw stateError('ended', `the task ${id} is ${status}`, 'read its result; submit another task', {
      task: id,
      status,
    })
  }

  /** The task of an attempt. @throws STA002 where it was given to somebody else since, or is held */
  ofAttempt({ id, fence }: { readonly id: string; readonly fence: EntryFacts['fence'] }): TaskRecord {
    const record = this.find(id)
    const isIts = record?.worker === this.facts.by && !isFinal(record.status)
    if (isIts && record.fence !== undefined && compareFences(fence, record.fence) === 0) return record
    throw new ParleyError('STA002', `the task ${id} is not this attempt's any more`, {
      hint: 'end the work: another attempt goes on from the last checkpoint, or the task has ended',
      details: { task: id, fence, ...(record?.fence !== undefined && { highest: record.fence }) },
    })
  }

  done(id: string): DoneTask | undefined {
    return this.tx.collection(DONE).get(id) as DoneTask | undefined
  }

  input(id: string): TaskInput | undefined {
    return this.work(id).get(INPUT_ROW) as TaskInput | undefined
  }

  work(id: string): CollectionTx {
    return this.#rows.work(id)
  }

  signals(id: string): CollectionTx {
    return this.#rows.signals(id)
  }

  worker(peer: string): WorkerRecord | undefined {
    return readWorker(this.tx.get(workerKey(peer)))
  }

  /** @throws SEC002, STA002 */
  requireCoordinator(epoch: number): void {
    requireCoordinator(this.tx, this.facts, epoch, 'places tasks')
  }

  /**
   * Only who submitted it, or, where histories are kept, its parent; or the coordinator in its name. A voter of level 1 lets
   * the submitter of the parent do nothing, and has to come to the same. @throws SEC002, STA002
   */
  requireControl({ submitter, parent }: TaskRecord, epoch: number | undefined): void {
    const { by } = this.facts
    const isOfParent = this.keepsHistories && parent !== undefined && this.find(parent)?.submitter === by
    if (epoch !== undefined) this.requireCoordinator(epoch)
    else if (submitter !== by && !isOfParent)
      throw new ParleyError('SEC002', 'only who submitted a task controls it', {
        hint: 'ask its submitter, or use a node that may coordinate',
      })
  }

  /** Checks that their submitter may hold so many more. @throws COM003 */
  room(records: readonly TaskRecord[], submitter: string = this.facts.by): void {
    const all = readUsage(this.tx, EVERYBODY)
    const own = readUsage(this.tx, submitter)
    const bytes = records.reduce((sum, { size }) => sum + size, 0)
    const isFree = all.tasks + records.length <= MAX_OPEN_TASKS && all.bytes + bytes <= MAX_OPEN_BYTES
    const isFair =
      own.tasks + records.length <= TIMES_FREE * (MAX_OPEN_TASKS - all.tasks) &&
      own.bytes + bytes <= TIMES_FREE * (MAX_OPEN_BYTES - all.bytes)
    if (isFree && isFair) return
    throw new ParleyError('COM003', `${submitter} has ${own.tasks} open tasks, of ${all.tasks}, and may not add more`, {
      hint: 'wait until some of them ended, then submit again',
      details: { reason: 'task-share', open: own.tasks, retryAfterMs: 1_000 },
    })
  }

  /** Checks that rows of its tasks may take more. @throws COM003 */
  checkRows(submitter: string = this.facts.by): void {
    this.#shares?.check(submitter)
  }

  add(id: string, given: TaskRecord, input: TaskInput): void {
    const record: TaskRecord = this.#shares === undefined ? given : { ...given, isCounted: true }
    this.#shares?.touch(id, record)
    this.#write(id, record)
    this.work(id).put(INPUT_ROW, input as unknown as Json)
    this.#count(record.submitter, 1, record.size)
  }

  /** @throws Error where the state may not become this one: a mistake in here */
  change(id: string, before: TaskRecord, changes: Partial<TaskRecord>): TaskRecord {
    const { status } = changes
    if (status !== undefined && status !== before.status && movesBetween(before.status, status).length === 0)
      throw new Error(`a task cannot become ${status} from ${before.status}`)
    const isMoved = status !== undefined && status !== before.status
    if (isMoved && status === 'running') this.note(id, before, 'r')
    const record = { ...before, ...changes, ...(isMoved && { changedAt: this.facts.at }) }
    this.#write(id, record)
    return record
  }

  /** For its history. @param before its record, as it was */
  note(id: string, before: TaskRecord, letter: EntryLetter, fields?: string): void {
    this.#notes?.note(id, before, letter, this.facts.at, fields)
  }

  /** Back to the queue, or elsewhere without a worker. */
  free(id: string, before: TaskRecord, changes: Partial<TaskRecord>): TaskRecord {
    const { worker: _worker, registration: _registration, fence: _fence, reason: _reason, ...rest } = before
    const { attemptUntil: _until, allocation: _allocation, ...free } = rest
    return this.change(id, { ...free, ...budgetAfter(before) }, changes)
  }

  /** It has ended: what it leaves is kept, what it worked with goes. */
  end(
    id: string,
    before: TaskRecord,
    status: FinalStatus,
    left: { result?: Json; error?: TaskError; reason?: string },
  ) {
    const { result, error, reason } = left
    const { input, metadata } = this.input(id) ?? {}
    const history = this.#notes?.close(id, before)
    const { dependencies: _dependencies, notBefore: _notBefore, reason: _reason, wait: _wait, ...more } = before
    const { attemptUntil: _until, allocation: _allocation, ...rest } = more
    const last = { status, changedAt: this.facts.at, size: 0, ...(reason !== undefined && { reason }) }
    const record: TaskRecord = { ...rest, ...budgetAfter(before), ...last }
    if (movesBetween(before.status, status).length === 0)
      throw new Error(`a task cannot become ${status} from ${before.status}`)
    const done: DoneTask = {
      id,
      record,
      ...(metadata !== undefined && { metadata }),
      ...(result !== undefined && { result }),
      ...(error !== undefined && { error }),
      ...(history !== undefined && { history }),
      ...(history !== undefined && status !== 'completed' && input !== undefined && { input }),
    }
    this.hasWritten = true
    endEventWait(this.tx, id, before)
    const write = (): void => this.tx.collection(DONE).put(id, done as unknown as Json)
    if (this.#shares === undefined) write()
    else this.#shares.changeDone(before, write)
    this.work(id).drop()
    // Most have none, and voters of level 1 do not look for them.
    if (this.#shares === undefined) this.tx.dropCollection(signalsOf(id))
    else this.signals(id).drop()
    this.#write(id, record)
    leaveToParent(this, before)
    this.#count(before.submitter, -1, -before.size)
  }

  putRow(id: string, row: string, value: Json): void {
    this.hasWritten = true
    this.work(id).put(row, value)
  }

  putSignal(id: string, row: string, value: Json): void {
    this.hasWritten = true
    this.signals(id).put(row, value)
  }

  /** What was recorded before a checkpoint is not needed any more. */
  putCheckpoint(id: string, value: Json): void {
    const input = this.input(id)
    const work = this.work(id)
    const history = this.#notes === undefined ? [] : HISTORY_ROWS.map((row) => [row, work.get(row)] as const)
    this.hasWritten = true
    work.drop()
    for (const [row, noted] of history) if (noted !== undefined) work.put(row, noted)
    if (input !== undefined) work.put(INPUT_ROW, input as unknown as Json)
    work.put(CHECKPOINT_ROW, value)
  }

  putWorker(peer: string, record: WorkerRecord): void {
    this.hasWritten = true
    this.tx.put(workerKey(peer), record as unknown as Json)
  }

  deleteWorker(peer: string): void {
    this.hasWritten = true
    this.tx.delete(workerKey(peer))
  }

  /** What a final task left can be found by its id and by when it ended; its record goes. */
  archive(id: string, endedAt: number, ended: EndedTask): void {
    this.hasWritten = true
    this.tx.collection(ENDED).put(endedRow(endedAt, id), this.#notes === undefined ? 0 : (ended as unknown as Json))
    this.tx.delete(taskKey(id))
  }

  forget(id: string, endedAt: number): void {
    this.hasWritten = true
    const forget = (): void => this.tx.collection(DONE).delete(id)
    const record = this.#shares === undefined ? undefined : this.done(id)?.record
    if (record === undefined) forget()
    else this.#shares?.changeDone(record, forget)
    this.tx.collection(ENDED).delete(endedRow(endedAt, id))
  }

  #write(id: string, record: TaskRecord): void {
    this.hasWritten = true
    this.tx.put(taskKey(id), record as unknown as Json)
  }

  #count(peer: string, tasks: number, bytes: number): void {
    for (const whose of [peer, EVERYBODY]) {
      const now = readUsage(this.tx, whose)
      writeUsage(this.tx, whose, { ...now, tasks: now.tasks + tasks, bytes: now.bytes + bytes })
    }
  }
}
