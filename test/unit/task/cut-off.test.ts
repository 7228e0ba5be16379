/** A worker that was cut off, whose task was given to another one meanwhile: it hears of that as soon as its feed goes on. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { delay } from '../../../protocols/async.ts'
import { readTask, taskKey } from '../../../protocols/task/task-record.ts'
import { startTasks, TASK_PARTS } from '../../sim/tasks/node-tasks.ts'
import { createJournalMesh, type JournalNode } from '../../support/journal-mesh.ts'

const LONG_MS = 60_000

test('its attempt ends, although it reports nothing, and others are told of nothing else', async () => {
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
  let endedAt: number | undefined
  const begun: string[] = []
  const work = ({ node, tasks }: { node: JournalNode; tasks: typeof away.tasks }) =>
    tasks.work('long', async ({ id }, { signal }) => {
      begun.push(`${id} ${node.name}`)
      signal.addEventListener('abort', () => {
        if (node === away.node && id === 't') endedAt = time.now()
      })
      await delay(node.port.timers, LONG_MS, signal)
    })
  work(away).catch(() => {})
  for (const id of ['t', 'u']) await time.settled(first.tasks.submit({ id, type: 'long' }), 30_000)
  await time.until(() => begun.length === 2, 10_000)
  await time.run(500)
  const others = voters.map(({ node }) => node)
  mesh.cut([away.node], others)
  const recordOf = () => readTask(first.node.value(taskKey('t')))
  await time.until(() => recordOf()?.worker === undefined, 10_000)
  work(first).catch(() => {})
  await time.until(() => begun.includes('t m0'), 10_000)
  assert.equal(endedAt, undefined)
  mesh.heal()
  const healedAt = time.now()
  await time.until(() => endedAt !== undefined, LONG_MS / 2)
  assert.ok((endedAt ?? 0) - healedAt < 5_000, `it ended ${(endedAt ?? 0) - healedAt} ms after it was connected again`)
  assert.equal(recordOf()?.worker, first.node.id)
  for (const node of [...others, away.node]) mesh.kill(node)
})
