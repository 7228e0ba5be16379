/**
 * Whether the sums of budgets hold, as of one index of the journal: added up anew from budgets and open draws, with none of the
 * product's sums.
 */
import type { BudgetRecord, HolderRecord, OpenDraws } from '../../protocols/budget/budget-record.ts'

export interface SeenBudgets {
  readonly budgets: ReadonlyMap<string, BudgetRecord>
  /** Open draws, by budget. */
  readonly draws: ReadonlyMap<string, OpenDraws>
  readonly holders: ReadonlyMap<string, HolderRecord>
}

const NAMES = ['tokens', 'cost', 'fanOut'] as const
type Name = (typeof NAMES)[number]

/** @returns what is wrong with one amount of one budget */
const wrongAmount = (
  { draws }: SeenBudgets,
  children: readonly BudgetRecord[],
  id: string,
  budget: BudgetRecord,
  name: Name,
) => {
  const all = budget.amounts[name]
  if (all === undefined) return undefined
  const open = Object.values(draws.get(id) ?? {}).reduce((sum, amounts) => sum + (amounts[name] ?? 0), 0)
  const lent = children.reduce((sum, one) => sum + (one.amounts[name] ?? Infinity) - (one.returned[name] ?? 0), 0)
  const [spent, returned] = [budget.spent[name] ?? 0, budget.returned[name] ?? 0]
  if (open !== (budget.drawn[name] ?? 0)) return `${id} says that ${budget.drawn[name]} ${name} are drawn, ${open} are`
  if (lent !== (budget.lent[name] ?? 0)) return `${id} says that ${budget.lent[name]} ${name} are lent, ${lent} are`
  if (spent + open + lent + returned > all)
    return `${id} has ${all} ${name}: ${spent} spent, ${open} drawn, ${lent} lent, ${returned} returned`
  if (budget.status === 'closed' && spent + returned !== all) return `${id} is closed, and ${name} of it are nowhere`
  return undefined
}

/** Of those that end with a life of their holder. */
const wrongHolder = ({ budgets, holders }: SeenBudgets): string | undefined => {
  const held = new Map<string, number>()
  for (const [id, { holder, registration }] of budgets) {
    if (registration === undefined) continue
    if (holders.get(holder)?.registration !== registration) return `${id} rests on a life of ${holder} that is gone`
    held.set(holder, (held.get(holder) ?? 0) + 1)
  }
  for (const [peer, { holds }] of holders)
    if (holds !== (held.get(peer) ?? 0)) return `${peer} says that it holds ${holds}, and it holds ${held.get(peer)}`
  return undefined
}

/** @returns what is wrong; undefined: nothing is */
export const wrongBudgets = (seen: SeenBudgets): string | undefined => {
  const loansOf = new Map<string, BudgetRecord[]>()
  for (const one of seen.budgets.values())
    if (one.parent !== undefined && one.status !== 'closed')
      loansOf.set(one.parent, [...(loansOf.get(one.parent) ?? []), one])
  for (const [id, budget] of seen.budgets) {
    const { status, registration, draws, loans, parent } = budget
    const open = Object.keys(seen.draws.get(id) ?? {}).length
    if (open !== draws) return `${id} counts ${draws} draws, and has ${open}`
    const children = loansOf.get(id) ?? []
    if (children.length !== loans) return `${id} counts ${loans} loans, and has ${children.length}`
    if ((registration !== undefined) !== (status === 'open' || draws > 0))
      return `${id} is ${status}, of ${registration}`
    if (status === 'closed' && draws + loans > 0) return `${id} is closed, and ${draws + loans} of it are open`
    if (parent !== undefined && status !== 'closed' && !seen.budgets.has(parent)) return `${id} has lost its parent`
    for (const name of NAMES) {
      const wrong = wrongAmount(seen, children, id, budget, name)
      if (wrong !== undefined) return wrong
    }
  }
  return wrongHolder(seen)
}
