/** Submits tasks: checks them, has large inputs held, asks for the decision, and tracks what comes of it. Keeps no state. */
import { ParleyError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import type { BytesTransfers } from '../bytes/bytes-transfers.ts'
import type { Submitted } from '../journal/submit-tasks.ts'
import { MAX_TOGETHER, type SubmittedTask } from '../journal/task-changes.ts'
import { INPUT_ROW, TaskId } from '../task-record.ts'
import type { ChangeBatcher } from './change-batcher.ts'
import { newTaskId, submittedTask } from './submitted-task.ts'
import type { SubmitTask, TaskWaitOptions } from './task-api.ts'
import type { TaskTrackers, Tracker } from './task-trackers.ts'
import { limitedWait, nobodyDecides, SUBMIT_MS } from './wait-limit.ts'

export interface SubmitterDeps {
  readonly port: Pick<Port, 'clock' | 'timers' | 'random' | 'hash'>
  readonly batcher: Pick<ChangeBatcher, 'decide'>
  readonly trackers: Pick<TaskTrackers, 'track' | 'confirm' | 'untrack'>
  readonly values: Pick<BytesTransfers, 'store'>
  /** Resolves once this node hears of what it submits. */
  live(signal: AbortSignal | undefined): Promise<void>
}

export interface Accepted extends Submitted {
  /** Undefined: it was submitted before, perhaps by another node. */
  readonly tracker: Tracker | undefined
}

export class TaskSubmitter {
  readonly #deps: SubmitterDeps

  constructor(deps: SubmitterDeps) {
    this.#deps = deps
  }

  /** All of them, or none. */
  async submit(given: readonly SubmitTask[], options: TaskWaitOptions): Promise<Accepted[]> {
    const { port, live } = this.#deps
    if (given.length === 0 || given.length > MAX_TOGETHER)
      throw new ParleyError('MSG001', `${given.length} tasks cannot be submitted together`, {
        hint: `use 1 to ${MAX_TOGETHER}; tasks that depend on known ones can be submitted later`,
      })
    const { timeoutMs = SUBMIT_MS } = options
    const { signal, stop } = limitedWait(port, { ...options, timeoutMs }, () => nobodyDecides(timeoutMs))
    try {
      const tasks: SubmittedTask[] = []
      for (const task of given) tasks.push(await this.#prepare(task, signal))
      // So that their ends are heard, however soon they come.
      await live(signal)
      return await this.#decide(tasks, signal)
    } finally {
      stop()
    }
  }

  /** @throws MSG001, STA003 `no-holder` */
  async #prepare(given: SubmitTask, signal: AbortSignal | undefined): Promise<SubmittedTask> {
    const { port, values } = this.#deps
    const { id = newTaskId(port), input = null } = given
    // Everything else is right before bytes go anywhere.
    submittedTask(port, { ...given, id, input: null })
    const task = TaskId.parse(id)
    const row = await values.store('the input', input, { task, row: INPUT_ROW }, signal)
    return submittedTask(port, { ...given, id, input: row })
  }

  async #decide(tasks: readonly SubmittedTask[], signal: AbortSignal | undefined): Promise<Accepted[]> {
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
