/**
 * What holds of budgets at every index of the journal: the sums of each, and that what was drawn of a root never comes back. State:
 * the newest budgets that were seen, and what of each root was committed by then.
 */
import {
  BUDGET_PREFIX,
  type BudgetRecord,
  drawsKey,
  HOLDER_PREFIX,
  type HolderRecord,
  type OpenDraws,
} from '../../../protocols/budget/budget-record.ts'
import type { JournalMachine } from '../../../protocols/journal/state/journal-machine.ts'
import { type SeenBudgets, wrongBudgets } from '../../support/budget-sums.ts'

export const readBudgets = ({ records }: Pick<JournalMachine, 'records'>): SeenBudgets => {
  const [budgets, draws] = [new Map<string, BudgetRecord>(), new Map<string, OpenDraws>()]
  const holders = new Map<string, HolderRecord>()
  for (const { key, value } of records.all()) {
    if (key.startsWith(HOLDER_PREFIX)) holders.set(key.slice(HOLDER_PREFIX.length), value as unknown as HolderRecord)
    if (!key.startsWith(BUDGET_PREFIX)) continue
    const id = key.slice(BUDGET_PREFIX.length)
    budgets.set(id, value as unknown as BudgetRecord)
    draws.set(id, (records.get(drawsKey(id))?.value ?? {}) as unknown as OpenDraws)
  }
  return { budgets, draws, holders }
}

/** Tokens of a budget that were spent or drawn, with those of loans that are open. */
const committedOf = ({ budgets }: SeenBudgets, id: string): number => {
  const own = budgets.get(id)
  const below = [...budgets].filter(([, { parent, status }]) => parent === id && status !== 'closed')
  return (
    (own?.spent.tokens ?? 0) +
    (own?.drawn.tokens ?? 0) +
    below.reduce((sum, [child]) => sum + committedOf({ budgets, draws: new Map(), holders: new Map() }, child), 0)
  )
}

export class BudgetObserver {
  readonly counts = { opened: 0, loans: 0, taken: 0, draws: 0, expired: 0, closed: 0, forgotten: 0 }
  /** By root: tokens that are spent or drawn, as of the newest index; of one that was forgotten, as of the last. */
  readonly committed = new Map<string, number>()
  #before: SeenBudgets = { budgets: new Map(), draws: new Map(), holders: new Map() }
  readonly #watched = new WeakSet<JournalMachine>()
  #version = 0

  /** From now on each of its steps is looked at, and where it stands now. */
  watch(machine: JournalMachine, tell: (problem: string) => void): void {
    const look = (): void => {
      if (machine.version() <= this.#version) return
      this.#version = machine.version()
      const seen = readBudgets(machine)
      const wrong = wrongBudgets(seen)
      if (wrong !== undefined) tell(`at ${machine.version()}: ${wrong}`)
      this.#note(seen)
    }
    look()
    if (this.#watched.has(machine)) return
    this.#watched.add(machine)
    machine.onApplied(look)
  }

  #note(seen: SeenBudgets): void {
    for (const [id, { status, level, parent, draws, reason }] of seen.budgets) {
      const before = this.#before.budgets.get(id)
      if (level === 0) this.committed.set(id, committedOf(seen, id))
      if (before === undefined) this.counts[parent === undefined ? 'opened' : 'loans'] += 1
      if (before?.status === 'offered' && status === 'open') this.counts.taken += 1
      if (draws > (before?.draws ?? 0)) this.counts.draws += draws - (before?.draws ?? 0)
      if (reason !== undefined && before?.reason === undefined) this.counts.expired += 1
      if (status === 'closed' && before?.status !== 'closed') this.counts.closed += 1
    }
    for (const id of this.#before.budgets.keys()) if (!seen.budgets.has(id)) this.counts.forgotten += 1
    this.#before = seen
  }
}
