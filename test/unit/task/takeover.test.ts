/** What another attempt has that goes on where the worker of the first one died. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readTask, taskKey } from '../../../protocols/task/task-record.ts'
import type { TasksFeature } from '../../../protocols/task/tasks.ts'
import { startTasks, TASK_PARTS } from '../../sim/tasks/node-tasks.ts'
import { createJournalMesh, type JournalNode } from '../../support/journal-mesh.ts'

test('it hears of the end of a child that the first attempt submitted from another node', async () => {
  const mesh = createJournalMesh({ seed: 7 })
  const { time } = mesh
  const nodes = new Map<string, { node: JournalNode; tasks: TasksFeature }>()
  for (const name of ['m0', 'm1', 'm2']) {
    const node = await mesh.start(name, { expect: 3, parts: TASK_PARTS })
    nodes.set(node.id, { node, tasks: (await startTasks(node)).tasks })
  }
  for (const { tasks } of nodes.values()) {
    const working = [
      tasks.work('parent', async (_, ctx) => {
        const child = await ctx.submit('part', { type: 'part' })
        return child.result({ signal: ctx.signal })
      }),
      tasks.work('part', (_, ctx) => ctx.waitFor('word')),
    ]
    for (const one of working) one.catch(() => {})
  }
  const [first] = nodes.values()
  const handle = await time.settled(first?.tasks.submit({ id: 't', type: 'parent' }) ?? Promise.reject(), 30_000)
  const recordOf = (id: string) => {
    const [one] = [...nodes.values()].filter(({ node }) => node.isUp() && node.seat() !== undefined)
    return readTask(one?.node.value(taskKey(id)))
  }
  await time.until(() => recordOf('t.part')?.status === 'input_required', 10_000)
  const worker = recordOf('t')?.worker ?? ''
  const child = recordOf('t.part')
  assert.equal(child?.submitter, worker)
  const dead = nodes.get(worker)
  assert.ok(dead !== undefined)
  mesh.kill(dead.node)
  nodes.delete(worker)
  await time.until(() => recordOf('t')?.status === 'running' && recordOf('t')?.worker !== worker, 10_000)
  // Whoever has it by now waits for the child of the one that died.
  await time.run(500)
  const [other] = nodes.values()
  await time.settled(other?.tasks.get('t.part').signal('word', 'given') ?? Promise.reject(), 10_000)
  const state = await time.settled(other?.tasks.get('t').ended() ?? Promise.reject(), 10_000)
  assert.deepEqual([state.status, state.result, state.record.attempts], ['completed', 'given', 2])
  if (dead.tasks !== first?.tasks) assert.equal(await time.settled(handle.result(), 10_000), 'given')
  for (const { node } of nodes.values()) mesh.kill(node)
})
