/** The sums of one budget: what is reserved of it, and what became of that. Pure. */
import { type Amounts, atMost, isNothing, less, limitedBy, NO_AMOUNTS, sum, withoutZeros } from '../amounts.ts'
import { type BudgetRecord, freeOf } from '../budget-record.ts'

/** For a draw, or a loan. */
export type Reserved = 'drawn' | 'lent'
const OPEN = { drawn: 'draws', lent: 'loans' } as const

/** Amounts without limit are not reserved: there is nothing that they could be more than. */
export const reserve = (budget: BudgetRecord, as: Reserved, amounts: Amounts): BudgetRecord => ({
  ...budget,
  [as]: withoutZeros(sum(budget[as], limitedBy(budget.amounts, amounts))),
  [OPEN[as]]: budget[OPEN[as]] + 1,
})

/** A loan that is not over gave back so much of what it had. */
export const giveBack = (budget: BudgetRecord, amounts: Amounts): BudgetRecord => ({
  ...budget,
  lent: withoutZeros(less(budget.lent, amounts)),
})

/**
 * A draw or a loan is over.
 * @param amounts what is still reserved for it
 * @param spent what was really spent of it: above what was reserved it takes from what is free, and what that has no room for is
 *   noted beside it
 */
export const settle = (budget: BudgetRecord, as: Reserved, amounts: Amounts, spent: Amounts): BudgetRecord => {
  const all = budget.amounts
  const after: BudgetRecord = {
    ...budget,
    [as]: withoutZeros(less(budget[as], amounts)),
    [OPEN[as]]: budget[OPEN[as]] - 1,
  }
  const covered = atMost(spent, freeOf(after))
  const above = less(limitedBy(all, spent), amounts)
  const uncovered = withoutZeros(less(spent, covered))
  return {
    ...after,
    spent: withoutZeros(sum(budget.spent, covered)),
    ...(!isNothing(above) && { overspent: withoutZeros(sum(budget.overspent ?? NO_AMOUNTS, above)) }),
    ...(!isNothing(uncovered) && { uncovered: withoutZeros(sum(budget.uncovered ?? NO_AMOUNTS, uncovered)) }),
  }
}

/** All that is drawn counts as spent: nobody will say any more what became of it. */
export const writeOff = (budget: BudgetRecord): BudgetRecord => ({
  ...budget,
  spent: withoutZeros(sum(budget.spent, budget.drawn)),
  drawn: {},
  draws: 0,
})

/** @returns what is free of it, which is its no more */
export const returnFree = (budget: BudgetRecord): { budget: BudgetRecord; free: Amounts } => {
  const free = withoutZeros(freeOf(budget))
  return { budget: { ...budget, returned: withoutZeros(sum(budget.returned, free)) }, free }
}
