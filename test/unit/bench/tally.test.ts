import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTally } from '../../bench/tally.ts'

test('every event of the range counts once, in any order', () => {
  const tally = createTally(100, 10)
  for (const sequence of [109, 100, 104]) tally.add(sequence, 1, 3)
  assert.deepEqual(tally.count(), { received: 3, doubled: 0, lastAtMs: 3 })
  assert.deepEqual([...tally.latenciesMs()], [2, 2, 2])
})

test('a second copy is told apart and does not move the last arrival', () => {
  const tally = createTally(0, 8)
  tally.add(7, 0, 1)
  tally.add(7, 0, 9)
  assert.equal(tally.received(), 1)
  assert.equal(tally.count().doubled, 1)
  assert.equal(tally.lastAtMs(), 1)
})

test('numbers just outside the range, and text that is no number, are of no measurement', () => {
  const tally = createTally(10, 9)
  for (const sequence of [9, 19, Number.NaN]) tally.add(sequence, 0, 1)
  assert.equal(tally.received(), 0)
  tally.add(10, 0, 1)
  tally.add(18, 0, 1)
  assert.equal(tally.received(), 2)
})

test('a tally of nothing has finite figures, because they travel as JSON', () => {
  assert.deepEqual(createTally(0, 1).count(), { received: 0, doubled: 0, lastAtMs: 0 })
})
