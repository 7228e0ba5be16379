/** Durable messages over processes that are killed for real: a small share of what `npm run crash -- --rounds N` plays. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { playMessages } from '../crash/messages/play.ts'
import { messageKills } from '../crash/messages/scenarios/kills.ts'
import { RECEIVER, SENDER, THIRD } from '../crash/messages/stage.ts'
import { killAll } from '../soak/child.ts'

describe('durable messages over crashes', { timeout: 120_000 }, () => {
  it('sender and receiver are killed: nothing is lost, EXACTLY_ONCE counts once, conversations keep their order', async (t) => {
    const seed = Date.now() % 1_000_000
    t.diagnostic(`seed ${seed}`)
    t.after(killAll)
    const { figures, violations } = await playMessages(
      { seed, names: [SENDER, RECEIVER, THIRD], say: (line) => t.diagnostic(line) },
      messageKills({ rounds: 2, messages: 500, judgeEvery: 2 }),
    )
    assert.deepEqual(violations, [])
    assert.ok((figures['kills of S'] ?? 0) + (figures['kills of R'] ?? 0) >= 2)
    assert.equal(figures.lost, 0)
    assert.equal(figures.twice, 0)
  })
})
