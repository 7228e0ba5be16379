/** What a node counts of budgets. */
import type { BatcherCounts } from '../journal/client/change-batcher.ts'
import type { FigureSpec } from '../part.ts'
import type { BudgetsCounts } from './api.ts'
import type { KeeperCounts } from './keeper/budget-keeper.ts'

export const BUDGET_FIGURES = {
  holders: { kind: 'gauge', help: 'Nodes that hold budgets, where this node coordinates' },
  open: { kind: 'gauge', help: 'Budgets that are not closed, where this node coordinates' },
  held: { kind: 'gauge', help: 'Budgets that this node holds and uses' },
  draws: { kind: 'gauge', help: 'Draws of this node that are not settled' },
  feeds: { kind: 'gauge', help: 'Nodes that follow their budgets here' },
  expired_total: { kind: 'counter', help: 'Budgets that this node ended since it coordinates' },
  overspent_total: { kind: 'counter', help: 'Draws of this node that came to more than was drawn' },
  written_off_total: { kind: 'counter', help: 'Draws of this node without a receipt: they count as spent' },
  dropped_loans_total: { kind: 'counter', help: 'Loans to this node that its program was not told of: too many' },
  changes_total: { kind: 'counter', help: 'Changes of budgets that were decided for this node' },
  changes_refused_total: { kind: 'counter', help: 'Changes of budgets that were refused to this node' },
  decisions_total: { kind: 'counter', help: 'Decisions of the journal that these took' },
} as const satisfies Readonly<Record<string, FigureSpec>>
export type BudgetFigures = { readonly [K in keyof typeof BUDGET_FIGURES]: number }

export interface CountedBudgets {
  /** Undefined: this node does not coordinate. */
  readonly keeper: KeeperCounts | undefined
  readonly feeds: number
  readonly decided: Pick<BatcherCounts, 'changes' | 'decisions' | 'refused'>
  readonly own: BudgetsCounts
}

export const budgetFigures = ({ keeper, feeds, decided, own }: CountedBudgets): BudgetFigures => ({
  ...{ holders: keeper?.holders ?? 0, open: keeper?.open ?? 0, expired_total: keeper?.expired ?? 0, feeds },
  ...{ held: own.held, draws: own.draws, overspent_total: own.overspent, written_off_total: own.writtenOff },
  ...{ dropped_loans_total: own.droppedLoans, changes_total: decided.changes },
  ...{ changes_refused_total: decided.refused, decisions_total: decided.decisions },
})
