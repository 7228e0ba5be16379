/** Budgets of plans in the journal: who draws, how much, and what counts as spent. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PlanChangeOf } from '../../../protocols/coordination/journal/plan-changes.ts'
import { goalOf, LEADER, PlanJournal } from '../../support/plan-journal.ts'
import { submitted } from '../../support/task-journal.ts'

const planned = (id: string, plan = 'p') => submitted(id, { plan, budget: { amounts: { tokens: 0, cost: 0 } } })

/** A plan of ann's with two tasks, in work at bob, and 100 tokens for both. */
const begun = () => {
  const journal = new PlanJournal()
  const budget = { tokens: 100, cost: 10 }
  assert.deepEqual(journal.one('ann', { do: 'propose', id: 'p', goal: goalOf(['a', 'b']), budget }), { isKnown: false })
  journal.work('bob', 'ann', planned('a'), planned('b'))
  const draw = (task: string, more: Partial<PlanChangeOf<'draw'>> & { by?: string } = {}): unknown => {
    const { by = 'bob', ...rest } = more
    const fence = journal.task(task)?.fence ?? { term: 0, index: 0 }
    return journal.one(by, { do: 'draw', id: 'p', task, fence, number: 1, amounts: { tokens: 60 }, ...rest })
  }
  return { journal, draw }
}

test('tasks of a plan draw of one amount, and never more than there is', () => {
  const { journal, draw } = begun()
  assert.deepEqual(draw('a'), { used: { tokens: 60, cost: 0 } })
  assert.equal(draw('b'), 'COM003 budget-exhausted')
  assert.equal(draw('b', { amounts: { tokens: 40, cost: 11 } }), 'COM003 budget-exhausted')
  assert.deepEqual(draw('b', { amounts: { tokens: 40, cost: 10 } }), { used: { tokens: 100, cost: 10 } })
  // What it does not limit is not looked at.
  assert.deepEqual(draw('a', { number: 2, amounts: { fanOut: 9 } }), { used: { tokens: 100, cost: 10 } })
  assert.equal(draw('a', { number: 3, amounts: { tokens: 1 } }), 'COM003 budget-exhausted')
  assert.deepEqual(journal.bugs, [])
})

test('the same draw again counts once, and one out of order is refused', () => {
  const { draw } = begun()
  assert.deepEqual(draw('a'), { used: { tokens: 60, cost: 0 } })
  assert.deepEqual(draw('a'), { used: { tokens: 60, cost: 0 } })
  assert.equal(draw('a', { number: 3, amounts: { tokens: 1 } }), 'MSG001')
  assert.deepEqual(draw('a', { number: 2, amounts: { tokens: 1 } }), { used: { tokens: 61, cost: 0 } })
})

test('an attempt gives back what it drew itself, and no more; what a lost one drew stays spent', () => {
  const { journal, draw } = begun()
  draw('b', { amounts: { tokens: 30 } })
  draw('a')
  // It drew 60: the 30 of the other one are not its own.
  assert.deepEqual(draw('a', { number: 2, amounts: {}, back: { tokens: 90 } }), { used: { tokens: 30, cost: 0 } })
  draw('a', { number: 3, amounts: { tokens: 50 } })
  const before = journal.task('a')?.fence
  journal.again('a', 'bob')
  assert.notDeepEqual(journal.task('a')?.fence, before)
  assert.equal(draw('a', { fence: before ?? { term: 0, index: 0 }, number: 4, amounts: {} }), 'STA002')
  assert.deepEqual(draw('a', { amounts: {}, back: { tokens: 50 } }), { used: { tokens: 80, cost: 0 } })
  assert.deepEqual(draw('a', { number: 2, amounts: { tokens: 20 } }), { used: { tokens: 100, cost: 0 } })
  assert.equal(journal.budget('p')?.tasks.length, 2)
})

test('only the attempt in work at a task that was submitted with the plan draws of it', () => {
  const { journal, draw } = begun()
  assert.equal(draw('a', { by: 'eve' }), 'STA002')
  assert.equal(draw('a', { by: LEADER }), 'STA002')
  assert.equal(draw('c'), 'STA002')
  assert.equal(draw('a', { id: 'q' }), 'STA001')
  // A task of eve's that says it is of the plan is none of its tasks.
  journal.work('eve', 'eve', planned('c'))
  assert.equal(draw('c', { by: 'eve' }), 'SEC002')
  // Eve takes the id of a task of a plan before it is submitted with it.
  journal.one('ann', { do: 'propose', id: 'q', goal: goalOf(['d', 'e']), budget: { tokens: 9 } })
  journal.work('eve', 'eve', planned('d', 'q'))
  assert.equal(draw('d', { by: 'eve', id: 'q', amounts: { tokens: 1 } }), 'SEC002')
  // Nor does a parent of her own help.
  journal.work('eve', 'eve', submitted('mine'), { ...planned('e', 'q'), parent: 'mine' })
  assert.equal(draw('e', { by: 'eve', id: 'q', amounts: { tokens: 1 } }), 'SEC002')
  assert.equal(journal.budget('q'), undefined)
  assert.deepEqual(journal.bugs, [])
})

test('a task without anything by itself has nothing in a plan that has no budget', () => {
  const { journal, draw } = begun()
  journal.propose('ann', 'q', goalOf(['d']))
  journal.work('cid', 'ann', planned('d', 'q'))
  assert.equal(draw('d', { id: 'q', by: 'cid' }), 'COM003 budget-exhausted')
  assert.equal(journal.budget('q'), undefined)
})

test('once a plan is over what was used of it is kept with it, and nothing more is drawn', () => {
  const { journal, draw } = begun()
  draw('a')
  assert.equal(journal.one('ann', { do: 'cancel', id: 'p' }), null)
  assert.deepEqual(journal.get('p')?.budget, {
    amounts: { tokens: 100, cost: 10 },
    used: { tokens: 60, cost: 0 },
  })
  assert.equal(journal.budget('p'), undefined)
  assert.equal(draw('a', { number: 2, amounts: { tokens: 1 } }), 'STA003 ended')
})

test('draws leave the plan as it was for who moves it', () => {
  const { journal, draw } = begun()
  const before = journal.get('p')
  draw('a')
  assert.deepEqual(journal.get('p'), before)
  assert.equal(journal.move('p', { do: 'system_state_change' }), null)
  assert.deepEqual(journal.get('p')?.budget, { amounts: { tokens: 100, cost: 10 } })
})

test('a plan with a budget counts for more than one without, as much as it may become', () => {
  const journal = new PlanJournal()
  const tasks = Array.from({ length: 128 }, (_, i) => `${'x'.repeat(100)}${i}`)
  journal.propose('ann', 'without', goalOf(tasks))
  journal.one('ann', { do: 'propose', id: 'p', goal: goalOf(tasks), budget: { tokens: Number.MAX_SAFE_INTEGER } })
  journal.work('bob', 'ann', ...tasks.slice(0, 64).map((id) => planned(id)))
  for (const task of tasks.slice(0, 64)) {
    const fence = journal.task(task)?.fence ?? { term: 0, index: 0 }
    const amounts = { tokens: 9_000_000_000_000, cost: 1, fanOut: 1 }
    assert.ok(journal.one('bob', { do: 'draw', id: 'p', task, fence, number: 1, amounts }))
  }
  const more = (journal.get('p')?.size ?? 0) - (journal.get('without')?.size ?? 0)
  const taken = JSON.stringify(journal.budget('p')).length
  assert.equal(journal.budget('p')?.tasks.length, 64)
  assert.ok(taken * 2 <= more, `${taken} characters for half of its tasks, and ${more} were counted for all`)
})
