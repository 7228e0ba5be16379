/**
 * What holds of budgets at every index of the journal, on every node: the sums of each, that they are what was drawn and spent by
 * another account (draw-account.ts), and that each node that is at an index has the same. State: the newest budgets that were seen,
 * what of each root was committed by then, and what nodes have at each index.
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
import { type Decision, DrawAccount } from './draw-account.ts'

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

/** The same for the same budgets, in whatever order they came. */
const textOf = ({ budgets, draws, holders }: SeenBudgets): string =>
  [...budgets, ...draws, ...holders]
    .map((one) => JSON.stringify(one))
    .sort()
    .join('\n')

export class BudgetObserver {
  readonly counts = { opened: 0, loans: 0, taken: 0, draws: 0, expired: 0, closed: 0, forgotten: 0 }
  /** By root: tokens that are spent or drawn, as of the newest index; of one that was forgotten, as of the last. */
  readonly committed = new Map<string, number>()
  #before: SeenBudgets = { budgets: new Map(), draws: new Map(), holders: new Map() }
  readonly #watched = new WeakSet<JournalMachine>()
  readonly #account = new DrawAccount()
  /** By index: what the first node had that was there. */
  readonly #texts = new Map<number, string>()
  #version = 0

  /** Told of each decision by each node that applies it. @returns what is wrong */
  decided(decision: Decision): string | undefined {
    return this.#account.note(decision)
  }

  /** From now on each of its steps is looked at, and where it stands now. */
  watch(machine: JournalMachine, tell: (problem: string) => void): void {
    const look = (): void => {
      const version = machine.version()
      const seen = readBudgets(machine)
      const text = textOf(seen)
      const known = this.#texts.get(version)
      if (known !== undefined && known !== text) tell(`two nodes have other budgets at ${version}`)
      this.#texts.set(version, text)
      // Another node was further: what came of that is looked at.
      if (version <= this.#version) return
      this.#version = version
      const wrong = wrongBudgets(seen) ?? this.#wrongSums(seen)
      if (wrong !== undefined) tell(`at ${version}: ${wrong}`)
      this.#note(seen)
    }
    look()
    if (this.#watched.has(machine)) return
    this.#watched.add(machine)
    machine.onApplied(look)
  }

  #wrongSums(seen: SeenBudgets): string | undefined {
    // A node that is not looked at yet, as it has just begun, was told of more.
    if (this.#account.index() > this.#version) return undefined
    for (const [id, { parent, status, limits }] of seen.budgets) {
      const deadlineAt = this.#account.deadlineAt(id)
      if (limits.deadlineAt !== deadlineAt)
        return `${id} ends at ${limits.deadlineAt}, and it ought to be ${deadlineAt}`
      // What was spent of one that is closed is its parent's.
      if (parent !== undefined && status === 'closed') continue
      const [has, ought] = [committedOf(seen, id), this.#account.committed(id)]
      if (has !== ought) return `${has} of ${id} are drawn or spent, and it ought to be ${ought}`
    }
    return undefined
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
