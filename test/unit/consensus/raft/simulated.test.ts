/** The consensus core under faults; `npm run sim` does the same for many more seeds. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noTotals, runWorld } from '../../../sim/raft/world.ts'

const SEEDS = 100
const STEPS = 2_000

test('through crashes, cuts, lost disks and changes of voters nothing acknowledged is lost and nobody disagrees', () => {
  const totals = noTotals()
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    try {
      const one = runWorld({ seed, steps: STEPS })
      for (const name of Object.keys(totals) as (keyof typeof totals)[]) totals[name] += one[name]
    } catch (error) {
      throw new Error(`seed ${seed}: npm run sim -- --seed ${seed} --trace`, { cause: error })
    }
  }
  for (const [name, count] of Object.entries(totals)) assert.ok(count > 0, `${name}: none`)
})

test('the same seed is the same run', () => {
  const lines: [string[], string[]] = [[], []]
  for (const list of lines) runWorld({ seed: 7, steps: 500, trace: (line) => list.push(line) })
  assert.ok(lines[0].length > 100)
  assert.deepEqual(lines[0], lines[1])
})
