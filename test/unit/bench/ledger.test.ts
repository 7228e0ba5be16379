import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLedger } from '../../bench/ledger.ts'

const reading = (value: number) => ({ case: 'c', metric: 'm', unit: '/s', value })

test('a row tells median, least and greatest of its rounds', () => {
  const ledger = createLedger(3)
  for (const [round, value] of [30, 10, 20].entries()) ledger.record(round, 'a', [reading(value)])
  assert.deepEqual(ledger.rows(), [
    { system: 'a', case: 'c', metric: 'm', unit: '/s', median: 20, min: 10, max: 30, rounds: 3 },
  ])
})

test('a round that is missing stays missing in the values and is not counted in the row', () => {
  const ledger = createLedger(3)
  ledger.record(2, 'a', [reading(5)])
  assert.deepEqual(ledger.values('a', 'c', 'm'), [undefined, undefined, 5])
  assert.equal(ledger.rows()[0]?.rounds, 1)
})

test('a system that was not measured has no value in any round', () => {
  assert.deepEqual(createLedger(2).values('b', 'c', 'm'), [undefined, undefined])
})

test('the same figure twice in one round is refused', () => {
  const ledger = createLedger(1)
  ledger.record(0, 'a', [reading(1)])
  assert.throws(() => ledger.record(0, 'a', [reading(2)]), /twice in round 0/)
})

test('names that would run together are kept apart', () => {
  const ledger = createLedger(1)
  ledger.record(0, 'a', [{ case: 'b c', metric: 'd', unit: '', value: 1 }])
  ledger.record(0, 'a', [{ case: 'b', metric: 'c d', unit: '', value: 2 }])
  assert.equal(ledger.rows().length, 2)
})
