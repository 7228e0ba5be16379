/** `parley plan`: plans, and what becomes of one, as a running node reads them. */
import type * as z from 'zod'
import { PlanShownSchema, PlansShownSchema } from '../../../control/plan-schemas.ts'
import { amountsText } from '../../input/option-values.ts'
import { readJsonInput } from '../../input/stdin.ts'
import { print } from '../../output/print.ts'
import { shownId, table, tableWidth } from '../../output/table.ts'
import { agoOf, controlOf, GRACE_MS, type TasksCommandOptions } from './tasks-command.ts'

interface PlanOptions extends TasksCommandOptions {
  readonly wide?: boolean
}
interface CancelOptions extends PlanOptions {
  readonly reason?: string
}
type Plan = z.output<typeof PlanShownSchema>

export const listPlans = async (options: PlanOptions): Promise<void> => {
  const control = await controlOf(options)
  const { timeout: timeoutMs, json, wide } = options
  const { plans } = await control.ask('POST', '/api/plans/list', PlansShownSchema, {
    body: { timeoutMs },
    timeoutMs: timeoutMs + GRACE_MS,
  })
  if (json === true) return print(JSON.stringify(plans))
  if (plans.length === 0) return print('there is no plan, and none was over within the last hour')
  const nowMs = Date.now()
  const rows = plans.map(({ id, state, outcome, changedAt, goal, tasks, assignments, revision, reason = '' }) => [
    ...[id, outcome ?? state, agoOf(changedAt, nowMs), String(tasks.length)],
    ...[String(new Set(assignments.map(({ agent }) => agent)).size), String(revision), goal, reason],
  ])
  print(table(['plan!', 'state', 'for', 'tasks', 'agents', 'revision', 'goal', 'reason'], rows, tableWidth(wide)))
}

const printPlan = (plan: Plan, wide: boolean | undefined): void => {
  const { id, goal, state, outcome, reason, owner, revision, failures, moves, assignments, offline, budget } = plan
  print(`${id}: ${goal}`)
  const why = reason === undefined ? '' : ` (${reason})`
  print(`${outcome ?? state}${why}, revision ${revision}, ${failures} failures, of ${shownId(owner, wide)}`)
  if (budget !== undefined)
    print(
      `budget: ${amountsText(budget.used)} used of ${amountsText(budget.amounts)}, ${amountsText(budget.left)} left`,
    )
  if (offline.length > 0) print(`marked offline: ${offline.map((agent) => shownId(agent, wide)).join(', ')}`)
  const nowMs = Date.now()
  const moved = moves.map((move) => [
    ...[`${agoOf(move.at, nowMs)} ago`, move.trigger, move.state, String(move.epoch), move.reason ?? ''],
  ])
  if (moved.length > 0) print(table(['when', 'trigger!', 'state', 'epoch', 'reason'], moved, tableWidth(wide)))
  const rows = assignments.map(({ task, agent, directive }) => [task, shownId(agent, wide), shownId(directive, wide)])
  if (rows.length > 0) print(table(['task!', 'agent', 'directive'], rows, tableWidth(wide)))
}

export const makePlan = async (
  goal: string,
  type: string,
  texts: readonly string[],
  options: PlanOptions & { readonly id?: string },
): Promise<void> => {
  const control = await controlOf(options)
  const { timeout: timeoutMs, json, wide, id } = options
  const inputs = await Promise.all(texts.map((text) => readJsonInput(text)))
  const plan = await control.ask('POST', '/api/plans/make', PlanShownSchema, {
    body: { goal, type, inputs, timeoutMs, ...(id !== undefined && { id }) },
    timeoutMs: timeoutMs + GRACE_MS,
  })
  if (json === true) return print(JSON.stringify(plan))
  printPlan(plan, wide)
}

export const showPlan = async (id: string, options: PlanOptions): Promise<void> => {
  const control = await controlOf(options)
  const { timeout: timeoutMs, json, wide } = options
  const plan = await control.ask('POST', '/api/plans/show', PlanShownSchema, {
    body: { id, timeoutMs },
    timeoutMs: timeoutMs + GRACE_MS,
  })
  if (json === true) return print(JSON.stringify(plan))
  printPlan(plan, wide)
}

export const cancelPlan = async (id: string, options: CancelOptions): Promise<void> => {
  const control = await controlOf(options)
  const { timeout: timeoutMs, json, reason } = options
  const plan = await control.ask('POST', '/api/plans/cancel', PlanShownSchema, {
    body: { id, timeoutMs, ...(reason !== undefined && { reason }) },
    timeoutMs: timeoutMs + GRACE_MS,
  })
  print(json === true ? JSON.stringify(plan) : `the plan ${id} is canceled`)
}
