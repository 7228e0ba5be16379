/** The reader of logs of budgets: it comes to the same as the product, and finds a product, or somebody who spends, that does not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BUDGETS_PART } from '../../../protocols/budget/budget-record.ts'
import type { BudgetChange } from '../../../protocols/budget/journal/budget-changes.ts'
import { budgetJournal, decideBudgets } from '../../../protocols/budget/journal/budget-kinds.ts'
import { agreePart } from '../../../protocols/journal/part-kinds.ts'
import { beginEpoch, raiseLevel } from '../../../protocols/journal/state/built-in-kinds.ts'
import { encodeLoggedCommand, type Json } from '../../../protocols/journal/state/command-kind.ts'
import { applyBudgets, checkBudgetEntries, wrongSpending } from '../../crash/budgets/check-budgets.ts'
import type { LogEntry } from '../../crash/disk/decided-log.ts'

type Played = readonly [by: string, change: BudgetChange]

const entriesOf = (...changes: readonly Played[]): LogEntry[] => {
  const entries: LogEntry[] = []
  const add = (kind: string, by: string, input: Json): void => {
    const facts = { session: 0, serial: 0, acked: 0, at: 1_000 }
    entries.push({ index: entries.length + 1, term: 1, data: encodeLoggedCommand({ ...facts, kind, by, input }) })
  }
  const { level, maxBytes } = budgetJournal
  add(raiseLevel.name, 'ann', { level: 4 })
  add(agreePart.name, 'ann', { part: BUDGETS_PART, level, maxBytes })
  add(beginEpoch.name, 'ann', { leader: 'ann', name: 'ann' })
  for (const [by, change] of changes) add(decideBudgets.name, by, { changes: [change] } as unknown as Json)
  return entries
}

const draw = (id: string, registration: number, name: string, tokens: number, least?: number): BudgetChange => ({
  ...{ do: 'draw', id, registration, draw: name, amounts: { tokens } },
  ...(least !== undefined && { least: { tokens: least } }),
})
const receipt = (id: string, registration: number, name: string, tokens: number): BudgetChange => ({
  ...{ do: 'receipt', id, registration, draw: name, spent: { tokens } },
})
const lend = (id: string, tokens: number): BudgetChange => ({
  ...{ do: 'lend', id, parent: 'root', registration: 4, to: 'bob', amounts: { tokens }, limits: {} },
})
const PLAYED: readonly Played[] = [
  ['ann', { do: 'register', incarnation: 1 }],
  ['bob', { do: 'register', incarnation: 1 }],
  ['ann', { do: 'open', id: 'root', registration: 4, amounts: { tokens: 100 }, limits: {} }],
  ['ann', draw('root', 4, 'a', 30)],
  ['ann', lend('loan', 50)],
  ['ann', lend('more', 50)],
  ['bob', { do: 'take', id: 'loan', registration: 5 }],
  ['bob', draw('loan', 5, 'b', 20)],
  ['bob', draw('loan', 5, 'c', 60, 10)],
  ['bob', draw('loan', 5, 'd', 1)],
  ['bob', receipt('loan', 5, 'b', 5)],
  ['bob', receipt('loan', 5, 'b', 1)],
  ['ann', receipt('root', 4, 'a', 30)],
  ['bob', { do: 'register', incarnation: 2 }],
  ['bob', receipt('loan', 5, 'c', 0)],
  ['ann', { do: 'expire', epoch: 1, id: 'loan', reason: 'holder-lost' }],
  ['bob', { do: 'close', id: 'root' }],
  ['ann', { do: 'close', id: 'root' }],
]

test('it comes to the same as the product, at each entry', async () => {
  const { books, wrong } = await checkBudgetEntries(entriesOf(...PLAYED), applyBudgets())
  assert.deepEqual(wrong, [])
  assert.deepEqual([...books.committed()], [['root', 65]], '30, 5, and 30 of a holder that is gone')
  assert.deepEqual(books.open(), [])
  assert.equal(books.counts.draws, 3)
  assert.equal(books.counts.expired, 1)
})

test('it finds a product that counts nothing as drawn, and one that has too much', async () => {
  const real = applyBudgets()
  const shown = () => new Map([...real.shown()].map(([id, one]) => [id, { ...one, drawn: 0 }] as const))
  const { wrong } = await checkBudgetEntries(entriesOf(...PLAYED), { ...real, shown })
  assert.match(wrong[0] ?? '', /at 7: root is .*"drawn":0.* ought to be .*"drawn":30/)
  const other = applyBudgets()
  const closed = { status: 'closed', spent: 0, drawn: 0, lent: 0, returned: 0 }
  const more = { ...other, shown: () => new Map([...other.shown(), ['invented', closed] as const]) }
  assert.match((await checkBudgetEntries(entriesOf(...PLAYED), more)).wrong[0] ?? '', /budgets, and not/)
})

test('it finds who spends what was not drawn, more than that, or other than the receipt says', async () => {
  const { books } = await checkBudgetEntries(entriesOf(...PLAYED), applyBudgets())
  const line = (name: string, tokens: number, budget = 'loan') => ({ budget, draw: name, tokens })
  const honest = [line('a', 30, 'root'), line('b', 5), line('c', 30)]
  assert.deepEqual(wrongSpending(books, honest), [])
  assert.match(wrongSpending(books, [...honest, line('c', 1)])[0] ?? '', /31 were spent of loan c, and 30 were drawn/)
  assert.match(wrongSpending(books, [...honest, line('x', 1)])[0] ?? '', /does not know/)
  assert.match(wrongSpending(books, honest.slice(1))[0] ?? '', /receipt of root a says 30, and 0/)
})
