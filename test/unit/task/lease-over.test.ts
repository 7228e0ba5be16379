/** What comes of a task whose worker found its lease over while nobody coordinated. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { delay } from '../../../protocols/async.ts'
import { startTasks, TASK_PARTS } from '../../sim/tasks/node-tasks.ts'
import { createJournalMesh } from '../../support/journal-mesh.ts'

const AWAY_MS = 40_000

test('another attempt is made, although the registration of its worker is as good as before', async () => {
  const mesh = createJournalMesh({ seed: 7, autopilot: { replaceAfterMs: 600_000 } })
  const { time } = mesh
  const start = async (name: string, expect?: number) => {
    const node = await mesh.start(name, { parts: TASK_PARTS, ...(expect !== undefined && { expect }) })
    return { node, ...(await startTasks(node)) }
  }
  const [one, ...others] = [await start('m0', 3), await start('m1', 3), await start('m2', 3)]
  assert.ok(one !== undefined)
  let attempts = 0
  one.tasks
    .work('long', async (_, ctx) => {
      attempts += 1
      await delay(one.node.port.timers, 50_000, ctx.signal)
      return attempts
    })
    .catch(() => {})
  const handle = await time.settled(one.tasks.submit({ id: 't', type: 'long' }), 30_000)
  await time.until(() => attempts === 1, 10_000)
  for (const { node } of others) mesh.kill(node)
  await time.run(AWAY_MS)
  for (const { node } of others) await start(node.name)
  const state = await time.settled(handle.ended(), 200_000)
  assert.deepEqual([state.status, state.result, state.record.attempts], ['completed', 2, 2])
  for (const node of mesh.up()) mesh.kill(node)
})
