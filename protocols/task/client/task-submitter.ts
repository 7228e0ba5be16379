/**
 * Submits tasks: checks them, has large inputs held, asks for the decision, and tracks what comes of it; and what one that failed
 * is submitted with once more. State: parts of budgets that went with them.
 */
import { ParleyError, stateError } from '../../errors.ts'
import type { Json } from '../../journal/state/command-kind.ts'
import type { Port } from '../../port.ts'
import { PRIORITIES } from '../../wire/envelope.ts'
import type { BytesTransfers } from '../bytes/bytes-transfers.ts'
import type { TaskValue } from '../bytes/stored-bytes.ts'
import type { Submitted } from '../journal/submit-tasks.ts'
import { MAX_TOGETHER, type SubmittedTask } from '../journal/task-changes.ts'
import { INPUT_ROW, TaskId } from '../task-record.ts'
import { isFinal } from '../task-status.ts'
import { newTaskId, submittedTask } from './submitted-task.ts'
import type { SubmitTask, TaskWaitOptions } from './task-api.ts'
import type { TaskBatcher } from './task-decisions.ts'
import type { TaskReader } from './task-reader.ts'
import { TaskShares } from './task-shares.ts'
import type { TaskTrackers, Tracker } from './task-trackers.ts'
import { limitedWait, nobodyDecides, SUBMIT_MS } from './wait-limit.ts'
import { type SharesCounts, WatchedShares } from './watched-shares.ts'

export interface SubmitterDeps {
  readonly port: Pick<Port, 'clock' | 'timers' | 'random' | 'hash'>
  readonly batcher: Pick<TaskBatcher, 'decide'>
  readonly trackers: Pick<TaskTrackers, 'track' | 'confirm' | 'untrack' | 'watch'>
  readonly values: Pick<BytesTransfers, 'store'>
  /** Milliseconds that what final tasks left is kept. */
  readonly retainMs: number
  /** Resolves once this node hears of what it submits. */
  live(signal: AbortSignal | undefined): Promise<void>
}

export interface AcceptedTask extends Submitted {
  /** Undefined: it was submitted before, perhaps by another node. */
  readonly tracker: Tracker | undefined
}

export class TaskSubmitter {
  readonly #deps: SubmitterDeps
  readonly #watched: WatchedShares

  constructor(deps: SubmitterDeps) {
    this.#deps = deps
    this.#watched = new WatchedShares(deps.trackers, deps.retainMs)
  }

  budgets(): SharesCounts {
    return this.#watched.counts()
  }

  /** What it leaves of its budget does not come back here. @returns whether it might have */
  letGo(id: string): boolean {
    return this.#watched.letGo(id)
  }

  /** All of them, or none. */
  async submit(given: readonly SubmitTask[], options: TaskWaitOptions): Promise<AcceptedTask[]> {
    const { port, live } = this.#deps
    if (given.length === 0 || given.length > MAX_TOGETHER)
      throw new ParleyError('MSG001', `${given.length} tasks cannot be submitted together`, {
        hint: `use 1 to ${MAX_TOGETHER}; tasks that depend on known ones can be submitted later`,
      })
    const { timeoutMs = SUBMIT_MS } = options
    const { signal, stop } = limitedWait(port, { ...options, timeoutMs }, () => nobodyDecides(timeoutMs))
    const shares = new TaskShares(port.clock, this.#watched, timeoutMs)
    try {
      const tasks: SubmittedTask[] = []
      for (const task of given) tasks.push(await this.#prepare(task, shares, signal))
      // So that their ends are heard, however soon they come.
      await live(signal)
      shares.sent()
      const accepted = await this.#decide(tasks, signal)
      shares.accepted(accepted)
      return accepted
    } catch (error) {
      shares.failed(error, signal)
      throw error
    } finally {
      stop()
    }
  }

  /** @throws MSG001, STA003 `no-holder` */
  async #prepare(
    { budget: share, ...wanted }: SubmitTask,
    shares: TaskShares,
    signal: AbortSignal | undefined,
  ): Promise<SubmittedTask> {
    const { port, values } = this.#deps
    const { id = newTaskId(port), input = null } = wanted
    const { budget, deadline } = shares.give(id, share, wanted.deadline)
    const given = { ...wanted, ...(deadline !== undefined && { deadline }) }
    // Everything else is right before bytes go anywhere.
    submittedTask(port, { ...given, id, input: null }, budget)
    const task = TaskId.parse(id)
    const row = await values.store('the input', input, { task, row: INPUT_ROW }, signal)
    return submittedTask(port, { ...given, id, input: row }, budget)
  }

  async #decide(tasks: readonly SubmittedTask[], signal: AbortSignal | undefined): Promise<AcceptedTask[]> {
    const { batcher, trackers } = this.#deps
    const tracked = tasks.map(({ id }) => trackers.track(id))
    try {
      const { result } = await batcher.decide({ do: 'submit', tasks: [...tasks] }, { signal })
      const submitted = result as unknown as readonly Submitted[]
      for (const { id, known } of submitted)
        if (known) trackers.untrack(id)
        else trackers.confirm(id)
      return submitted.map((one, i) => ({ ...one, tracker: one.known ? undefined : tracked[i] }))
    } catch (error) {
      for (const { id } of tasks) trackers.untrack(id)
      throw error
    }
  }
}

/**
 * @param load the value of what stands in the journal @param as id of the new one
 * @throws STA001; STA003 `not-failed`, `input-gone`; of a large input what loading it throws
 */
export const failedTask = async (
  reader: Pick<TaskReader, 'read' | 'done'>,
  load: (row: Json) => Promise<TaskValue>,
  id: string,
  { as, signal }: { readonly as: string | undefined; readonly signal: AbortSignal | undefined },
): Promise<SubmitTask> => {
  const { status } = await reader.read(id, signal)
  if (!isFinal(status) || status === 'completed')
    throw stateError(
      'not-failed',
      `the task ${id} is ${status}, and is not submitted again`,
      status === 'completed' ? 'read its result; submit another task' : 'cancel it first, or wait for its end',
      { task: id, status },
    )
  const { record, metadata, input } = await reader.done(id, signal)
  if (record.budget !== undefined)
    throw new ParleyError('MSG001', `the task ${id} had a budget, which is not given anew by itself`, {
      hint: 'submit a new task with its input and a budget',
    })
  if (input === undefined)
    throw stateError(
      'input-gone',
      `what the task ${id} was submitted with is not there any more`,
      'it ended under an older version: submit a new task with its input',
      { task: id },
    )
  const { type, typeVersion, priority, requirements, retry, attemptTimeoutMs, takeover } = record
  return {
    ...{ type, input: await load(input), priority: PRIORITIES[priority] ?? 'normal', retry },
    ...(as !== undefined && { id: as }),
    ...(typeVersion !== undefined && { typeVersion }),
    ...(metadata !== undefined && { metadata }),
    ...(requirements !== undefined && { requirements }),
    ...(attemptTimeoutMs !== undefined && { attemptTimeoutMs }),
    ...(takeover !== undefined && { takeover }),
  }
}
