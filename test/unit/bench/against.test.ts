import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { betterOf, floorsAgainst, KEPT, ratioOf, suiteAgainst, TAIL_KEPT } from '../../bench/against.ts'
import { createLedger } from '../../bench/ledger.ts'
import type { Suite } from '../../bench/suite.ts'

const OLDER = 'parley@0123456'
const ROUNDS = 5

/** Figures of one metric by round, of the tree and of the older commit. */
const ledgerOf = (metric: string, unit: string, tree: readonly number[], older: readonly number[]) => {
  const ledger = createLedger(ROUNDS)
  const record = (system: string, values: readonly number[]): void => {
    for (const [round, value] of values.entries()) ledger.record(round, system, [{ case: 'c', metric, unit, value }])
  }
  record('parley', tree)
  record(OLDER, older)
  return ledger
}
const flat = (value: number): number[] => Array.from({ length: ROUNDS }, () => value)
const floorOf = (...given: Parameters<typeof ledgerOf>) => floorsAgainst(ledgerOf(...given), OLDER)

test('rates are better when more, times, memory and processor when less, faults only when none', () => {
  for (const unit of ['/s', 'MB/s']) assert.equal(betterOf({ metric: 'any', unit }), 'more')
  for (const unit of ['ms', 's', 'MiB RSS', 'MiB a node', '% of a core', 'µs/message']) {
    assert.equal(betterOf({ metric: 'any', unit }), 'less')
  }
  assert.equal(betterOf({ metric: 'lost', unit: 'messages' }), 'none')
  assert.equal(betterOf({ metric: 'doubled', unit: 'events' }), 'none')
})

test('what is neither good nor bad has no floor', () => {
  assert.equal(betterOf({ metric: 'peers, least', unit: 'of a node' }), undefined)
  assert.deepEqual(floorOf('acknowledged', '', flat(1), flat(9)), [])
})

test('a rate and a time of 0.97 hold, and what is just below does not', () => {
  assert.equal(floorOf('requests', '/s', flat(97), flat(100))[0]?.holds, true)
  assert.equal(floorOf('requests', '/s', flat(96.9), flat(100))[0]?.holds, false)
  assert.equal(floorOf('p50', 'ms', flat(100), flat(97))[0]?.holds, true)
  assert.equal(floorOf('p50', 'ms', flat(100), flat(96.9))[0]?.holds, false)
})

test('the floor names the commit, the case and the metric, and shows the ratio', () => {
  const [floor] = floorOf('requests', '/s', flat(110), flat(100))
  assert.deepEqual(floor, {
    name: `against ${OLDER}: c, requests`,
    value: 1.1,
    middle: [1.1, 1.1],
    floor: KEPT,
    aim: null,
    holds: true,
    reachesAim: false,
  })
})

test('a tail fails where it became twice as long, and not before', () => {
  assert.equal(floorOf('p99', 'ms', flat(2), flat(1))[0]?.holds, true)
  assert.equal(floorOf('p99', 'ms', flat(2.01), flat(1))[0]?.holds, false)
  assert.equal(floorOf('p99', 'ms', flat(1), flat(1))[0]?.floor, TAIL_KEPT)
})

test('one lost event where none was lost before fails; fewer than before holds', () => {
  assert.equal(floorOf('lost', 'events', flat(0), flat(0))[0]?.holds, true)
  assert.equal(floorOf('lost', 'events', flat(1), flat(0))[0]?.holds, false)
  assert.equal(floorOf('lost', 'events', flat(1), flat(2))[0]?.holds, true)
})

test('a slow phase that hits both of one round costs nothing', () => {
  assert.equal(floorOf('requests', '/s', [100, 10, 100, 20, 100], [100, 10, 100, 20, 100])[0]?.value, 1)
})

test('a round that one of them lacks leaves the figure unmeasured, which does not hold', () => {
  const floors = floorOf('requests', '/s', flat(100), flat(100).slice(1))
  assert.deepEqual([floors[0]?.value, floors[0]?.holds], [null, false])
})

test('the ratio is above 1 exactly where the tree is better', () => {
  const figure = fc.double({ min: 1e-6, max: 1e9, noNaN: true })
  fc.assert(
    fc.property(figure, figure, (tree, older) => {
      assert.equal(ratioOf('more', tree, older) > 1, tree / older > 1)
      assert.equal(ratioOf('less', tree, older), ratioOf('more', older, tree))
    }),
  )
  assert.equal(ratioOf('less', 0, 0), 1)
})

test('of a suite only the tree and the commit are measured, in turns', () => {
  const suite: Suite = {
    name: 'x',
    about: '',
    systems: ['parley', 'nats'],
    measure: async () => [],
    floors: () => [],
  }
  const { systems, entries, mirrored } = suiteAgainst(suite, OLDER, 'note', '/older')
  assert.deepEqual(systems, ['parley', OLDER])
  assert.equal(mirrored, true)
  assert.deepEqual(
    entries?.map(({ name, note }) => [name, note]),
    [[OLDER, 'note']],
  )
})

test('a suite that measures both in one process is given the module of the older tree, and its figures are judged', async () => {
  const asked: unknown[] = []
  const figure = { case: 'c', metric: 'processor', unit: 'µs/message' }
  const suite: Suite = {
    name: 'x',
    about: '',
    systems: ['parley'],
    measure: async () => [],
    beside: (older) => {
      asked.push(older)
      return async () => [
        { ...figure, value: 96 },
        { ...figure, system: OLDER, value: 100 },
      ]
    },
    floors: () => [],
  }
  const against = suiteAgainst(suite, OLDER, 'note', '/older')
  assert.deepEqual(asked, [{ name: OLDER, module: 'file:///older/test/bench/systems/parley.ts' }])
  const ledger = createLedger(1)
  const start = () => assert.fail('nothing is started here')
  ledger.record(0, 'parley', await against.measure(start, async () => {}))
  assert.deepEqual(
    against.floors(ledger).map(({ value, holds }) => [value, holds]),
    [[1.042, true]],
  )
})
