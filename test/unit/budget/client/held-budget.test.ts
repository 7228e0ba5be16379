/** A budget as its program uses it: what becomes of draws and loans that nobody waits for any more, and why one is refused. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import type { BudgetRecord } from '../../../../protocols/budget/budget-record.ts'
import type { BudgetReader } from '../../../../protocols/budget/client/budget-reader.ts'
import { HeldBudget } from '../../../../protocols/budget/client/held-budget.ts'
import { Receipts } from '../../../../protocols/budget/client/receipts.ts'
import type { BudgetChange } from '../../../../protocols/budget/journal/budget-changes.ts'
import { isParleyError, ParleyError, stateError } from '../../../../protocols/errors.ts'
import type { ChangeOptions, Decided } from '../../../../protocols/journal/client/change-batcher.ts'
import { failureOf } from '../../../support/until.ts'

type Decide = (change: BudgetChange, options?: ChangeOptions) => Promise<unknown>

const held = (decide: Decide, record: Partial<BudgetRecord> = {}) => {
  const time = createVirtualTime()
  const asked: BudgetChange[] = []
  const batcher = {
    async decide(change: BudgetChange, options?: ChangeOptions): Promise<Decided> {
      asked.push(change)
      return { result: (await decide(change, options)) as Decided['result'], version: 1, fence: { term: 1, index: 1 } }
    },
  }
  const log = { error() {}, warn() {}, info() {} }
  const port = { timers: time, random: (bytes: number) => new Uint8Array(bytes).fill(7), log }
  const receipts = new Receipts({ port, batcher })
  const reader = { record: async () => record as BudgetRecord } as unknown as BudgetReader
  const terms = { amounts: { tokens: 100 }, limits: { deadlineAt: 5 }, lender: undefined }
  const budget = new HeldBudget({ port, batcher, reader, receipts }, 'b', { registration: 3, version: 1 }, terms)
  return { time, asked, budget, receipts }
}
const untilAborted: Decide = ({ do: what }, options) =>
  what === 'receipt' || what === 'close'
    ? Promise.resolve({ isSettled: true, above: {} })
    : new Promise((_, reject) => options?.signal?.addEventListener('abort', () => reject(options.signal?.reason)))
const ended = stateError('ended', 'the budget b is closing', 'take it first', { budget: 'b' })

test('a draw or loan that nobody waits for any more is taken back, whatever the wait was ended with', async () => {
  const lost = new ParleyError('STA002', 'the task is not this attempt any more')
  const exhausted = new ParleyError('COM003', 'nothing is left', { details: { reason: 'budget-exhausted' } })
  for (const reason of [lost, exhausted, ended, new Error('mine')]) {
    const { time, asked, budget } = held(untilAborted)
    const [draws, lends] = [new AbortController(), new AbortController()]
    const drawn = failureOf(budget.draw({ tokens: 5 }, { signal: draws.signal }))
    const lent = failureOf(budget.lend('bob', { tokens: 5 }, { id: 'loan', signal: lends.signal }))
    draws.abort(reason)
    lends.abort(reason)
    assert.deepEqual([await drawn, await lent], [reason, reason])
    await time.run(30_000)
    assert.deepEqual(asked.map(({ do: what }) => what).sort(), ['close', 'draw', 'lend', 'receipt'])
    const [draw, receipt] = ['draw', 'receipt'].map((what) => asked.find((one) => one.do === what))
    assert.ok(draw?.do === 'draw' && receipt?.do === 'receipt' && receipt.draw === draw.draw)
    assert.deepEqual(receipt.spent, {})
  }
})

test('a draw that was refused while somebody waited is not looked for', async () => {
  const { time, asked, budget } = held(async () => {
    throw ended
  })
  assert.equal(await failureOf(budget.draw({ tokens: 5 })), ended)
  await time.run(30_000)
  assert.deepEqual(
    asked.map(({ do: what }) => what),
    ['draw'],
  )
})

test('where it ended by its deadline, that is why it is refused', async () => {
  const refuse: Decide = async () => {
    throw ended
  }
  const late = held(refuse, { reason: 'deadline', limits: { deadlineAt: 5 } })
  for (const error of [await failureOf(late.budget.draw({})), await failureOf(late.budget.lend('bob', {}))]) {
    assert.ok(isParleyError(error, 'MSG005'), String(error))
    assert.deepEqual(error.details, { budget: 'b', deadlineAt: 5 })
  }
  const closed = held(refuse, { reason: 'holder-lost: b', limits: {} })
  assert.equal(await failureOf(closed.budget.draw({})), ended)
})

test('amounts that cannot be drawn reject, and a zero has no sign', async () => {
  const { asked, budget } = held(async () => ({ amounts: { tokens: 0 } }))
  const drawing = budget.draw({ tokens: -1 })
  assert.ok(isParleyError(await failureOf(drawing), 'MSG001'))
  await budget.draw({ tokens: -0 })
  const [draw] = asked
  assert.ok(draw?.do === 'draw' && Object.is(draw.amounts.tokens, 0))
})

test('draws of a life that is over are forgotten, and count as written off once', async () => {
  const { asked, budget, receipts } = held(async () => ({ amounts: { tokens: 5 } }))
  const [dropped, kept] = [await budget.draw({ tokens: 5 }), await budget.draw({ tokens: 5 })]
  assert.equal(receipts.counts().draws, 2)
  receipts.lose()
  assert.deepEqual(receipts.counts(), { draws: 0, overspent: 0, writtenOff: 2 })
  // What it drew it may spend: that counts as spent.
  kept.slice.spend({ tokens: 5 })
  await kept.settle()
  await receipts.settleAll()
  assert.deepEqual(receipts.counts(), { draws: 0, overspent: 0, writtenOff: 2 })
  assert.equal(dropped.slice.remaining().tokens, 5)
  assert.equal(asked.length, 2)
})
