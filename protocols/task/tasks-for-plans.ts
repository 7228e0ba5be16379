/** What plans (protocols/coordination/) use of tasks. Keeps no state. */

import type { SubmitTask, TaskHandle, TaskWaitOptions } from './client/task-api.ts'
import type { TaskBatcher } from './client/task-decisions.ts'
import type { ChangeOf } from './journal/task-changes.ts'

/** What a node works on. */
export interface AgentWork {
  readonly offers: readonly { readonly type: string; readonly slots: number }[]
  /** Ids of tasks that it has in work. */
  readonly tasks: readonly string[]
  readonly isDraining: boolean
}

interface Ending {
  readonly signal: AbortSignal
}

export interface PlanTasks {
  submitAll(tasks: readonly SubmitTask[], options?: TaskWaitOptions): Promise<TaskHandle[]>
  get(id: string): TaskHandle
  /**
   * As the coordinator: a task that is held for a plan goes to this agent, and to no other; without one it is held; `free`: it is
   * an ordinary task from then on. @throws STA001; STA003 `task-status` for one that is in work; SEC002, STA002
   */
  steer(change: Omit<ChangeOf<'steer'>, 'do'>, ending: Ending): Promise<void>
  /** As the coordinator. @throws STA001, STA003 `ended`; SEC002, STA002 */
  cancel(change: Omit<ChangeOf<'cancel'>, 'do' | 'asker'>, ending: Ending): Promise<void>
  /** What this node works on. */
  work(): AgentWork
}

export const tasksForPlans = (
  tasks: Pick<PlanTasks, 'submitAll' | 'get' | 'work'>,
  batcher: Pick<TaskBatcher, 'decide'>,
): PlanTasks => ({
  ...tasks,
  async steer(change, ending) {
    await batcher.decide({ do: 'steer', ...change }, ending)
  },
  async cancel(change, ending) {
    await batcher.decide({ do: 'cancel', ...change }, ending)
  },
})
