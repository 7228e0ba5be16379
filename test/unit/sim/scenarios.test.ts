/** The named scenarios: each runs, and has what it says. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runShared } from '../../sim/jobs.ts'
import { FAULTS, MIXES } from '../../sim/raft/mixes.ts'
import { runSeeds } from '../../sim/run-seeds.ts'
import { SCENARIOS } from '../../sim/scenarios.ts'

const SEEDS = 12
const STEPS = 1_000

for (const [name, mix] of Object.entries(MIXES))
  test(`under ${name} (${mix.about}) nothing is lost and nobody disagrees`, async () => {
    const share = { scenario: name, first: 1, last: SEEDS, stride: 1, steps: STEPS }
    const result = await runSeeds(share)
    assert.equal('failed' in result ? JSON.stringify(result.failed) : undefined, undefined)
    for (const needed of SCENARIOS[name]?.needed ?? []) assert.ok(needed in result.totals, needed)
    assert.ok((result.totals.steps ?? 0) >= SEEDS * STEPS)
    if (mix.faults.power === undefined && mix.faults.crash === undefined && mix.dies === 0)
      assert.equal(result.totals.crashes, 0)
  })

test('every fault is in a mix, and in the one that has them all', () => {
  for (const fault of FAULTS) assert.ok((MIXES.all?.faults[fault] ?? 0) > 0, fault)
})

test('cuts, one way or both, do not make elections flap: a group that nothing else befalls has few of them', async () => {
  const share = { scenario: 'one-way', first: 1, last: 40, stride: 1, steps: 2_000 }
  const { totals } = await runSeeds(share)
  const [elections = 0, partitions = 0] = [totals.elections, totals.partitions]
  assert.ok(partitions > 300, `${partitions} cuts`)
  assert.ok(elections < partitions / 3, `${elections} elections, ${partitions} cuts`)
})

test('seeds that are shared among threads come to the same', async () => {
  const share = { scenario: 'quiet', first: 3, last: 9, steps: 300 }
  assert.deepEqual(await runShared(share, 2), await runSeeds({ ...share, stride: 1 }))
})

test('a scenario that is not there fails, also in a thread', async () => {
  const share = { scenario: 'none', first: 1, last: 1, steps: 100 }
  await assert.rejects(runSeeds({ ...share, stride: 1 }), /no scenario none/)
  await assert.rejects(runShared(share, 1), /no scenario none/)
})
