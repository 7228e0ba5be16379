/** Tasks under the simulator. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runTasksWorld } from '../../sim/tasks/world.ts'

test('each task ends once, and no recorded effect runs again, on nodes that are killed and cut off', async () => {
  const totals = await runTasksWorld({ seed: 1, steps: 40 })
  assert.ok(totals.completed > 20)
  assert.deepEqual(await runTasksWorld({ seed: 1, steps: 40 }), totals, 'the same seed is the same run')
  assert.ok((await runTasksWorld({ seed: 2, steps: 40 })).completed > 20)
})
