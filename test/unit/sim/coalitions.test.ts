/** Coalitions under the simulator. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runCoalitionsWorld } from '../../sim/coalitions/world.ts'

test('who leads a coalition is one, and each ends, while nodes are killed and cut off and members refuse', async () => {
  const totals = await runCoalitionsWorld({ seed: 1, steps: 25 })
  assert.deepEqual(await runCoalitionsWorld({ seed: 1, steps: 25 }), totals, 'the same seed is the same run')
  const sums = { formed: 0, led: 0, resumed: 0, outages: 0 }
  // In 6 and 18 there were faults once.
  for (const [seed, steps] of [
    [6, 40],
    [16, 40],
    [18, 40],
    [109, 40],
  ] as const) {
    const more = await runCoalitionsWorld({ seed, steps })
    for (const name of ['formed', 'led', 'resumed', 'outages'] as const) sums[name] += more[name] ?? 0
  }
  assert.ok(sums.formed > 15 && sums.led > 5 && sums.resumed > 5 && sums.outages > 0, JSON.stringify(sums))
})
