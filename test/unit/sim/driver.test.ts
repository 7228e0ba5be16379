/** The real driver and the real store over Ports, under faults; `npm run sim -- --scenario driver` does many more seeds. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runPortWorld } from '../../sim/port/world.ts'
import { SCENARIOS, type Totals } from '../../sim/scenarios.ts'

const FIRST = 1
const SEEDS = 16
const STEPS = 5_000

test('through kills, power cuts and disks that fill, fail, slow down and go, nothing acknowledged is lost', async () => {
  const totals: Record<string, number> = {}
  for (let seed = FIRST; seed < FIRST + SEEDS; seed += 1) {
    try {
      const one: Totals = { ...(await runPortWorld({ seed, steps: STEPS })) }
      for (const [name, count] of Object.entries(one)) totals[name] = (totals[name] ?? 0) + count
    } catch (error) {
      const again = `npm run sim -- --scenario driver --seed ${seed} --steps ${STEPS} --trace`
      throw new Error(`seed ${seed}: ${again}`, { cause: error })
    }
  }
  for (const name of SCENARIOS.driver?.needed ?? []) assert.ok((totals[name] ?? 0) > 0, `${name}: none`)
})

test('the same seed is the same run of the driver', async () => {
  const lines: [string[], string[]] = [[], []]
  for (const list of lines) await runPortWorld({ seed: 7, steps: 3_000, trace: (line) => list.push(line) })
  assert.ok(lines[0].length > 10, `${lines[0].length} lines`)
  assert.deepEqual(lines[0], lines[1])
})
