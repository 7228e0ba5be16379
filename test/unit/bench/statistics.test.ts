import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { latencies, percentile, rounded, spread } from '../../bench/statistics.ts'

test('a percentile is the smallest value that the share of values does not exceed', () => {
  const values = Array.from({ length: 100 }, (_, i) => 100 - i)
  assert.equal(percentile(values, 0.5), 50)
  assert.equal(percentile(values, 0.99), 99)
  assert.equal(percentile(values, 1), 100)
  assert.equal(percentile(values, 0), 1)
  assert.equal(percentile([7], 0.99), 7)
})

test('a percentile of no values is not a number', () => {
  assert.ok(Number.isNaN(percentile([], 0.5)))
  assert.ok(Number.isNaN(spread([]).median))
})

test('values are ordered as numbers and not as text', () => {
  assert.deepEqual(spread([10, 9, 100]), { median: 10, min: 9, max: 100 })
})

test('the median of an even count is the mean of the middle two', () => {
  assert.deepEqual(spread([4, 1, 3, 2]), { median: 2.5, min: 1, max: 4 })
})

test('at least the share of all values is at or below the percentile, and it is one of them', () => {
  const values = fc.array(fc.double({ noNaN: true, min: -1e6, max: 1e6 }), { minLength: 1 })
  fc.assert(
    fc.property(values, fc.double({ noNaN: true, min: 0, max: 1 }), (list, share) => {
      const value = percentile(list, share)
      const below = list.filter((one) => one <= value).length
      assert.ok(list.some((one) => one === value))
      assert.ok(below >= share * list.length)
    }),
  )
})

test('a figure is shown with four significant digits', () => {
  assert.equal(rounded(123_456), 123_500)
  assert.equal(rounded(0.00123456), 0.001235)
})

test('latencies are all kept up to the capacity', () => {
  const kept = latencies(4)
  for (const value of [1, 2, 3, 4]) kept.add(value)
  assert.deepEqual([...kept.values()], [1, 2, 3, 4])
})

test('one past the capacity every second latency is kept, and later ones at the same spacing', () => {
  const kept = latencies(4)
  for (let value = 1; value <= 5; value++) kept.add(value)
  assert.deepEqual([...kept.values()], [1, 3, 5])
  for (let value = 6; value <= 9; value++) kept.add(value)
  assert.deepEqual([...kept.values()], [1, 5, 9])
})

test('latencies stay bounded and cover the whole run', () => {
  const kept = latencies(64)
  for (let value = 0; value < 100_000; value++) kept.add(value)
  const values = [...kept.values()]
  assert.ok(values.length > 16 && values.length <= 64)
  assert.ok(Math.max(...values) > 90_000)
  assert.equal(Math.min(...values), 0)
})
