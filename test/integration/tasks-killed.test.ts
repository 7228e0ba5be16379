/** Tasks on seven processes that are killed: the scenario of `npm run crash -- --tasks`, with few of them. */
import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { taskScenarios } from '../crash/tasks/scenarios.ts'
import { killAll } from '../soak/child.ts'

describe('tasks, between processes', { timeout: 180_000 }, () => {
  after(killAll)
  it('coordinator, worker and requester are killed: each task ends once, and no recorded effect runs again', async () => {
    const [kills] = taskScenarios(24, false)
    const run = { seed: 4, kills: 0, rounds: 0, slowSeconds: 0, flips: 0, tears: 0, tasks: 24, say() {} }
    const { figures, violations } = (await kills?.play(run)) ?? { figures: {}, violations: ['there is no scenario'] }
    assert.deepEqual(violations, [])
    assert.ok((figures.kills ?? 0) > 0)
    assert.equal(figures.completed, 24)
  })
})
