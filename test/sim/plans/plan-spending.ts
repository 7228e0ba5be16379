/**
 * What tasks of simulated plans draw of what their plan has, and spend, by what they say themselves. State: that, and the slices
 * that the parts of plans came from.
 */

import { Slice } from '../../../protocols/budget/slice.ts'
import type { MakePlan } from '../../../protocols/coordination/api.ts'
import type { PlanRecord } from '../../../protocols/coordination/plan-record.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import type { TaskRecord } from '../../../protocols/task/task-record.ts'
import type { TaskContext } from '../../../protocols/task/worker/task-context.ts'
import type { PlanNode } from './nodes.ts'

const SHARE = 0.5
/** Tokens of a slice, and of the plan that gets a part of it: all that its tasks ask for may be more. */
const ROOT = 100
const PART = 40
const MOST_DRAWN = 16

interface Spender {
  readonly maker: PlanNode
  readonly slice: Slice
  spent: number
}

export class PlanSpending {
  readonly counts = { paid: 0, draws: 0, exhausted: 0, exact: 0, back: 0 }
  readonly #random: () => number
  readonly #plans = new Map<string, Spender>()

  constructor(random: () => number) {
    this.#random = random
  }

  /** What goes with a plan: some have a budget. */
  give(id: string, maker: PlanNode): Pick<MakePlan, 'budget'> {
    if (this.#random() >= SHARE) return {}
    const slice = new Slice({ amounts: { tokens: ROOT } })
    this.#plans.set(id, { maker, slice, spent: 0 })
    this.counts.paid += 1
    return { budget: { of: slice, amounts: { tokens: PART } } }
  }

  /** An attempt at a task of a plan draws twice, and spends some of that. @throws what a draw is refused with, but for too little */
  async spend(task: string, { budget, draw }: Pick<TaskContext, 'budget' | 'draw'>): Promise<void> {
    const plan = this.#plans.get(task.slice(0, task.indexOf('-')))
    if (plan === undefined || budget === undefined) return
    for (let i = 0; i < 2; i += 1) {
      try {
        await draw({ tokens: 1 + Math.floor(this.#random() * MOST_DRAWN) })
        this.counts.draws += 1
      } catch (error) {
        if (!isParleyError(error, 'COM003') || error.details.reason !== 'budget-exhausted') throw error
        this.counts.exhausted += 1
      }
      const spent = Math.floor(this.#random() * ((budget.remaining().tokens ?? 0) + 1))
      budget.spend({ tokens: spent })
      plan.spent += spent
    }
  }

  /**
   * @param record of a plan that is over
   * @param tasks what is known of each of its tasks
   * @param isSameMaker whether the process that made it is still there
   * @returns what is wrong with what was used of it
   */
  wrong(
    id: string,
    { budget }: PlanRecord,
    tasks: readonly (TaskRecord | undefined)[],
    isSameMaker: (maker: PlanNode) => boolean,
  ): string | undefined {
    const plan = this.#plans.get(id)
    if (plan === undefined) return budget === undefined ? undefined : `${id} has a budget that nobody gave it`
    const { spent, slice, maker } = plan
    // Of a plan that ended before anything was drawn no amount is named.
    const used = budget?.used === undefined ? -1 : (budget.used.tokens ?? 0)
    if (used < spent || used > PART) return `${id} used ${used} of ${PART} tokens, and its tasks spent ${spent}`
    // No attempt was lost: each gave back what it had left.
    if (tasks.every((task) => task?.status === 'completed' && task.attempts === 1)) {
      this.counts.exact += 1
      if (used !== spent) return `${id} used ${used} tokens, and no attempt was lost that spent more than ${spent}`
    }
    if (!isSameMaker(maker) || maker.plans.counts().writtenOff > 0) return undefined
    this.counts.back += 1
    const left = slice.remaining().tokens
    return left === ROOT - used ? undefined : `${id} used ${used} tokens, and ${left} of ${ROOT} are left`
  }
}
