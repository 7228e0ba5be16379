/** Plans that are over: how long each is kept, and whose goes first where they are too many. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PlanRecord } from '../../../protocols/coordination/plan-record.ts'
import { MOST_OVER, OverPlans } from '../../../protocols/coordination/runner/over-plans.ts'

const over = (owner: string, changedAt: number, goal = 'x'): PlanRecord => ({
  ...{ goal, tasks: ['a'], maxFailures: 1, owner, state: 'idle', revision: 1, assignments: [], offline: [] },
  ...{ failures: 0, outcome: 'completed', madeAt: 0, changedAt, fence: { term: 1, index: 1 }, moves: [], size: 0 },
})
const free = () => false
const HOUR_MS = 3_600_000

test('each is kept for an hour', () => {
  const plans = new OverPlans()
  plans.set('old', over('ann', 0))
  plans.set('new', over('ann', 10))
  assert.deepEqual(plans.toForget(HOUR_MS, free), [])
  assert.deepEqual(plans.toForget(HOUR_MS + 5, free), ['old'])
  assert.deepEqual(
    plans.toForget(HOUR_MS + 5, (id) => id === 'old'),
    [],
  )
  plans.set('old', undefined)
  assert.equal(plans.size(), 1)
})

test('where they are too many those of who has the most go first, and nobody else loses his', () => {
  const plans = new OverPlans()
  for (let i = 0; i < 10; i += 1) plans.set(`mine${i}`, over('ann', i))
  for (let i = 0; i < MOST_OVER; i += 1) plans.set(`theirs${i}`, over('eve', 100 + i))
  assert.deepEqual(
    plans.toForget(5_000, free),
    Array.from({ length: 10 }, (_, i) => `theirs${i}`),
  )
  // By bytes as well: two MiB.
  const large = new OverPlans()
  for (let i = 0; i < 5; i += 1) large.set(`mine${i}`, over('ann', i))
  for (let i = 0; i < 300; i += 1) large.set(`theirs${i}`, over('eve', 100 + i, 'x'.repeat(10_000)))
  const gone = large.toForget(5_000, free)
  assert.ok(gone.length > 80 && gone.length < 110, `${gone.length}`)
  assert.ok(gone.every((id) => id.startsWith('theirs')))
  assert.deepEqual(
    large.toForget(5_000, (id) => id.startsWith('theirs')),
    ['mine0', 'mine1', 'mine2', 'mine3', 'mine4'],
  )
})

test('what one owner has is looked at in a moment, however many owners there are', () => {
  const plans = new OverPlans()
  for (let i = 0; i < 2 * MOST_OVER; i += 1) plans.set(`p${i}`, over(`owner${i}`, i))
  assert.equal(plans.toForget(5_000, free).length, 256)
})
