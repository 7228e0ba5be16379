/** A worker that was cut off, whose tasks were given to another one meanwhile: it hears of that as soon as its feed goes on. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { delay } from '../../../protocols/async.ts'
import { MAX_WATCHED } from '../../../protocols/task/contract.ts'
import { readTask, taskKey } from '../../../protocols/task/task-record.ts'
import { startTasks, TASK_PARTS } from '../../sim/tasks/node-tasks.ts'
import { createJournalMesh, type JournalNode } from '../../support/journal-mesh.ts'

const LONG_MS = 60_000

/**
 * A worker is cut off with so many attempts, until another one has them.
 * @returns milliseconds until each of them had ended, after the worker was connected again
 */
const endedAfter = async (attempts: number): Promise<number> => {
  const mesh = createJournalMesh({ seed: 7, autopilot: { replaceAfterMs: 600_000 } })
  const { time } = mesh
  const start = async (name: string, isVoter = true) => {
    const more = isVoter ? { expect: 3 } : { mayVote: false }
    const node = await mesh.start(name, { parts: TASK_PARTS, ...more })
    return { node, tasks: (await startTasks(node)).tasks }
  }
  const voters = [await start('m0'), await start('m1'), await start('m2')]
  const away = await start('d0', false)
  const [first] = voters
  assert.ok(first !== undefined)
  const ended = new Set<string>()
  const begun = new Set<string>()
  const work = ({ node, tasks }: { node: JournalNode; tasks: typeof away.tasks }) =>
    tasks.work(
      'long',
      async ({ id }, { signal }) => {
        begun.add(`${id} ${node.name}`)
        signal.addEventListener('abort', () => {
          if (node === away.node) ended.add(id)
        })
        await delay(node.port.timers, LONG_MS, signal)
      },
      { slots: 2 * attempts },
    )
  work(away).catch(() => {})
  const ids = Array.from({ length: attempts }, (_, i) => `t${i}`)
  const submitted = ids.map((id) => first.tasks.submit({ id, type: 'long' }))
  await time.settled(Promise.all(submitted), 30_000)
  await time.until(() => begun.size === attempts, 10_000)
  await time.run(500)
  const others = voters.map(({ node }) => node)
  mesh.cut([away.node], others)
  const workerOf = (id: string) => readTask(first.node.value(taskKey(id)))?.worker
  await time.until(() => ids.every((id) => workerOf(id) === undefined), 10_000)
  work(first).catch(() => {})
  await time.until(() => ids.every((id) => begun.has(`${id} m0`)), 10_000)
  assert.equal(ended.size, 0)
  mesh.heal()
  const healedAt = time.now()
  await time.until(() => ended.size === attempts, LONG_MS / 2)
  const tookMs = time.now() - healedAt
  assert.ok(ids.every((id) => workerOf(id) === first.node.id))
  for (const node of [...others, away.node]) mesh.kill(node)
  return tookMs
}

for (const attempts of [2, MAX_WATCHED, MAX_WATCHED + 1])
  test(`${attempts} attempts of it end, although they report nothing`, async () => {
    const tookMs = await endedAfter(attempts)
    assert.ok(tookMs < 5_000, `they ended ${tookMs} ms after it was connected again`)
  })
