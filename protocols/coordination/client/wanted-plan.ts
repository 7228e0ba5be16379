/** A plan as a program wants it, checked. Pure, but for new ids. */
import { checkedInput } from '../../checked-input.ts'
import type { Port } from '../../port.ts'
import { newAllocationId } from '../../resource/resource-record.ts'
import { newTaskId } from '../../task/client/submitted-task.ts'
import type { SubmitTask } from '../../task/client/task-api.ts'
import { checkKeys, keysOf } from '../../unknown-keys.ts'
import type { MakePlan } from '../api.ts'
import { type Goal, GoalSchema, PlanId } from '../plan-record.ts'

const MAX_FAILURES = 16
const KEYS = keysOf<MakePlan>({
  ...{ id: true, goal: true, tasks: true, generator: true, weights: true, zone: true, maxFailures: true },
  ...{ signal: true, timeoutMs: true },
})

export interface WantedPlan {
  readonly id: string
  readonly goal: Goal
  readonly tasks: readonly SubmitTask[]
}

/** @throws MSG001 */
export const wantedPlan = (port: Pick<Port, 'clock' | 'random'>, what: MakePlan): WantedPlan => {
  checkKeys(what, KEYS, 'a plan')
  const { id = newAllocationId(port), goal, generator, weights, zone, maxFailures = MAX_FAILURES } = what
  const plan = checkedInput(PlanId, id, 'a plan cannot be called so')
  const tasks = what.tasks.map((task): SubmitTask => ({ ...task, id: task.id ?? newTaskId(port), plan }))
  const wanted = {
    ...{ goal, tasks: tasks.map((task) => task.id), maxFailures },
    ...(generator !== undefined && { generator }),
    ...(weights !== undefined && { weights }),
    ...(zone !== undefined && { zone }),
  }
  return { id: plan, goal: checkedInput(GoalSchema, wanted, 'such a plan cannot be made'), tasks }
}
