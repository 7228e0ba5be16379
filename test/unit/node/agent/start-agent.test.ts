import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createRestartPolicy, RESTART_LIMITS } from '../../../../node/agent/start-agent.ts'

test('five crashes within a minute are forgiven, the sixth is not', () => {
  const crashed = createRestartPolicy()
  const waits = [0, 1, 2, 3, 4].map((at) => crashed(at * 1000))
  assert.deepEqual(waits, [250, 500, 1000, 2000, 4000])
  assert.equal(crashed(59_999), undefined)
})

test('a crash is forgotten once the window has passed', () => {
  const crashed = createRestartPolicy()
  for (const at of [0, 1, 2, 3, 4]) crashed(at)
  assert.equal(crashed(60_000), 4000, 'the first is out of the window, so this is the fifth')
  assert.equal(crashed(60_001), 4000)
  assert.equal(crashed(60_001), undefined)
})

test('the wait never exceeds its bound', () => {
  const crashed = createRestartPolicy({ ...RESTART_LIMITS, maxRestarts: 100 })
  const waits = Array.from({ length: 40 }, (_, at) => crashed(at))
  assert.equal(Math.max(...waits.map((wait) => wait ?? 0)), RESTART_LIMITS.backoffMaxMs)
})

test('never more than maxRestarts restarts lie within any window', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 60 }), (gaps) => {
      const crashed = createRestartPolicy({ maxRestarts: 3, windowMs: 1000, backoffMinMs: 1, backoffMaxMs: 10 })
      const restarted: number[] = []
      let now = 0
      for (const gap of gaps) {
        now += gap
        if (crashed(now) === undefined) break
        restarted.push(now)
        const recent = restarted.filter((at) => now - at < 1000)
        assert.ok(recent.length <= 3)
      }
    }),
  )
})
