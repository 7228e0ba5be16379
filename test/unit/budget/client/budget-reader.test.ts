/** Budgets as people see them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { BUDGET_PREFIX } from '../../../../protocols/budget/budget-record.ts'
import { BudgetReader } from '../../../../protocols/budget/client/budget-reader.ts'
import type { Journal } from '../../../../protocols/journal/client/journal-client.ts'
import { BudgetJournal } from '../../../support/budget-journal.ts'

test('a table of budgets tells what became of each amount', async () => {
  const journal = new BudgetJournal()
  for (const peer of ['ann', 'bob']) journal.register(peer)
  journal.open('ann', 'root', { tokens: 100 })
  journal.lend('ann', 'root', 'loan', 'bob', { tokens: 40 })
  journal.take('bob', 'loan')
  journal.draw('ann', 'root', 'a', { tokens: 10 })
  journal.draw('ann', 'root', 'b', { tokens: 5 })
  journal.receipt('ann', 'root', 'b', { tokens: 7, cost: 2 })
  const records = ['loan', 'root'].map((id) => ({ key: BUDGET_PREFIX + id, value: journal.get(id) }))
  const list = async () => ({ version: 1, records })
  const reader = new BudgetReader({ list } as unknown as Journal, createVirtualTime())
  const { columns, rows } = await reader.table()
  const [loan, root] = rows.map((row) => Object.fromEntries(row.map((cell, i) => [columns[i], cell])))
  const none = { spent: '', drawn: '', lent: '', above: '', reason: '' }
  const its = { id: 'root', status: 'open', holder: 'ann', lender: '', parent: '', reason: '' }
  const sums = {
    spent: '7 tokens, 2 cost',
    drawn: '10 tokens',
    lent: '40 tokens',
    left: '43 tokens',
    above: '2 tokens',
  }
  assert.deepEqual(root, { ...its, ...sums })
  const lent = { id: 'loan', status: 'open', holder: 'bob', lender: 'ann', parent: 'root' }
  assert.deepEqual(loan, { ...lent, ...none, left: '40 tokens' })
})
