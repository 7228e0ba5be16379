/** Whose turn is next where more waits than may be in work at once, as with plans. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FairTurns } from '../../../protocols/coordination/runner/fair-turns.ts'

const MAX_DRIVEN = 1_024

/** All that are driven now, of those that were added. */
const drive = (plans: FairTurns): string[] => {
  const ids: string[] = []
  for (let id = plans.next(); id !== undefined; id = plans.next()) ids.push(id)
  return ids
}
const addMany = (plans: FairTurns, owner: string, count: number): void => {
  for (let i = 0; i < count; i += 1) plans.add(`${owner}-${i}`, owner)
}

test('plans are driven in their order, and each once', () => {
  const plans = new FairTurns(MAX_DRIVEN)
  addMany(plans, 'ann', 3)
  plans.delete('ann-1')
  assert.deepEqual(drive(plans), ['ann-0', 'ann-2'])
  plans.add('ann-0', 'ann')
  assert.deepEqual(drive(plans), [])
  assert.equal(plans.size(), 2)
  plans.done('ann-0')
  plans.add('ann-0', 'ann')
  assert.deepEqual(drive(plans), ['ann-0'])
})

test('however many plans others have, who has none driven gets one at once', () => {
  const plans = new FairTurns(MAX_DRIVEN)
  const greedy = ['eve', 'mallory', 'trudy']
  for (const owner of greedy) addMany(plans, owner, 2 * MAX_DRIVEN)
  const driven = drive(plans)
  assert.ok(driven.length < MAX_DRIVEN && driven.length > MAX_DRIVEN / 2, `${driven.length}`)
  const counts = greedy.map((owner) => driven.filter((id) => id.startsWith(owner)).length)
  assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, `${counts}`)
  plans.add('ann-0', 'ann')
  assert.deepEqual(drive(plans), ['ann-0'])
  plans.done(driven[0] ?? '')
  assert.ok(drive(plans).length <= 1)
})

test('it never drives more than it may, and who takes over a plan answers for it', () => {
  const plans = new FairTurns(MAX_DRIVEN)
  for (let i = 0; i < 2 * MAX_DRIVEN; i += 1) plans.add(`${i}`, `owner-${i}`)
  assert.equal(drive(plans).length, MAX_DRIVEN)
  plans.add('2000', 'ann')
  assert.equal(plans.size(), 2 * MAX_DRIVEN)
  for (let i = 0; i < MAX_DRIVEN; i += 1) plans.done(`${i}`)
  assert.equal(drive(plans).length, MAX_DRIVEN)
  assert.equal(plans.size(), MAX_DRIVEN)
})
