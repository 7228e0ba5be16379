/** Rates: a burst at once, then so many a second, and keys that are forgotten come back with a full burst. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { createRateLimiter } from '../../../protocols/limits/rate-limiter.ts'

describe('rates', () => {
  it('let a burst pass, and then so many a second', () => {
    const rates = createRateLimiter({ perSecond: 10, burst: 3, maxKeys: 8 })
    assert.deepEqual(
      [0, 0, 0, 0].map((at) => rates.take('a', at)),
      [true, true, true, false],
    )
    assert.equal(rates.waitMs('a', 0), 100)
    assert.equal(rates.take('a', 99), false)
    assert.equal(rates.take('a', 200), true)
    assert.equal(rates.take('b', 200), true)
    assert.equal(rates.refused(), 2)
  })

  it('never let more pass than the burst and the rate allow, and forget keys beyond their bound', () => {
    const uses = fc.array(
      fc.record({ key: fc.constantFrom('a', 'b'), stepMs: fc.nat(400), cost: fc.integer({ min: 1, max: 5 }) }),
      { maxLength: 200 },
    )
    fc.assert(
      fc.property(uses, (list) => {
        const rates = createRateLimiter({ perSecond: 20, burst: 10, maxKeys: 2 })
        const spent = new Map<string, number>()
        let now = 0
        for (const { key, stepMs, cost } of list) {
          now += stepMs
          const waitMs = rates.waitMs(key, now, cost)
          const took = rates.take(key, now, cost)
          assert.equal(took, waitMs === 0)
          if (took) spent.set(key, (spent.get(key) ?? 0) + cost)
          assert.ok((spent.get(key) ?? 0) <= 10 + (now * 20) / 1000 + 1e-6)
          assert.ok(rates.keys() <= 2)
        }
      }),
    )
  })

  it('do not go back where the clock does, and never allow what costs more than a burst', () => {
    const rates = createRateLimiter({ perSecond: 1, burst: 2, maxKeys: 8 })
    assert.equal(rates.take('a', 10_000, 2), true)
    assert.equal(rates.take('a', 0), false)
    assert.equal(rates.take('a', 10_500), false)
    assert.equal(rates.take('b', 0, 3), false)
    assert.equal(rates.waitMs('b', 0, 3), Number.POSITIVE_INFINITY)
  })
})
