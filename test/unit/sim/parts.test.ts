/** A part of others under the simulator. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runPartsWorld } from '../../sim/parts/world.ts'

test('what a part decides counts once, on nodes that are killed, cut off, and started without it', async () => {
  for (const seed of [1, 2, 3]) {
    const totals = await runPartsWorld({ seed, steps: 30 })
    assert.ok(totals.acknowledged > 0)
    assert.deepEqual(await runPartsWorld({ seed, steps: 30 }), totals, 'the same seed is the same run')
  }
})
