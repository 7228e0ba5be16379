/** Deliberate bugs of budgets, for the scenario of that name. */
import type { Mutant } from './mutant.ts'

const BUDGET = 'protocols/budget'

const BUGS: readonly Omit<Mutant, 'scenario'>[] = [
  {
    bug: 'what is drawn is not taken from the budget',
    file: `${BUDGET}/budget-record.ts`,
    find: '[spent, drawn, lent, returned].reduce',
    replace: '[spent, lent, returned].reduce',
  },
  {
    bug: 'what is lent is not taken from the budget',
    file: `${BUDGET}/budget-record.ts`,
    find: '[spent, drawn, lent, returned].reduce',
    replace: '[spent, drawn, returned].reduce',
  },
  {
    bug: 'more is drawn than is free',
    file: `${BUDGET}/journal/apply-budgets.ts`,
    find: '  requireLeft(named(id), free, least)\n  // What',
    replace: '  // What',
  },
  {
    bug: 'more is lent than is free',
    file: `${BUDGET}/journal/apply-budgets.ts`,
    find: '  requireLeft(named(parent), freeOf(from), amounts)\n',
    replace: '',
  },
  {
    bug: 'what a dead holder drew comes back',
    file: `${BUDGET}/journal/budget-account.ts`,
    find: '  spent: withoutZeros(sum(budget.spent, budget.drawn)),\n  drawn: {},',
    replace: '  drawn: {},',
  },
  {
    bug: 'what was spent of a loan is not spent of its parent',
    file: `${BUDGET}/journal/budget-account.ts`,
    find: "settle(lessLent, 'lent', kept, spentOf(back.budget))",
    replace: "settle(lessLent, 'lent', kept, {})",
  },
  {
    bug: 'what comes back from a loan is there twice',
    file: `${BUDGET}/journal/budget-account.ts`,
    find: 'lent: withoutZeros(less(budget.lent, amounts)),\n})',
    replace: 'lent: withoutZeros(less(budget.lent, sum(amounts, amounts))),\n})',
  },
  {
    bug: 'what is free of a budget that closes does not come back',
    file: `${BUDGET}/journal/budget-account.ts`,
    find: 'const lessLent = giveBack(parent, back.free)',
    replace: 'const lessLent = parent',
  },
  {
    bug: 'a receipt is settled, and the draw stays open',
    file: `${BUDGET}/journal/apply-budgets.ts`,
    find: '  ledger.putDraws(id, others)\n',
    replace: '',
  },
  {
    bug: 'a node that was started again goes on with what it held',
    file: `${BUDGET}/journal/apply-holders.ts`,
    find: 'if (before !== undefined && before.holds > 0) {',
    replace: 'if (before !== undefined && before.holds > 99) {',
  },
  {
    bug: 'a holder that is not renewed stays',
    file: `${BUDGET}/keeper/budget-board.ts`,
    find: '} else if (isLate) want(dismiss)',
    replace: '} else if (isLate && record.holds > 99) want(dismiss)',
  },
  {
    bug: 'what a holder that is over holds is not ended',
    file: `${BUDGET}/keeper/budget-board.ts`,
    find: 'for (const id of this.#byHolder.get(peer) ?? [])',
    replace: 'for (const id of this.#byHolder.get(record.isOver ? "" : peer) ?? [])',
  },
  {
    bug: 'a loan that nobody takes stays',
    file: `${BUDGET}/keeper/budget-board.ts`,
    find: 'if (now - openedAt < TAKE_MS) break',
    replace: 'if (openedAt > 0) break',
  },
  {
    bug: 'a new coordinator does not read the budgets that there are',
    file: `${BUDGET}/keeper/budget-keeper.ts`,
    find: 'changedAt(a) - changedAt(b))) this.#set(change)',
    replace: 'changedAt(a) - changedAt(b))) if (change.type === "holder") this.#set(change)',
  },
  {
    bug: 'a budget that is closed is not forgotten',
    file: `${BUDGET}/keeper/budget-board.ts`,
    find: 'if (now - closedAt < KEPT_MS || ids.length',
    replace: 'if (closedAt > 0 || ids.length',
  },
  {
    bug: 'a slice lets spend more than was drawn',
    file: `${BUDGET}/slice.ts`,
    find: '    requireLeft(SLICE, this.#left, amounts)\n',
    replace: '',
  },
  {
    bug: 'a receipt says that less was spent',
    file: `${BUDGET}/client/receipts.ts`,
    find: 'this.#settle(name, slice.counts().spent)',
    replace: 'this.#settle(name, {})',
  },
  {
    bug: 'what a stopping node drew is not settled before its lease ends',
    file: `${BUDGET}/client/receipts.ts`,
    find: '    this.#isStopping = true\n    await this.settleAll()',
    replace: '    this.#isStopping = true',
  },
  {
    bug: 'a draw is not counted until its receipt',
    file: `${BUDGET}/journal/apply-budgets.ts`,
    find: "ledger.put(id, reserve(budget, 'drawn', all))",
    replace: 'ledger.put(id, { ...budget, draws: budget.draws + 1 })',
  },
  {
    bug: 'a receipt counts twice',
    file: `${BUDGET}/journal/budget-account.ts`,
    find: 'spent: withoutZeros(sum(budget.spent, covered)),',
    replace: 'spent: withoutZeros(sum(budget.spent, sum(covered, covered))),',
  },
  {
    bug: 'the deadline of a loan is not the earlier one',
    file: `${BUDGET}/amounts.ts`,
    find: 'earlier(limits.deadlineAt, asked.deadlineAt)',
    replace: 'asked.deadlineAt ?? limits.deadlineAt',
  },
  {
    bug: 'what is drawn after the deadline is drawn',
    file: `${BUDGET}/journal/budget-ledger.ts`,
    find: 'if (deadlineAt !== undefined && at > deadlineAt)',
    replace: 'if (deadlineAt !== undefined && at > 2 * deadlineAt)',
  },
  {
    bug: 'a budget that closes gives back what is lent of it',
    file: `${BUDGET}/journal/budget-account.ts`,
    find: 'const free = withoutZeros(freeOf(budget))',
    replace: 'const free = withoutZeros(freeOf({ ...budget, lent: {} }))',
  },
  {
    bug: 'a life of a holder that is over draws',
    file: `${BUDGET}/journal/budget-ledger.ts`,
    find: '    this.live(by, registration)\n',
    replace: '',
  },
  {
    bug: 'a later life takes a loan that ended with the one before it',
    file: `${BUDGET}/journal/apply-budgets.ts`,
    find: "if (found.status !== 'offered')",
    replace: "if (found.status === 'closed')",
  },
  {
    bug: 'what was decided after nobody waited for it any more stays open',
    file: `${BUDGET}/budgets.ts`,
    find: "if (status !== 'open' || !isOwn ||",
    replace: "if (id !== '' || !isOwn ||",
  },
]

export const BUDGET_MUTANTS: readonly Mutant[] = BUGS.map((bug) => ({ ...bug, scenario: 'budgets' }))
