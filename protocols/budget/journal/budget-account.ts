/** The sums of budgets: what is reserved of one, what became of that, and what goes back up where one closes. Pure. */
import { type Amounts, atMost, isNothing, less, limitedBy, NO_AMOUNTS, sum, withoutZeros } from '../amounts.ts'
import { type BudgetRecord, freeOf, spentOf } from '../budget-record.ts'
import type { BudgetLedger } from './budget-ledger.ts'

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
const giveBack = (budget: BudgetRecord, amounts: Amounts): BudgetRecord => ({
  ...budget,
  lent: withoutZeros(less(budget.lent, amounts)),
})

/**
 * A draw or a loan is over.
 * @param amounts what is still reserved for it
 * @param spent what was spent of it, as its holder says. Of a draw, what is above it takes from what is free. Of a loan it does not:
 *   who lends can lose what it lent, and no more, whatever the other one says. What there is no room for is noted beside it
 */
export const settle = (budget: BudgetRecord, as: Reserved, amounts: Amounts, spent: Amounts): BudgetRecord => {
  const all = budget.amounts
  const after: BudgetRecord = {
    ...budget,
    [as]: withoutZeros(less(budget[as], amounts)),
    [OPEN[as]]: budget[OPEN[as]] - 1,
  }
  const covered = atMost(as === 'lent' ? atMost(spent, amounts) : spent, freeOf(after))
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
const returnFree = (budget: BudgetRecord): { budget: BudgetRecord; free: Amounts } => {
  const free = withoutZeros(freeOf(budget))
  return { budget: { ...budget, returned: withoutZeros(sum(budget.returned, free)) }, free }
}

/** Nothing of it ends with a life of its holder any more, where it has no open draws. */
const unbound = (ledger: BudgetLedger, budget: BudgetRecord): BudgetRecord => {
  const { registration, ...rest } = budget
  if (registration === undefined || budget.draws > 0) return budget
  ledger.countHeld(budget.holder, -1)
  return rest
}

/**
 * What is free of a budget that closes goes back to its parent at once, and on from there where that closes too; one of which
 * nothing is open any more is closed, and what was spent of it was spent of its parent.
 */
export const putAndClose = (ledger: BudgetLedger, first: string, changed: BudgetRecord): void => {
  let [id, budget]: [string, BudgetRecord] = [first, changed]
  for (;;) {
    if (budget.status !== 'closing') return void ledger.put(id, budget)
    const back = returnFree(budget)
    const isClosed = budget.draws === 0 && budget.loans === 0
    ledger.put(id, unbound(ledger, isClosed ? { ...back.budget, status: 'closed' } : back.budget))
    const parent = budget.parent === undefined ? undefined : ledger.budget(budget.parent)
    if (budget.parent === undefined || parent === undefined) return
    if (!isClosed && isNothing(back.free)) return
    const lessLent = giveBack(parent, back.free)
    const kept = less(budget.amounts, back.budget.returned)
    id = budget.parent
    budget = isClosed ? settle(lessLent, 'lent', kept, spentOf(back.budget)) : lessLent
  }
}
