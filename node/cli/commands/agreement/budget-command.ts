/** `parley budget`: what work may use up, and who has how much of it, as a running node reads it. */
import { type BudgetShown, BudgetsShownSchema, BudgetTreeShownSchema } from '../../../control/budget-schemas.ts'
import { amountsText } from '../../input/option-values.ts'
import { print } from '../../output/print.ts'
import { shownId, table, tableWidth } from '../../output/table.ts'
import { agoOf, controlOf, GRACE_MS, type TasksCommandOptions } from './tasks-command.ts'

interface BudgetOptions extends TasksCommandOptions {
  readonly wide?: boolean
}

const COLUMNS = [
  'budget!',
  'status',
  'for',
  'holder',
  'spent',
  'drawn',
  'lent',
  'left',
  'above',
  'limits',
  'reason',
] as const

/** As in `by 2026-01-02T03:04:05.000Z, passed on 3 times`. */
const limitsText = ({ limits: { deadlineAt, depth } }: BudgetShown): string => {
  const named = [
    ...(deadlineAt === undefined ? [] : [`by ${new Date(deadlineAt).toISOString()}`]),
    ...(depth === undefined ? [] : [`passed on ${depth} times`]),
  ]
  return named.length === 0 ? '-' : named.join(', ')
}

const rowOf = (one: BudgetShown, nowMs: number, wide: boolean | undefined, name = one.id): string[] => [
  ...[name, one.status, agoOf(one.changedAt, nowMs), shownId(one.holder, wide)],
  ...[one.spent, one.drawn, one.lent, one.free, one.overspent].map(amountsText),
  limitsText(one),
  one.reason ?? '',
]

export const listBudgets = async (options: BudgetOptions): Promise<void> => {
  const control = await controlOf(options)
  const { timeout: timeoutMs, json, wide } = options
  const { budgets } = await control.ask('POST', '/api/budgets/list', BudgetsShownSchema, {
    body: { timeoutMs },
    timeoutMs: timeoutMs + GRACE_MS,
  })
  if (json === true) return print(JSON.stringify(budgets))
  if (budgets.length === 0) return print('there are no budgets')
  const nowMs = Date.now()
  const rows = budgets.map((one) => rowOf(one, nowMs, wide))
  print(table([...COLUMNS], rows, tableWidth(wide)))
}

export const showBudgetTree = async (id: string, options: BudgetOptions): Promise<void> => {
  const control = await controlOf(options)
  const { timeout: timeoutMs, json, wide } = options
  const { budgets } = await control.ask('POST', '/api/budgets/tree', BudgetTreeShownSchema, {
    body: { timeoutMs, id },
    timeoutMs: timeoutMs + GRACE_MS,
  })
  if (json === true) return print(JSON.stringify(budgets))
  const nowMs = Date.now()
  const rows = budgets.map((one) => rowOf(one, nowMs, wide, `${'  '.repeat(one.depth)}${one.id}`))
  print(table([...COLUMNS], rows, tableWidth(wide)))
}
