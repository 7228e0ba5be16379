/** How far the clocks of peers are from this one: what is measured, kept, told. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  answererSkew,
  askerSkew,
  certainMs,
  createClockSkews,
  newerSkew,
  ownError,
  type PeerSkew,
  refusedSkew,
  skewProblem,
  skewText,
} from '../../../../node/trust/clock-skew.ts'
import { ParleyError } from '../../../../protocols/errors.ts'
import { keptLog } from '../../../support/meshes.ts'

const span = fc.integer({ min: 0, max: 5_000 })
const skew = fc.integer({ min: -1e9, max: 1e9 })

test('what was measured holds the true difference, however the time was spent on the way', () => {
  fc.assert(
    fc.property(skew, span, span, (true_, thereMs, backMs) => {
      const sentAt = 1e12
      const asked = askerSkew(sentAt + thereMs + true_, sentAt + thereMs + backMs, thereMs + backMs)
      assert.ok(Math.abs(asked.skewMs - true_) <= asked.errorMs + 1e-6)
      const told = answererSkew(sentAt + true_, sentAt + thereMs, thereMs + backMs)
      assert.ok(Math.abs(told.skewMs - true_) <= told.errorMs + 1e-6)
      const known = newerSkew(told, asked)
      assert.ok(Math.abs(known.skewMs - true_) <= known.errorMs + 1e-6)
    }),
  )
})

test('a wide measurement does not replace a narrow one that it agrees with, and does replace one that it contradicts', () => {
  const narrow = { skewMs: 100, errorMs: 2 }
  assert.equal(newerSkew(narrow, { skewMs: 2_000, errorMs: 2_500 }), narrow)
  const other = { skewMs: 9_000, errorMs: 2_500 }
  assert.equal(newerSkew(narrow, other), other)
  const narrower = { skewMs: 101, errorMs: 1 }
  assert.equal(newerSkew(narrow, narrower), narrower)
  assert.equal(newerSkew(undefined, other), other)
})

test('only what is beyond doubt counts against a clock', () => {
  assert.equal(certainMs({ skewMs: -6_000, errorMs: 2_500 }), 3_500)
  assert.equal(certainMs({ skewMs: 100, errorMs: 2_500 }), 0)
})

test('a refusal for its time tells the difference, as the side saw it that refused', () => {
  const refusal = (remote: boolean) =>
    new ParleyError('SEC001', 'the clocks differ', { details: { reason: 'expired', skewMs: 90_000 }, remote })
  assert.equal(refusedSkew(refusal(false))?.skewMs, 90_000)
  assert.equal(refusedSkew(refusal(true))?.skewMs, -90_000)
  assert.equal(refusedSkew(new ParleyError('SEC001', 'no', { details: { reason: 'no-token' } })), undefined)
  assert.equal(refusedSkew(new Error('no')), undefined)
})

test('a difference is written with its direction', () => {
  assert.deepEqual(
    [skewText(12_340), skewText(-400), skewText(-250_000)],
    ['12.3 s ahead', '0.4 s behind', '250 s behind'],
  )
})

const of = (name: string, skewMs: number): PeerSkew => ({ peer: name, name, skewMs, errorMs: 10 })

test('people read whose clock is off, and that it is this one where most others agree', () => {
  const limit = 5_000
  assert.equal(skewProblem([of('ann', 5_010), of('bob', -5_010)], limit), undefined)
  assert.equal(skewProblem([of('ann', 5_011)], limit), "the clock of ann is 5.0 s ahead of this node's")
  assert.equal(
    skewProblem([of('ann', -7_000), of('bob', 3), of('cy', 2)], limit),
    "the clock of ann is 7.0 s behind this node's",
  )
  assert.equal(
    skewProblem([of('ann', -7_000), of('bob', 9_000), of('cy', 2)], limit),
    "the clocks of bob, ann differ from this node's by up to 9.0 s",
  )
  assert.equal(
    skewProblem([of('ann', 70_000), of('bob', 70_100), of('cy', 2)], limit),
    'the clock of this node is up to 70.1 s behind those of 2 of 3 peers',
  )
  const many = Array.from({ length: 9 }, (_, i) => of(`p${i}`, i % 2 === 0 ? 20_000 - i : -20_000 + i))
  assert.match(skewProblem(many, limit) ?? '', /^the clocks of p0, p1, p2 and 6 more differ .+ 20\.0 s$/)
})

const setUp = () => {
  const log = keptLog()
  const time = { wall: 1e12, mono: 0 }
  const clock = { now: () => time.wall, monotonic: () => time.mono }
  const skews = createClockSkews({ clock, log }, { maxSkewMs: 5_000 })
  const pass = (ms: number): void => {
    time.wall += ms
    time.mono += ms
  }
  return { log, time, skews, pass }
}

test('a peer that is too far off is logged once, and again after it was well', () => {
  const { log, skews } = setUp()
  skews.measured('a', 'ann', { skewMs: 8_000, errorMs: 10 })
  skews.measured('a', 'ann', { skewMs: 8_001, errorMs: 10 })
  assert.deepEqual(
    log.lines.map(({ level, fields }) => [level, fields?.name, fields?.skewMs]),
    [['warn', 'ann', 8_000]],
  )
  skews.measured('a', 'ann', { skewMs: 1, errorMs: 10 })
  skews.measured('a', 'ann', { skewMs: -8_000, errorMs: 10 })
  assert.equal(log.lines.length, 2)
  assert.match(skews.problem() ?? '', /ann is 8\.0 s behind/)
  skews.forget('a')
  assert.equal(skews.problem(), undefined)
  assert.equal(skews.get('a'), undefined)
})

test('a measurement is old after ten minutes, and void when this clock was set', () => {
  const { time, skews, pass } = setUp()
  assert.equal(skews.isStale('a'), true)
  skews.measured('a', 'ann', { skewMs: 0, errorMs: 1 })
  pass(599_999)
  assert.equal(skews.isStale('a'), false)
  pass(1)
  assert.equal(skews.isStale('a'), true)
  skews.measured('a', 'ann', { skewMs: 0, errorMs: 1 })
  time.wall -= 1_001
  assert.equal(skews.isStale('a'), true)
  // It agrees with the one before, which was made by another clock.
  skews.measured('a', 'ann', { skewMs: 1_001, errorMs: 2_000 })
  assert.equal(skews.get('a')?.skewMs, 1_001)
})

test('the metric has one row for each name, of the 50 largest', () => {
  const { skews } = setUp()
  for (let i = 1; i <= 51; i += 1) skews.measured(`p${i}`, `n${i}`, { skewMs: i, errorMs: 0 })
  skews.measured('other', 'n51', { skewMs: -60, errorMs: 0 })
  const rows = skews.rows()
  assert.equal(rows.length, 50)
  assert.deepEqual(rows[0], ['n51', -0.06])
  assert.ok(!rows.some(([name]) => name === 'n1'))
  assert.equal(skews.largest(), 0.06)
})

test('a clock that was set contradicts the peers that it agreed with, at once, and agrees again when it is set back', () => {
  const { log, time, skews, pass } = setUp()
  for (const peer of ['a', 'b', 'c']) skews.measured(peer, peer, { skewMs: 20, errorMs: 5 })
  pass(60_000)
  assert.equal(skews.ownProblem(), undefined)
  time.wall += 3_600_000
  assert.match(skews.ownProblem() ?? '', /was set and is 3600 s ahead of those of 3 of 3 peers: nobody new is admitted/)
  assert.equal(skews.problem(), skews.ownProblem())
  assert.equal(skews.get('a')?.skewMs, 20 - 3_600_000)
  // What they say of it meanwhile is shown, and counts for nothing: it is this clock that moved.
  skews.measuredOnRefusal('a', 'a', { skewMs: -3_600_000, errorMs: 5_000 })
  assert.match(skews.ownProblem() ?? '', /3 of 3/)
  time.wall -= 3_600_000
  assert.equal(skews.ownProblem(), undefined)
  time.wall -= 7_200_000
  assert.match(skews.ownProblem() ?? '', /is 7200 s behind those of 3 of 3 peers/)
  // They were set as well, and their cards are accepted again.
  for (const peer of ['a', 'b']) skews.measured(peer, peer, { skewMs: 3, errorMs: 1 })
  assert.equal(skews.ownProblem(), undefined)
  assert.equal(log.lines.length, 1, 'a doubt about a peer is told once')
})

test('peers that tell another time from one moment to the next do not make this clock wrong', () => {
  const { skews } = setUp()
  for (const peer of ['a', 'b', 'c']) {
    skews.measured(peer, peer, { skewMs: 0, errorMs: 5 })
    skews.measuredOnRefusal(peer, peer, { skewMs: 9e9, errorMs: 5 })
  }
  assert.equal(skews.ownProblem(), undefined)
  assert.match(skews.problem() ?? '', /the clock of this node is up to 9000000 s behind/)
})

test('most peers have to agree that it is this clock, and in which direction', () => {
  const far = (skewMs: number) => ({ skewMs, errorMs: 0 })
  assert.equal(ownError([], 60_000), undefined)
  assert.equal(ownError([far(60_000)], 60_000), undefined)
  assert.deepEqual(ownError([far(60_001)], 60_000), { aheadMs: -60_001, peers: 1, of: 1 })
  assert.equal(ownError([far(70_000), far(0)], 60_000), undefined)
  assert.equal(ownError([far(70_000), far(-70_000), far(0)], 60_000), undefined)
  assert.deepEqual(ownError([far(-70_000), far(-80_000), far(0)], 60_000), { aheadMs: 80_000, peers: 2, of: 3 })
  assert.equal(ownError([{ skewMs: 70_000, errorMs: 10_000 }], 60_000), undefined)
})
