/**
 * How changes of tasks are decided in a mesh of several versions: by the command that its voters know.
 *
 * State: when a voter did not know histories.
 */
import type { ChangeAnswer } from '../../journal/change-answers.ts'
import { type BatchedChanges, ChangeBatcher } from '../../journal/client/change-batcher.ts'
import type { Committed, Journal } from '../../journal/client/journal-client.ts'
import { isOfOlderVoters, needsNewer } from '../../journal/client/level-wait.ts'
import { isRefusedFor } from '../../journal/state/journal-machine.ts'
import type { Port } from '../../port.ts'
import { levelOfChange, MAX_CHANGES_AT_ONCE, type TaskChange } from '../journal/task-changes.ts'
import { changeTasks, decideTasks, directTasks, lendTasks, resolveTasks, spendTasks } from '../journal/task-kinds.ts'
import { TASKS_PART } from '../task-record.ts'

/** Milliseconds that a mesh may take until all of its voters are known to have tasks, and between tries. */
const LEVEL_MS = 30_000
const LEVEL_AGAIN_MS = 200
/** After that it is asked again whether all voters know histories. */
const OLDER_MS = 10_000

export type TaskBatcher = ChangeBatcher<TaskChange>

const rowsOf = (change: TaskChange): number => {
  if (change.do === 'submit')
    return change.tasks.reduce((sum, { dependencies = [] }) => sum + 5 + dependencies.length, 0)
  if (change.do === 'archive' || change.do === 'forget') return 2 * change.tasks.length
  return 6
}

class TaskDecisions implements BatchedChanges<TaskChange> {
  readonly of = 'tasks'
  readonly maxAtOnce = MAX_CHANGES_AT_ONCE
  readonly rowsOf = rowsOf
  readonly levelOf = levelOfChange
  readonly #journal: Pick<Journal, 'submit'>
  readonly #port: Pick<Port, 'timers' | 'clock'>
  /** By the monotonic clock. */
  #olderAt: number | undefined

  constructor(journal: Pick<Journal, 'submit'>, port: Pick<Port, 'timers' | 'clock'>) {
    this.#journal = journal
    this.#port = port
  }

  /** A mesh that has just begun does not take tasks until all voters are known to have them. */
  async submit(level: number, changes: TaskChange[]): Promise<Committed<ChangeAnswer[]>> {
    const { clock, timers } = this.#port
    for (const begun = clock.monotonic(); ; ) {
      const kind = this.#kind(level)
      try {
        return await this.#journal.submit(kind, { changes }, { isChecked: true })
      } catch (error) {
        // Another decision that was on its way may have found that out meanwhile.
        if (level === 1 && kind.name === decideTasks.name && isOfOlderVoters(error)) {
          // The same as they take it.
          this.#olderAt = clock.monotonic()
          continue
        }
        // What older voters do not take keeps nothing from being decided that they do.
        if (level > 1 && isOfOlderVoters(error)) throw needsNewer(TASKS_PART, changes[0]?.do ?? '', level)
        if (!isRefusedFor(error, 'level') || clock.monotonic() - begun >= LEVEL_MS) throw error
        this.#olderAt = undefined
        await new Promise<void>((resolve) => timers.after(LEVEL_AGAIN_MS, resolve))
      }
    }
  }

  #isOfOlder(): boolean {
    return this.#olderAt !== undefined && this.#port.clock.monotonic() - this.#olderAt < OLDER_MS
  }

  /** What fits the newer command, and is of level 1, fits the older one. */
  #kind(level: number): typeof lendTasks {
    if (level === 6) return lendTasks
    if (level === 5) return spendTasks as typeof lendTasks
    if (level === 4) return directTasks as typeof lendTasks
    if (level === 3) return resolveTasks as typeof lendTasks
    return (level === 1 && this.#isOfOlder() ? changeTasks : decideTasks) as typeof lendTasks
  }
}

export const createTaskBatcher = (
  journal: Pick<Journal, 'submit'>,
  port: Pick<Port, 'timers' | 'clock'>,
): TaskBatcher => new ChangeBatcher(new TaskDecisions(journal, port))
