/**
 * Budgets of tasks (docs/tasks.md): what an attempt draws counts as spent until it gives some of it back. What an attempt drew that
 * is lost stays spent, so that the next one has only the rest. At each decision what is used is no more than the task has. Pure.
 */
import { type Amounts, atMost, less, limitedBy, NO_AMOUNTS, requireLeft, sum } from '../../budget/amounts.ts'
import { ParleyError } from '../../errors.ts'
import { runningTask, workingTask } from './attempt-changes.ts'
import { letGoOf } from './child-budgets.ts'
import type { ChangeOf } from './task-changes.ts'
import type { TaskLedger } from './task-ledger.ts'

export interface DrawnOfTask {
  /** All that counts as spent of the task's budget. */
  readonly used: Amounts
}

const hasNone = (id: string): ParleyError =>
  new ParleyError('MSG001', `the task ${id} has no budget`, {
    hint: 'nothing that it uses up is limited: draw nothing',
  })

/** Of a draw that is not the next one of its attempt. */
export const outOfOrder = (id: string, number: number, draws: number): ParleyError =>
  new ParleyError('MSG001', `the attempt at the task ${id} has made ${draws} draws, and not ${number - 1}`, {
    hint: 'number the draws of an attempt one after the other, from 1',
  })

/** @throws COM003 `budget-exhausted`; MSG001; STA002 */
export const drawBudget = (ledger: TaskLedger, change: ChangeOf<'draw'>): DrawnOfTask => {
  const { id, number, amounts, back = NO_AMOUNTS, children = [] } = change
  const record = workingTask(ledger, change)
  const { budget } = record
  if (budget === undefined) throw hasNone(id)
  const { draws = 0, open = NO_AMOUNTS } = budget
  if (number === draws) return { used: budget.used }
  if (number !== draws + 1) throw outOfOrder(id, number, draws)
  const returned = atMost(limitedBy(open, back), open)
  const { open: own, left, mark } = letGoOf(ledger, { id, record, open: less(open, returned) }, children)
  const before = less(less(budget.used, returned), left)
  requireLeft(`the task ${id}`, less(budget.amounts, before), amounts)
  const used = sum(before, amounts)
  ledger.change(id, runningTask(ledger, id, record), {
    budget: { ...budget, used, open: sum(own, amounts), draws: number },
  })
  mark()
  return { used }
}
