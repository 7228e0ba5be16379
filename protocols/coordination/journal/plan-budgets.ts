/**
 * Budgets of plans (docs/budgets.md): all tasks of a plan draw of one amount. What an attempt draws counts as spent until it gives
 * some of it back; what an attempt drew that is lost stays spent. At each decision what is used is no more than the plan has. Pure.
 */
import { type Amounts, atMost, less, limitedBy, NO_AMOUNTS, requireLeft, sum } from '../../budget/amounts.ts'
import { ParleyError } from '../../errors.ts'
import { compareFences } from '../../journal/fencing/fence.ts'
import { outOfOrder } from '../../task/journal/task-budgets.ts'
import { readTask, type TaskRecord, taskKey } from '../../task/task-record.ts'
import { isFinal } from '../../task/task-status.ts'
import type { PlanRecord } from '../plan-record.ts'
import type { PlanChangeOf } from './plan-changes.ts'
import type { PlanLedger } from './plan-ledger.ts'

export interface DrawnOfPlan {
  /** All that counts as spent of the plan's budget. */
  readonly used: Amounts
}

const notInWork = (task: string): ParleyError =>
  new ParleyError('STA002', `the task ${task} is not this attempt's any more`, {
    hint: 'end the work: another attempt goes on from the last checkpoint, or the task has ended',
    details: { task },
  })

const ofOthers = (id: string, task: string): ParleyError =>
  new ParleyError('SEC002', `the task ${task} is none that draws of the plan ${id}`, {
    hint: 'only tasks that were submitted with the plan draw of its budget',
    details: { plan: id, task },
  })

/** Children of an open task are of who works on it: nobody else could take their ids. */
const isChild = (task: string, { parent }: TaskRecord): boolean => parent !== undefined && task.startsWith(`${parent}.`)

/** The task of an attempt, which is the plan's own: it is not one that somebody else submitted under its id. @throws SEC002, STA002 */
const checkAttempt = (ledger: PlanLedger, plan: PlanRecord, { id, task, fence }: PlanChangeOf<'draw'>): void => {
  const record = readTask(ledger.tx.get(taskKey(task)))
  const isIts = record !== undefined && record.worker === ledger.facts.by && !isFinal(record.status)
  if (!isIts || record.fence === undefined || compareFences(fence, record.fence) !== 0) throw notInWork(task)
  const isOfPlan = record.plan === id && plan.tasks.includes(task)
  if (!isOfPlan || !(record.submitter === plan.owner || isChild(task, record))) throw ofOthers(id, task)
}

/** @throws COM003 `budget-exhausted`; MSG001; SEC002; STA001; STA002; STA003 `ended` */
export const drawOfPlan = (ledger: PlanLedger, change: PlanChangeOf<'draw'>): DrawnOfPlan => {
  const { id, task, fence, number, amounts: asked, back = NO_AMOUNTS } = change
  const plan = ledger.open(id)
  checkAttempt(ledger, plan, change)
  // Of a plan without a budget a task that has nothing has nothing.
  const { amounts } = plan.budget ?? { amounts: less(asked, asked) }
  const { used, tasks } = ledger.budget(id)
  const last = tasks.find((one) => one.task === task && compareFences(one.fence, fence) === 0)
  const { draws, open } = last ?? { draws: 0, open: NO_AMOUNTS }
  if (number === draws) return { used }
  if (number !== draws + 1) throw outOfOrder(task, number, draws)
  const returned = atMost(limitedBy(open, back), open)
  const before = less(used, returned)
  const drawn = limitedBy(amounts, asked)
  requireLeft(`the plan ${id}`, less(amounts, before), drawn)
  const now = sum(before, drawn)
  const others = tasks.filter((one) => one.task !== task)
  if (plan.budget !== undefined)
    ledger.putBudget(id, {
      used: now,
      tasks: [...others, { task, fence, draws: number, open: sum(less(open, returned), drawn) }],
    })
  return { used: now }
}
