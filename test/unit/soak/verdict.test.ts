import assert from 'node:assert/strict'
import { test } from 'node:test'
import { boundOf } from '../../soak/bounds.ts'
import { allowance, complaints, judge, MIN_SAMPLES, type Outcome, warmUpMinutes } from '../../soak/verdict.ts'

/** Samples of ten minutes, one each quarter of a minute. */
const line = (perMinute: number, wobble = 0, count = 33) =>
  Array.from({ length: count }, (_, i) => ({
    minute: 2 + i / 4,
    value: 100 + (perMinute * i) / 4 + (i % 2 === 0 ? wobble : -wobble),
  }))

test('a figure that stays, falls or grows below its bound is flat', () => {
  for (const perMinute of [0, -50, 0.9]) assert.equal(judge('core', 'heap MiB', line(perMinute)).verdict, 'flat')
})

test('a figure that grows above its bound grows', () => {
  assert.equal(judge('core', 'heap MiB', line(1.1)).verdict, 'GROWS')
  assert.equal(judge('core', 'fds', line(0.6)).verdict, 'GROWS')
})

test('noise is granted twice its error, and at most the bound once more', () => {
  assert.equal(allowance(1, 0), 1)
  assert.equal(allowance(1, 0.2), 1.4)
  assert.equal(allowance(1, 50), 2)
  assert.equal(judge('core', 'heap MiB', line(1.2, 5)).verdict, 'flat')
  assert.equal(judge('core', 'heap MiB', line(2.5, 50)).verdict, 'GROWS')
})

test('a time is shown and not judged', () => {
  assert.deepEqual(
    ['bound', 'verdict'].map((key) => Reflect.get(judge('core', 'loop p99 ms', line(99)), key)),
    [undefined, '-'],
  )
})

test('too few samples are not judged as growing', () => {
  assert.equal(judge('core', 'fds', line(100, 0, MIN_SAMPLES - 1)).verdict, 'flat')
  assert.equal(judge('core', 'fds', line(100, 0, MIN_SAMPLES)).verdict, 'GROWS')
})

test('one sample that is far off is no growth, at the end as anywhere; steps that stay are', () => {
  const counts = [8, 9, 8, 7, 8, 9, 8, 8, 7, 8, 9, 8]
  const points = (values: readonly number[]) => values.map((value, i) => ({ minute: 2 + i * 0.7, value }))
  for (const at of [0, 5, 11]) {
    const spiky = counts.map((value, i) => (i === at ? 60 : value))
    assert.equal(judge('core', 'timeouts', points(spiky)).verdict, 'flat', `at ${at}`)
  }
  const steps = counts.map((value, i) => value + (i < 6 ? 0 : 10))
  assert.equal(judge('core', 'timeouts', points(steps)).verdict, 'GROWS')
  const leak = counts.map((value, i) => value + i)
  assert.equal(judge('core', 'timeouts', points(leak)).verdict, 'GROWS')
})

test('bounds hold for a run of ten minutes and longer, and are wider for shorter ones', () => {
  assert.equal(boundOf('heap MiB', 7), 1)
  assert.equal(boundOf('heap MiB', 500), 1)
  assert.equal(boundOf('something else that is counted', 8), 0.5)
  assert.equal(boundOf('heap MiB', 7 / 4), 8)
  assert.equal(boundOf('constructor', 8), 0.5)
})

test('a fifth of the time is warm-up, and at least two minutes of five', () => {
  assert.deepEqual([1, 2, 5, 10, 100].map(warmUpMinutes), [0.3, 0.4, 2, 2, 20])
})

const good: Outcome = {
  minutes: 10,
  calls: 1_000_000,
  joins: 500,
  leaves: 500,
  unexpected: 0,
  heardShare: 1,
  unheard: 0,
  heapAtEnd: [{ who: 'core', perMinute: 9 }],
  judged: [judge('core', 'fds', line(0))],
}

test('a run that did enough, failed nowhere and grew nowhere has no complaint', () => {
  assert.deepEqual(complaints(good), [])
})

test('each thing that is wrong is told', () => {
  const told = (change: Partial<Outcome>) => complaints({ ...good, ...change }).join()
  assert.match(told({ calls: 999_999 }), /999999 calls, 1000000 were to be made/)
  assert.equal(told({ minutes: 20 }), told({}), 'a longer run needs no more')
  assert.match(told({ minutes: 1, calls: 99_999 }), /99999 calls, 100000 were to be made/)
  assert.match(told({ joins: 499 }), /499 joins and 500 leaves/)
  assert.match(told({ leaves: 499 }), /500 joins and 499 leaves/)
  assert.match(told({ unexpected: 1 }), /1 unexpected/)
  assert.match(told({ heardShare: 0.5 }), /50 %/)
  assert.match(told({ unheard: 1 }), /1 events of the core were not heard/)
  assert.match(told({ judged: [judge('core-1', 'fds', line(9))] }), /1 figure grows: fds of core-1/)
  assert.match(told({ judged: [] }), /too few samples/)
})

test('the end of a run of half an hour is judged strictly, that of a shorter one is not', () => {
  const long = (perMinute: number, minutes = 30) =>
    complaints({ ...good, minutes, calls: 3e6, joins: 2_000, leaves: 2_000, heapAtEnd: [{ who: 'core-1', perMinute }] })
  assert.deepEqual([long(0.29), long(-1), long(0.3, 29)], [[], [], []])
  assert.match(long(0.3).join(), /last 10 minutes, MiB a minute: core-1 0.30/)
})
