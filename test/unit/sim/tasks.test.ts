/** Tasks under the simulator. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runTasksWorld } from '../../sim/tasks/world.ts'

test('each task ends once, and no recorded effect runs again, on nodes that are killed and cut off', async () => {
  const totals = await runTasksWorld({ seed: 1, steps: 25 })
  assert.ok(totals.completed > 10)
  assert.deepEqual(await runTasksWorld({ seed: 1, steps: 25 }), totals, 'the same seed is the same run')
  let readAll = 0
  let needyAll = 0
  for (const seed of [2, 3, 4]) {
    const { completed, kept, read, needy } = await runTasksWorld({ seed, steps: 25 })
    assert.ok(completed > 10 && kept > 5, `seed ${seed}: ${completed}, large values ${kept}, ${read}`)
    needyAll += needy
    readAll += read
  }
  assert.ok(readAll > 0, `${readAll} large results were read`)
  assert.ok(needyAll > 10, `${needyAll} attempts with what their task requires`)
})
