/** Tasks under the simulator. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runTasksWorld } from '../../sim/tasks/world.ts'

test('each task ends once, and no recorded effect runs again, on nodes that are killed and cut off', async () => {
  const totals = await runTasksWorld({ seed: 1, steps: 25 })
  assert.ok(totals.completed > 10)
  assert.deepEqual(await runTasksWorld({ seed: 1, steps: 25 }), totals, 'the same seed is the same run')
  let completedAll = 0
  let [readAll, keptAll] = [0, 0]
  let needyAll = 0
  for (const seed of [2, 3, 4]) {
    const { completed, kept, read, needy } = await runTasksWorld({ seed, steps: 25 })
    assert.ok(completed > 5 && kept > 1, `seed ${seed}: ${completed}, large values ${kept}, ${read}`)
    keptAll += kept
    completedAll += completed
    needyAll += needy
    readAll += read
  }
  // Some submissions are given up, and some tasks have too little to spend.
  assert.ok(completedAll > 30, `${completedAll} were completed`)
  assert.ok(keptAll > 15, `${keptAll} large values were kept`)
  assert.ok(readAll > 0, `${readAll} large results were read`)
  assert.ok(needyAll > 10, `${needyAll} attempts with what their task requires`)
})
