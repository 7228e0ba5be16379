/** Plans under the simulator. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runPlansWorld } from '../../sim/plans/world.ts'

test('each plan ends, and its tasks are at who it says, while nodes are killed and cut off', async () => {
  const totals = await runPlansWorld({ seed: 1, steps: 15 })
  assert.deepEqual(await runPlansWorld({ seed: 1, steps: 15 }), totals, 'the same seed is the same run')
  let [completed, resumed] = [totals.completed ?? 0, totals.resumed ?? 0]
  for (const seed of [2, 3]) {
    const more = await runPlansWorld({ seed, steps: 15 })
    completed += more.completed ?? 0
    resumed += more.resumed ?? 0
  }
  assert.ok(completed > 5 && resumed > 0, `${completed} plans completed, ${resumed} by more than one coordinator`)
})
