import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allHold, best, judge, medianOf, pairRounds, ratio } from '../../bench/floors.ts'

const least = (byRound: readonly (number | undefined)[]) =>
  judge({ name: 'n', bound: 'least', byRound, floor: 1.5, aim: 3 })
const most = (byRound: readonly (number | undefined)[]) =>
  judge({ name: 'n', bound: 'most', byRound, floor: 20, aim: 5 })

test('a lower bound holds at the floor and not just below it', () => {
  assert.deepEqual(least([1.5, 1.5, 1.5]), {
    name: 'n',
    value: 1.5,
    middle: [1.5, 1.5],
    floor: 1.5,
    aim: 3,
    holds: true,
    reachesAim: false,
  })
  assert.equal(least([1.4999]).holds, false)
  assert.equal(least([3]).reachesAim, true)
})

test('an upper bound holds at the floor and not just above it', () => {
  assert.equal(most([20]).holds, true)
  assert.equal(most([20.001]).holds, false)
  assert.deepEqual([most([5]).reachesAim, most([5.001]).reachesAim], [true, false])
})

test('the exact value decides, not the rounded one that is shown', () => {
  const floor = least([1.49999])
  assert.equal(floor.value, 1.5)
  assert.equal(floor.holds, false)
})

test('the median of the rounds counts, not the best round', () => {
  assert.equal(least([9, 1, 1]).holds, false)
  assert.equal(least([0.1, 2, 2]).holds, true)
})

test('where half of the rounds lie is told beside the median, and outliers do not move it', () => {
  assert.deepEqual(least([1, 2, 3, 4, 5, 6, 7, 900]).middle, [2, 6])
  assert.equal(least([1, undefined]).middle, null)
})

test('a floor that lacks a round, has none, or is not a number was not measured and does not hold', () => {
  for (const byRound of [[2, undefined, 2], [], [Number.NaN], [2, Number.POSITIVE_INFINITY]]) {
    const floor = least(byRound)
    assert.equal(floor.value, null)
    assert.equal(floor.holds, false)
    assert.equal(floor.reachesAim, false)
  }
  assert.equal(most([undefined]).holds, false)
})

test('an aim that is relative to an absent system is not reached, while the floor still can hold', () => {
  const floor = judge({ name: 'n', bound: 'least', byRound: [5], floor: 1, aim: null })
  assert.deepEqual([floor.holds, floor.reachesAim, floor.aim], [true, false, null])
})

test('ratios are taken round by round, and their median is not the ratio of the medians', () => {
  const over = [10, 100, 30]
  const under = [10, 10, 1]
  assert.deepEqual(ratio(over, under), [1, 10, 30])
  assert.equal(medianOf(ratio(over, under)), 10)
})

test('a ratio against a system that lacks a round lacks that round', () => {
  assert.deepEqual(ratio([4, 4], [2, undefined]), [2, undefined])
  assert.deepEqual(best([1, 5], [3, undefined]), [3, undefined])
  assert.deepEqual(
    pairRounds([[1, 2], [3]], ([a = 0, b = 0]) => a + b),
    [4, undefined],
  )
})

test('a check passes when every floor holds, and never when there is none', () => {
  assert.equal(allHold([least([2]), most([2])]), true)
  assert.equal(allHold([least([2]), most([undefined])]), false)
  assert.equal(allHold([]), false)
})
