/** Budgets of tasks: what attempts draw, give back and lose, by decisions of the journal. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Amounts } from '../../../../protocols/budget/amounts.ts'
import type { Fence } from '../../../../protocols/journal/fencing/fence.ts'
import type { TaskChange } from '../../../../protocols/task/journal/task-changes.ts'
import { LEADER, submitted, TaskJournal } from '../../../support/task-journal.ts'

const ERROR = { code: 'APP001', message: 'no' }
const budgeted = (amounts: Amounts = { tokens: 100, cost: 10 }) => {
  const journal = new TaskJournal()
  journal.one('ann', { do: 'submit', tasks: [submitted('t', { budget: { amounts }, retry: RETRY })] })
  const registration = journal.worker('bob')
  return { journal, begin: (): Fence => journal.place('t', 'bob', registration) }
}
const RETRY = { max: 1_000, delayMs: 0, maxDelayMs: 0 }
const drawn = (journal: TaskJournal, fence: Fence, number: number, amounts: Amounts, back?: Amounts, by = 'bob') =>
  journal.one(by, { do: 'draw', id: 't', fence, number, amounts, ...(back !== undefined && { back }) } as TaskChange)
const usedOf = (journal: TaskJournal): number => journal.task('t')?.budget?.used.tokens ?? 0

test('what is drawn counts as spent, what is given back does not, and there is no more than the task has', () => {
  const { journal, begin } = budgeted()
  const fence = begin()
  assert.deepEqual(drawn(journal, fence, 1, { tokens: 60 }), { used: { tokens: 60 } })
  assert.equal(journal.task('t')?.status, 'running')
  assert.equal(drawn(journal, fence, 2, { tokens: 41 }), 'COM003 budget-exhausted')
  assert.equal(drawn(journal, fence, 2, { tokens: 1, cost: 11 }), 'COM003 budget-exhausted')
  assert.deepEqual(drawn(journal, fence, 2, { tokens: 40 }, { tokens: 10 }), { used: { tokens: 90 } })
  assert.deepEqual(drawn(journal, fence, 3, {}, { tokens: 1_000, cost: 5, fanOut: 9 }), { used: { tokens: 0 } })
  // What it does not limit is counted, and has no end.
  assert.deepEqual(drawn(journal, fence, 4, { fanOut: 7 }), { used: { tokens: 0, fanOut: 7 } })
})

test('a draw that is asked for again changes nothing, and one out of order is refused', () => {
  const { journal, begin } = budgeted()
  const fence = begin()
  drawn(journal, fence, 1, { tokens: 30 })
  assert.deepEqual(drawn(journal, fence, 1, { tokens: 30 }), { used: { tokens: 30 } })
  assert.equal(drawn(journal, fence, 3, { tokens: 1 }), 'MSG001')
  assert.deepEqual(drawn(journal, fence, 2, {}, { tokens: 20 }), { used: { tokens: 10 } })
  assert.deepEqual(drawn(journal, fence, 2, {}, { tokens: 20 }), { used: { tokens: 10 } })
})

test('only the attempt in work draws and gives back', () => {
  const { journal, begin } = budgeted()
  const fence = begin()
  drawn(journal, fence, 1, { tokens: 30 })
  for (const by of ['ann', 'carl', LEADER]) {
    assert.equal(drawn(journal, fence, 2, { tokens: 1 }, undefined, by), 'STA002')
    assert.equal(drawn(journal, fence, 2, {}, { tokens: 30 }, by), 'STA002')
  }
  journal.one('bob', { do: 'fail', id: 't', fence, error: ERROR, retry: true })
  assert.equal(drawn(journal, fence, 2, {}, { tokens: 30 }), 'STA002')
  const next = begin()
  assert.equal(drawn(journal, fence, 1, { tokens: 1 }), 'STA002')
  assert.deepEqual(drawn(journal, next, 1, {}, { tokens: 30 }), { used: { tokens: 30 } }, 'of an earlier attempt')
  assert.equal(drawn(journal, next, 2, { tokens: 71 }), 'COM003 budget-exhausted')
  const plain = new TaskJournal()
  plain.one('ann', { do: 'submit', tasks: [submitted('t')] })
  assert.equal(drawn(plain, plain.place('t', 'bob', plain.worker('bob')), 1, { tokens: 1 }), 'MSG001')
})

test('what an attempt drew that is held or lost stays spent, also in what the task leaves', () => {
  const { journal, begin } = budgeted()
  const fence = begin()
  drawn(journal, fence, 1, { tokens: 50 })
  journal.one('ann', { do: 'pause', id: 't' })
  assert.equal(drawn(journal, fence, 2, { tokens: 1 }), 'STA002')
  assert.equal(drawn(journal, fence, 2, {}, { tokens: 20 }), 'STA002')
  journal.one('ann', { do: 'resume', id: 't' })
  const other = begin()
  assert.deepEqual(drawn(journal, other, 1, { tokens: 10 }, { tokens: 50 }), { used: { tokens: 60 } })
  journal.one(LEADER, { do: 'lose', epoch: journal.epoch, id: 't', fence: other, reason: 'gone' })
  assert.deepEqual(journal.task('t')?.budget, { amounts: { tokens: 100, cost: 10 }, used: { tokens: 60 } })
  const next = begin()
  drawn(journal, next, 1, { tokens: 5 })
  journal.one('bob', { do: 'complete', id: 't', fence: next, result: 1 })
  assert.deepEqual(journal.task('t')?.budget, { amounts: { tokens: 100, cost: 10 }, used: { tokens: 65 } })
})

/** Another account of it, that adds up by itself. */
test('in any order of draws, ends and lies, what is used is what was drawn and not given back, and never too much', () => {
  const amount = fc.nat({ max: 60 })
  const step = fc.oneof(
    fc.record({ kind: fc.constant('draw' as const), tokens: amount, back: amount, again: fc.boolean() }),
    fc.record({ kind: fc.constantFrom('fail' as const, 'lose' as const, 'release' as const) }),
  )
  fc.assert(
    fc.property(fc.nat({ max: 100 }), fc.array(step, { maxLength: 30 }), (tokens, steps) => {
      const { journal, begin } = budgeted({ tokens })
      let [fence, number, used, open] = [begin(), 1, 0, 0]
      for (const one of steps) {
        if (one.kind === 'draw') {
          const returned = Math.min(one.back, open)
          const isTooMuch = one.tokens > tokens - (used - returned)
          const answer = drawn(journal, fence, number, { tokens: one.tokens }, { tokens: one.back })
          assert.equal(answer === 'COM003 budget-exhausted', isTooMuch)
          if (isTooMuch) continue
          if (one.again) drawn(journal, fence, number, { tokens: one.tokens }, { tokens: one.back })
          number += 1
          used += one.tokens - returned
          open += one.tokens - returned
        } else {
          const of = { id: 't', fence }
          if (one.kind === 'fail') journal.one('bob', { do: 'fail', ...of, error: ERROR, retry: true })
          else if (one.kind === 'release') journal.one('bob', { do: 'release', ...of, reason: 'stops' })
          else journal.one(LEADER, { do: 'lose', epoch: journal.epoch, ...of, reason: 'gone' })
          fence = begin()
          number = 1
          open = 0
        }
        assert.equal(usedOf(journal), used)
        assert.ok(used <= tokens)
      }
    }),
    { numRuns: 200 },
  )
})
