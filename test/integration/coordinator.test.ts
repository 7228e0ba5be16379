/**
 * Five nodes as processes of their own that are killed and frozen while programs use the journal; a small version of
 * `npm run crash`, with times that a busy machine keeps. Its other scenarios are played by `.ci/run`.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import { play, type Scene } from '../crash/play.ts'
import { allKilled } from '../crash/scenarios/all-killed.ts'
import { freezes } from '../crash/scenarios/freezes.ts'
import { kills } from '../crash/scenarios/kills.ts'
import { openStage, type Stage } from '../crash/stage.ts'

const SLOW_MS = 10_000

describe('five nodes with a journal', { timeout: 140_000 }, () => {
  let stage: Stage
  before(async () => {
    stage = await openStage({ seed: 1, directEveryMs: 50, paceMs: 250, snapshotEvery: 200 })
  })
  after(() => stage?.end())

  const well = async (t: TestContext, scene: Scene): Promise<void> => {
    const { figures, violations } = await play(stage, scene)
    const shown = Object.entries(figures).map(([name, value]) => `${name} ${Math.round(value)}`)
    t.diagnostic(shown.join('; '))
    assert.deepEqual(violations, [])
  }

  it('a coordinator that is killed is replaced, and nothing that was answered is lost or done twice', (t) =>
    well(t, kills({ kills: 2, p99Ms: SLOW_MS })))

  it('a coordinator that was frozen does not act on waking, and what it sends late is refused', (t) =>
    well(t, freezes({ freezes: 1, otherActsMs: SLOW_MS })))

  it('all nodes are killed at once and go on from their disks', (t) => well(t, allKilled({ rounds: 1 })))
})
