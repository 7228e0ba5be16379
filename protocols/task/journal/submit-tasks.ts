/** Tasks that are submitted: all of one submission, or none. Pure. */
import { ParleyError, stateError } from '../../errors.ts'
import type { JournalTx, Json } from '../../journal/state/command-kind.ts'
import { readSchedule, scheduleKey, scheduleOfTask } from '../schedule/schedule-record.ts'
import { type Dependency, readTask, type TaskRecord, taskKey } from '../task-record.ts'
import { isFinal, type TaskStatus } from '../task-status.ts'
import type { ChangeOf, SubmittedTask } from './task-changes.ts'
import type { TaskLedger } from './task-ledger.ts'

export interface Submitted {
  readonly id: string
  /** It was submitted before, just so. */
  readonly known: boolean
  readonly status: TaskStatus
}

type Dependent = Pick<SubmittedTask, 'id'> & {
  readonly dependencies?: readonly Pick<Dependency, 'task_id'>[] | undefined
}

/** A way along dependencies that comes back to where it began. */
const findCycle = (tasks: readonly Dependent[]): readonly string[] | undefined => {
  const waitsFor = new Map(tasks.map(({ id, dependencies = [] }) => [id, dependencies.map(({ task_id }) => task_id)]))
  const done = new Set<string>()
  const visit = (id: string, way: readonly string[]): readonly string[] | undefined => {
    const at = way.indexOf(id)
    if (at >= 0) return [...way.slice(at), id]
    if (done.has(id)) return undefined
    for (const next of waitsFor.get(id) ?? []) {
      const found = visit(next, [...way, id])
      if (found !== undefined) return found
    }
    done.add(id)
    return undefined
  }
  for (const { id } of tasks) {
    const found = visit(id, [])
    if (found !== undefined) return found
  }
  return undefined
}

/** @throws MSG001 */
export const checkCycle = (tasks: readonly Dependent[]): void => {
  const cycle = findCycle(tasks)
  if (cycle === undefined) return
  throw new ParleyError('MSG001', `these tasks wait for each other: ${cycle.join(' → ')}`, {
    hint: 'leave out one of the dependencies',
    details: { cycle },
  })
}

const checkTwice = (tasks: readonly SubmittedTask[]): void => {
  const ids = tasks.map(({ id }) => id)
  const twice = ids.find((id, i) => ids.indexOf(id) !== i)
  if (twice === undefined) return
  throw new ParleyError('MSG001', `one submission has two tasks ${twice}`, {
    hint: 'give each of them an id of its own',
  })
}

/** What it still waits for. @throws STA001 for a task that nobody knows, STA003 `dependency` for one that ended otherwise */
const openDependencies = (
  ledger: TaskLedger,
  { id, dependencies = [] }: SubmittedTask,
  together: ReadonlySet<string>,
): Dependency[] =>
  dependencies.filter(({ task_id: on, condition }) => {
    if (together.has(on)) return true
    const status = ledger.find(on)?.status ?? ledger.done(on)?.record.status
    if (status === undefined)
      throw new ParleyError('STA001', `the task ${id} depends on ${on}, which is not known`, {
        hint: 'submit that one first, or both together',
        details: { task: id, dependency: on },
      })
    if (!isFinal(status)) return true
    if (condition === 'finished' || status === 'completed') return false
    throw stateError(
      'dependency',
      `the task ${id} depends on ${on}, which is ${status}`,
      'submit that one again first',
      {
        task: id,
        dependency: on,
        status,
      },
    )
  })

/**
 * By who submitted it; a child also by who has its parent by now: another attempt submits the same children. A voter of level 1
 * refuses that, and has to come to the same.
 */
const maySubmitAgain = (ledger: TaskLedger, { submitter, parent }: TaskRecord, task: SubmittedTask): boolean => {
  const { by } = ledger.facts
  if (submitter === by) return true
  return ledger.keepsHistories && parent !== undefined && parent === task.parent && ledger.find(parent)?.worker === by
}

/** One that was submitted before. @throws STA003 `exists` where that was another one */
const known = (ledger: TaskLedger, task: SubmittedTask): Submitted | undefined => {
  const { id, digest } = task
  const record = ledger.find(id) ?? ledger.done(id)?.record
  if (record === undefined) return undefined
  // What it was submitted with goes when it ends.
  const before = isFinal(record.status) ? undefined : ledger.input(id)?.digest
  if (maySubmitAgain(ledger, record, task) && (before === undefined || before === digest))
    return { id, known: true, status: record.status }
  throw stateError('exists', `there is a task ${id} already`, 'choose another id; leave it out for a new one', {
    task: id,
  })
}

/** How much larger a record may become than it was submitted. */
const GROWTH_BYTES = 400
/** Who a task of a plan goes to. */
const ASSIGNEE_BYTES = 144
/** What is used of a budget, and open. */
const BUDGET_BYTES = 224
/** What a record counts for its submitter. */
const sizeOfRecord = (record: Omit<TaskRecord, 'size'>): number =>
  JSON.stringify(record).length +
  GROWTH_BYTES +
  (record.plan === undefined ? 0 : ASSIGNEE_BYTES) +
  (record.budget === undefined ? 0 : BUDGET_BYTES)

export const newRecord = (
  ledger: TaskLedger,
  task: Omit<SubmittedTask, 'id' | 'input' | 'metadata' | 'digest'>,
  dependencies: readonly Dependency[],
  submitter: string,
): TaskRecord => {
  const { type, typeVersion, priority, deadline, requirements, parent, retry, attemptTimeoutMs, takeover } = task
  const { plan, budget } = task
  const { at } = ledger.facts
  const record: Omit<TaskRecord, 'size'> = {
    type,
    ...(typeVersion !== undefined && { typeVersion }),
    status: dependencies.length === 0 ? 'queued' : 'submitted',
    priority,
    submitter,
    ...(parent !== undefined && { parent }),
    ...(plan !== undefined && { plan }),
    submittedAt: at,
    changedAt: at,
    ...(deadline !== undefined && { deadline }),
    ...(requirements !== undefined && { requirements }),
    ...(dependencies.length > 0 && { dependencies: [...dependencies] }),
    retry,
    ...(attemptTimeoutMs !== undefined && { attemptTimeoutMs }),
    ...(takeover !== undefined && { takeover }),
    ...(budget !== undefined && { budget: { ...budget, used: {} } }),
    attempts: 0,
    failures: 0,
    losses: 0,
  }
  return { ...record, size: sizeOfRecord(record) }
}

/** Ids of tasks that a schedule begins are its owner's. @throws STA003 `exists` */
const checkSchedule = ({ tx, facts }: TaskLedger, id: string): void => {
  const schedule = scheduleOfTask(id)
  const owner = schedule === undefined ? undefined : readSchedule(tx.get(scheduleKey(schedule)))?.owner
  if (owner === undefined || owner === facts.by) return
  throw stateError('exists', `the id ${id} is one of the schedule ${schedule}`, 'choose another id', { task: id })
}

/** In the history of its parent, where it is the parent's submitter or its worker who says so. */
const noteChild = (ledger: TaskLedger, id: string, parent: string | undefined): void => {
  const record = parent === undefined ? undefined : ledger.find(parent)
  if (parent === undefined || record === undefined || isFinal(record.status)) return
  const { by } = ledger.facts
  if (record.submitter === by || record.worker === by) ledger.note(parent, record, 'd', id)
}

export const submitTasks = (ledger: TaskLedger, { tasks }: ChangeOf<'submit'>): readonly Submitted[] => {
  checkTwice(tasks)
  checkCycle(tasks)
  for (const { id } of tasks) checkSchedule(ledger, id)
  const before = tasks.map((task) => known(ledger, task))
  const fresh = tasks.filter((_, i) => before[i] === undefined)
  const together = new Set(fresh.map(({ id }) => id))
  const { by } = ledger.facts
  const records = fresh.map((task) => newRecord(ledger, task, openDependencies(ledger, task, together), by))
  ledger.room(records)
  if (fresh.length > 0) ledger.checkRows()
  for (const [i, { id, input, metadata, digest }] of fresh.entries()) {
    const record = records[i]
    if (record === undefined) continue
    ledger.add(id, record, { input, ...(metadata !== undefined && { metadata: metadata as Json }), digest })
    noteChild(ledger, id, record.parent)
  }
  return tasks.map(({ id }, i) => before[i] ?? { id, known: false, status: ledger.find(id)?.status ?? 'queued' })
}

/** The nearest open task whose id the id of this one begins with: its children are named so. */
export const openAbove = (
  get: JournalTx['get'],
  id: string,
): { readonly id: string; readonly record: TaskRecord } | undefined => {
  for (let end = id.lastIndexOf('.'); end > 0; end = id.lastIndexOf('.', end - 1)) {
    const above = id.slice(0, end)
    const record = readTask(get(taskKey(above)))
    if (record !== undefined && !isFinal(record.status)) return { id: above, record }
  }
  return undefined
}

/** Who has the schedule that is to begin a task whose id the id of this one begins with. */
const ownerAbove = (get: JournalTx['get'], id: string): string | undefined => {
  for (let end = id.indexOf('.'); end > 0; end = id.indexOf('.', end + 1)) {
    const schedule = scheduleOfTask(id.slice(0, end))
    const owner = schedule === undefined ? undefined : readSchedule(get(scheduleKey(schedule)))?.owner
    if (owner !== undefined) return owner
  }
  return undefined
}

const childOfOthers = (id: string): ParleyError =>
  new ParleyError('SEC002', `the task ${id} would be a child of a task of somebody else`, {
    hint: 'choose an id that does not begin with the id of a task of somebody else and a dot; name no parent',
    details: { task: id },
  })

/**
 * Children of an open task are of who works on it or submitted it, and of one that a schedule is to begin, of who made that:
 * nobody else takes their ids before them. Looked at where it enters the log, not when it is applied: logs of before this rule
 * have others. @throws SEC002
 */
export const admitTasks = (get: JournalTx['get'], { tasks }: ChangeOf<'submit'>, by: string): void => {
  for (const { id, parent } of tasks) {
    const named = parent === undefined ? undefined : readTask(get(taskKey(parent)))
    const over = openAbove(get, id)?.record
    for (const record of [over, named])
      if (record !== undefined && !isFinal(record.status) && record.submitter !== by && record.worker !== by)
        throw childOfOthers(id)
    const owner = over === undefined ? ownerAbove(get, id) : undefined
    if (owner !== undefined && owner !== by) throw childOfOthers(id)
  }
}
