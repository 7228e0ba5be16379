/** What the journal says of budgets, for programs and people. Keeps no state. */
import { ParleyError } from '../../errors.ts'
import type { Journal } from '../../journal/client/journal-client.ts'
import type { GraphData, TableData } from '../../part.ts'
import type { Port } from '../../port.ts'
import { AMOUNT_NAMES, type Amounts, amountIn, isLimited, NO_AMOUNTS } from '../amounts.ts'
import type { BudgetState, BudgetTree, BudgetWaitOptions } from '../api.ts'
import { BUDGET_PREFIX, type BudgetRecord, budgetKey, freeOf, spentOf } from '../budget-record.ts'

const READ_MS = 10_000
/** A view is for somebody who looks at it. */
const SHOW_MS = 2_000
/** Of a graph. */
const MAX_SHOWN = 500
const SHOWN_CHARS = 8

export const stateOf = (id: string, record: BudgetRecord): BudgetState => {
  const { status, holder, lender, parent, amounts, limits, drawn, lent, openedAt, changedAt, reason } = record
  return {
    ...{ id, status, holder, lender, parent, amounts, limits, drawn, lent, openedAt, changedAt, reason },
    ...{ spent: spentOf(record), free: freeOf(record), overspent: record.overspent ?? NO_AMOUNTS },
  }
}

export const noBudget = (id: string): ParleyError =>
  new ParleyError('STA001', `there is no budget ${id}`, {
    hint: 'it was closed a while ago, or never opened',
    details: { budget: id },
  })

/** Columns of a table of budgets. */
const SUMS = ['spent', 'drawn', 'lent', 'left', 'above'] as const

/** As in `120 tokens, 3 cost`; of what is left, also what is nothing. */
const amountsText = (amounts: Amounts): string =>
  AMOUNT_NAMES.flatMap((name) => (isLimited(amounts, name) ? [`${amountIn(amounts, name)} ${name}`] : [])).join(', ')

/** As in `120 of 500 tokens, 3 cost`: what was used of what there is. */
export const usedText = ({ amounts, spent, drawn, lent }: Pick<BudgetState, 'amounts' | 'spent' | 'drawn' | 'lent'>) =>
  AMOUNT_NAMES.flatMap((name) => {
    const used = amountIn(spent, name) + amountIn(drawn, name) + amountIn(lent, name)
    if (isLimited(amounts, name)) return [`${used} of ${amountIn(amounts, name)} ${name}`]
    return used > 0 ? [`${used} ${name}`] : []
  }).join(', ')

const shortOf = (peer: string): string => peer.slice(-SHOWN_CHARS)

export class BudgetReader {
  readonly #journal: Pick<Journal, 'get' | 'list'>
  readonly #timers: Port['timers']

  constructor(journal: Pick<Journal, 'get' | 'list'>, timers: Port['timers']) {
    this.#journal = journal
    this.#timers = timers
  }

  /** @throws STA001 */
  async record(id: string, options: BudgetWaitOptions = {}): Promise<BudgetRecord> {
    const found = await this.#limited(options, (signal) => this.#journal.get(budgetKey(id), { signal }))
    if (found === undefined) throw noBudget(id)
    // This part wrote it.
    return found.value as unknown as BudgetRecord
  }

  async remaining(id: string, options?: BudgetWaitOptions): Promise<Amounts> {
    return freeOf(await this.record(id, options))
  }

  async list(options: BudgetWaitOptions = {}): Promise<BudgetState[]> {
    const { records } = await this.#limited(options, (signal) => this.#journal.list(BUDGET_PREFIX, { signal }))
    return records.map(({ key, value }) => stateOf(key.slice(BUDGET_PREFIX.length), value as unknown as BudgetRecord))
  }

  /** @throws STA001 */
  async tree(id: string, options?: BudgetWaitOptions): Promise<BudgetTree> {
    const byParent = new Map<string, BudgetState[]>()
    let root: BudgetState | undefined
    for (const one of await this.list(options)) {
      if (one.id === id) root = one
      if (one.parent === undefined) continue
      const loans = byParent.get(one.parent) ?? []
      byParent.set(one.parent, loans)
      loans.push(one)
    }
    if (root === undefined) throw noBudget(id)
    // No deeper than MAX_DEPTH: the journal has no deeper ones.
    const below = (one: BudgetState): BudgetTree => ({ ...one, loans: (byParent.get(one.id) ?? []).map(below) })
    return below(root)
  }

  async table(): Promise<TableData> {
    const all = await this.list({ timeoutMs: SHOW_MS })
    return {
      columns: ['id', 'status', 'holder', 'lender', 'parent', ...SUMS, 'reason'],
      rows: all.map((one) => [
        ...[one.id, one.status, one.holder, one.lender ?? '', one.parent ?? ''],
        ...[one.spent, one.drawn, one.lent, one.free, one.overspent].map(amountsText),
        one.reason ?? '',
      ]),
    }
  }

  /** Roots with what was lent of them, the first ones where there are many. */
  async graph(): Promise<GraphData> {
    const all = (await this.list({ timeoutMs: SHOW_MS })).slice(0, MAX_SHOWN)
    const shown = new Set(all.map(({ id }) => id))
    return {
      nodes: all.map((one) => ({
        id: one.id,
        label: `${one.id} (${one.status}, ${shortOf(one.holder)}): ${usedText(one)}`,
      })),
      edges: all.flatMap(({ id, parent }) =>
        parent !== undefined && shown.has(parent) ? [{ from: parent, to: id, label: 'lent' }] : [],
      ),
    }
  }

  async #limited<T>({ signal, timeoutMs = READ_MS }: BudgetWaitOptions, read: (signal: AbortSignal) => Promise<T>) {
    const limit = new AbortController()
    const stop = this.#timers.after(timeoutMs, () =>
      limit.abort(new ParleyError('COM001', 'budgets were not read in time', { hint: 'does a node coordinate?' })),
    )
    try {
      return await read(AbortSignal.any([limit.signal, ...(signal === undefined ? [] : [signal])]))
    } finally {
      stop()
    }
  }
}
