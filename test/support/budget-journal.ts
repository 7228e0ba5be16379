/** A journal with budgets, as one member has it: changes in, answers out; what it has is checked by adding it up again. */
import assert from 'node:assert/strict'
import type { Amounts, Limits } from '../../protocols/budget/amounts.ts'
import {
  BUDGET_PREFIX,
  BUDGETS_PART,
  type BudgetRecord,
  drawsKey,
  HOLDER_PREFIX,
  type HolderRecord,
  type OpenDraws,
  shareKey,
} from '../../protocols/budget/budget-record.ts'
import type { BudgetChange } from '../../protocols/budget/journal/budget-changes.ts'
import { type BudgetChangeAnswer, budgetJournal, decideBudgets } from '../../protocols/budget/journal/budget-kinds.ts'
import { agreePart, knownKinds } from '../../protocols/journal/part-kinds.ts'
import { beginEpoch, raiseLevel } from '../../protocols/journal/state/built-in-kinds.ts'
import { encodeLoggedCommand, type Json } from '../../protocols/journal/state/command-kind.ts'
import { createJournalMachine } from '../../protocols/journal/state/journal-machine.ts'
import { wrongBudgets } from './budget-sums.ts'

export const LEADER = 'leader'
const PART_LEVEL = 4

export class BudgetJournal {
  readonly bugs: unknown[] = []
  readonly #machine = createJournalMachine(knownKinds([], [{ ...budgetJournal, name: BUDGETS_PART }]), (_kind, error) =>
    this.bugs.push(error),
  )
  epoch = 1
  index = 0
  /** Milliseconds since 1970, by the journal. */
  at = 1_000

  /** @param level of the part, that all voters have */
  constructor({ level, maxBytes }: { readonly level: number; readonly maxBytes: number } = budgetJournal) {
    this.#apply(raiseLevel.name, LEADER, { level: PART_LEVEL })
    this.#apply(agreePart.name, LEADER, { part: BUDGETS_PART, level, maxBytes })
    this.#apply(beginEpoch.name, LEADER, { leader: LEADER, name: LEADER })
  }

  /** One change. @returns what it was answered with, or the code of its refusal, with its reason */
  one(by: string, change: BudgetChange): unknown {
    const [first] = this.all(by, [change])
    if (first === undefined || 'ok' in first) return first?.ok
    const { reason } = first.fault.details ?? {}
    return typeof reason === 'string' ? `${first.fault.code} ${reason}` : first.fault.code
  }

  /** Several changes of one command. */
  all(by: string, changes: readonly BudgetChange[]): BudgetChangeAnswer[] {
    const answer = this.#apply(decideBudgets.name, by, { changes } as unknown as Json)
    if (!answer.ok) throw new Error(JSON.stringify(answer.fault))
    return answer.result as unknown as BudgetChangeAnswer[]
  }

  /** @returns its registration; undefined: an earlier life has to end first */
  register(peer: string, incarnation = 1): number | undefined {
    const answer = this.one(peer, { do: 'register', incarnation })
    if (typeof answer === 'string') throw new Error(answer)
    return (answer as { registration?: number }).registration
  }

  open(by: string, id: string, amounts: Amounts, limits: Limits = {}): unknown {
    return this.one(by, { do: 'open', registration: this.#of(by), id, amounts, limits })
  }

  lend(by: string, parent: string, id: string, to: string, amounts: Amounts, limits: Limits = {}): unknown {
    return this.one(by, { do: 'lend', registration: this.#of(by), id, parent, to, amounts, limits })
  }

  take(by: string, id: string): unknown {
    return this.one(by, { do: 'take', registration: this.#of(by), id })
  }

  draw(by: string, id: string, draw: string, amounts: Amounts, least?: Amounts): unknown {
    return this.one(by, {
      ...{ do: 'draw', registration: this.#of(by), id, draw, amounts },
      ...(least !== undefined && { least }),
    } as BudgetChange)
  }

  receipt(by: string, id: string, draw: string, spent: Amounts): unknown {
    return this.one(by, { do: 'receipt', registration: this.#of(by), id, draw, spent })
  }

  close(by: string, id: string): unknown {
    return this.one(by, { do: 'close', id })
  }

  expire(id: string, by = LEADER, reason = 'over'): unknown {
    return this.one(by, { do: 'expire', epoch: this.epoch, id, reason })
  }

  dismiss(peer: string, by = LEADER): unknown {
    return this.one(by, { do: 'dismiss', epoch: this.epoch, peer, registration: this.#of(peer) })
  }

  get(id: string): BudgetRecord | undefined {
    return this.budgets().get(id)
  }

  holder(peer: string): HolderRecord | undefined {
    return this.#all<HolderRecord>(HOLDER_PREFIX).get(peer)
  }

  budgets(): Map<string, BudgetRecord> {
    return this.#all<BudgetRecord>(BUDGET_PREFIX)
  }

  draws(id: string): OpenDraws {
    return (this.#machine.records.get(drawsKey(id))?.value ?? {}) as OpenDraws
  }

  /** Items that this node answers for. */
  items(peer: string): number {
    return (this.#machine.records.get(shareKey(peer))?.value as { items?: number } | undefined)?.items ?? 0
  }

  /** The sums hold, what nodes hold and answer for is what there is, and nothing failed in a way that nobody expects. */
  check(): void {
    const budgets = this.budgets()
    const draws = new Map([...budgets.keys()].map((id) => [id, this.draws(id)] as const))
    const holders = this.#all<HolderRecord>(HOLDER_PREFIX)
    assert.equal(wrongBudgets({ budgets, draws, holders }), undefined)
    const items = new Map<string, number>()
    for (const [id, { holder, lender = holder }] of budgets) {
      items.set(lender, (items.get(lender) ?? 0) + 1)
      items.set(holder, (items.get(holder) ?? 0) + Object.keys(draws.get(id) ?? {}).length)
    }
    for (const [peer, count] of items) assert.equal(this.items(peer), count, `share of ${peer}`)
    assert.deepEqual(this.bugs, [])
  }

  #of(peer: string): number {
    return this.holder(peer)?.registration ?? 0
  }

  #all<T>(prefix: string): Map<string, T> {
    const found = this.#machine.records.all().filter(({ key }) => key.startsWith(prefix))
    return new Map(found.map(({ key, value }) => [key.slice(prefix.length), value as T]))
  }

  #apply(kind: string, by: string, input: Json) {
    this.index += 1
    const bytes = encodeLoggedCommand({ kind, session: 0, serial: 0, acked: 0, at: this.at, by, input })
    return this.#machine.apply(bytes, { term: this.epoch, index: this.index })
  }
}
