/** What tasks wait for where a worker stood still before it heard of them, and where the journal's time is far ahead. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isParleyError } from '../../../protocols/errors.ts'
import type { TasksFeature } from '../../../protocols/task/tasks.ts'
import { startTasks, TASK_PARTS } from '../../sim/tasks/node-tasks.ts'
import { createJournalMesh } from '../../support/journal-mesh.ts'

const started = (clockAheadMs: () => number = () => 0) => {
  const mesh = createJournalMesh({ seed: 7, clockAheadMs, autopilot: { replaceAfterMs: 600_000 } })
  const start = async (name: string, mayVote: boolean) => {
    const node = await mesh.start(name, { parts: TASK_PARTS, mayVote, ...(mayVote && { expect: 1 }) })
    return { node, ...(await startTasks(node)) }
  }
  const endAll = (): void => {
    for (const node of mesh.up()) mesh.kill(node)
  }
  return { mesh, start, endAll, time: mesh.time }
}

const work = (tasks: TasksFeature): void => {
  tasks
    .work('naps', async (_, ctx) => {
      await ctx.sleep('nap', 6_000)
      return 'slept'
    })
    .catch(() => {})
  tasks
    .work('asks', async (_, ctx) => {
      try {
        return await ctx.waitFor('word', { timeoutMs: 6_000 })
      } catch (error) {
        if (!isParleyError(error, 'COM001')) throw error
        return 'nobody said anything'
      }
    })
    .catch(() => {})
}

test('a worker that stood still while it was given a task sleeps and waits for as long as it says', async () => {
  for (const [quietMs, frozenMs] of [
    [15_000, 7_000],
    [15_000, 14_000],
    [600_000, 14_000],
  ] as const) {
    const { mesh, start, endAll, time } = started()
    const one = await start('m0', true)
    const away = await start('d0', false)
    await mesh.untilLeader(60_000)
    work(away.tasks)
    await time.run(quietMs)
    const submitted = one.tasks.submitAll([
      { id: 'nap', type: 'naps' },
      { id: 'ask', type: 'asks' },
    ])
    away.node.life.freeze()
    await time.run(frozenMs)
    away.node.life.thaw()
    const from = time.now()
    for (const handle of await time.settled(submitted, 60_000)) {
      const { status, result } = await time.settled(handle.ended(), 60_000)
      assert.equal(status, 'completed')
      assert.ok(result === 'slept' || result === 'nobody said anything')
      const ms = time.now() - from
      assert.ok(ms >= 5_900 && ms < 20_000, `${handle.id} took ${ms} ms after ${quietMs} and ${frozenMs}`)
    }
    endAll()
  }
})

test('where the journal is ahead by a quarter of an hour, tasks sleep, and wait until they are given what they wait for', async () => {
  let aheadMs = 900_000
  const { mesh, start, endAll, time } = started(() => aheadMs)
  const wrong = await start('m0', true)
  await mesh.untilLeader(60_000)
  await time.run(5_000)
  mesh.kill(wrong.node)
  // The clock of its machine was put right.
  aheadMs = 0
  const { tasks } = await start('m0', true)
  work(tasks)
  const [nap, ask] = await time.settled(
    tasks.submitAll([
      { id: 'nap', type: 'naps' },
      { id: 'ask', type: 'asks' },
    ]),
    60_000,
  )
  assert.ok(nap !== undefined && ask !== undefined)
  await time.run(4_000)
  await time.settled(ask.signal('word', 'yes'), 10_000)
  const ended = [await time.settled(nap.ended(), 60_000), await time.settled(ask.ended(), 60_000)]
  assert.deepEqual(
    ended.map(({ status, result }) => [status, result]),
    [
      ['completed', 'slept'],
      ['completed', 'yes'],
    ],
  )
  endAll()
})
