/** What plans (protocols/coordination/) use of tasks. */

import { ParleyError } from '../errors.ts'
import type { Decided } from '../journal/client/change-batcher.ts'
import { createRegistration, type Registration } from '../registration.ts'
import type { SubmitTask, TaskHandle, TaskWaitOptions } from './client/task-api.ts'
import type { TaskBatcher } from './client/task-decisions.ts'
import type { ChangeOf, TaskChange } from './journal/task-changes.ts'
import type { TaskAnnouncer } from './scheduler/task-announcer.ts'
import type { AttemptCount } from './worker/attempt-deps.ts'
import type { ProgressReport } from './worker/task-context.ts'

/** What a node works on. */
export interface AgentWork {
  readonly offers: readonly { readonly type: string; readonly slots: number }[]
  /** Ids of tasks that it has in work. */
  readonly tasks: readonly string[]
  readonly isDraining: boolean
}

/** An attempt draws of the budget of its task's plan. @throws COM003 `budget-exhausted`; STA002, STA003 `ended` */
export type DrawOfPlan = (plan: string, draw: ChangeOf<'draw'>) => Promise<Decided>

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
  /** Told of each attempt of this node as it gets on, and how it ended. */
  onAttempt(fn: (news: AttemptNews) => void): Registration
  /** Who has draws of plans decided. */
  onDraw(draw: DrawOfPlan): Registration
}

export interface AttemptNews {
  /** Id of the task. */
  readonly task: string
  readonly status: 'in_progress' | 'completed' | 'failed'
  /** 0 to 1. */
  readonly fraction: number
}

const ENDINGS: ReadonlySet<AttemptCount> = new Set(['completed', 'failed'])

const noPlansYet: DrawOfPlan = async () => {
  throw new ParleyError('COM002', 'this node has no plans now', { hint: 'try again once it has started' })
}

/**
 * Hears of attempts, for who counts them, who tells of them by events, and who wants to know; and of what they draw of plans.
 * State: who wants to.
 */
export const hearAttempts = (
  announcer: Pick<TaskAnnouncer, 'progress'>,
  counts: Record<AttemptCount, number>,
  batcher: Pick<TaskBatcher, 'decide'>,
) => {
  const listeners = new Set<(news: AttemptNews) => void>()
  const tell = (news: AttemptNews): void => {
    for (const fn of [...listeners]) fn(news)
  }
  let drawOfPlan = noPlansYet
  return {
    onDraw(draw: DrawOfPlan): Registration {
      drawOfPlan = draw
      return createRegistration(() => {
        drawOfPlan = noPlansYet
      })
    },
    onAttempt(fn: (news: AttemptNews) => void): Registration {
      listeners.add(fn)
      return createRegistration(() => listeners.delete(fn))
    },
    heard: {
      decide: (change: TaskChange, plan?: string): Promise<Decided> =>
        plan !== undefined && change.do === 'draw' ? drawOfPlan(plan, change) : batcher.decide(change),
      progress(task: string, fraction: number, report: ProgressReport): void {
        announcer.progress(task, fraction, report)
        tell({ task, status: 'in_progress', fraction })
      },
      count(what: AttemptCount, task?: string): void {
        counts[what] += 1
        if (task === undefined || !ENDINGS.has(what)) return
        tell({ task, status: what === 'completed' ? 'completed' : 'failed', fraction: what === 'completed' ? 1 : 0 })
      },
    },
  }
}

export const tasksForPlans = (
  tasks: Omit<PlanTasks, 'steer' | 'cancel'>,
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
