/** An attempt that ends, or waits, while children of it are being submitted: on a mesh of the simulator. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { delay } from '../../../../protocols/async.ts'
import { Slice } from '../../../../protocols/budget/slice.ts'
import type { SubmitTask } from '../../../../protocols/task/client/task-api.ts'
import type { TaskContext } from '../../../../protocols/task/worker/task-context.ts'
import { createTaskMesh } from '../../../support/task-mesh.ts'

type Pause = (ms: number) => Promise<void>

const start = async (count: number, seed: number) => {
  const mesh = createTaskMesh(seed)
  const names = Array.from({ length: count }, (_, i) => `m${i}`)
  const nodes: Awaited<ReturnType<typeof mesh.start>>[] = []
  for (const name of names) nodes.push(await mesh.start(name, { expect: count }))
  const kill = (): void => {
    for (const one of nodes) mesh.kill(one)
  }
  return { ...mesh, nodes, kill }
}

/** A parent whose program ends or waits by this, and a child that gives it its answer. @returns how that ended, after a minute */
const beside = async (
  child: Omit<SubmitTask, 'id'>,
  wait: (ctx: TaskContext) => Promise<unknown>,
  isChildFirst = true,
) => {
  const { time, nodes, kill } = await start(3, 5)
  const [a, b] = nodes
  assert.ok(a && b)
  await time.settled(
    Promise.all([
      b.tasks.work('parent', async (_task, ctx) => {
        const submit = () => ctx.submit('c', child)
        const both = isChildFirst ? [submit(), wait(ctx)] : [wait(ctx), submit()]
        await Promise.all(both)
        return null
      }),
      a.tasks.work('child', async ({ parent = '' }) => {
        await a.tasks.get(parent).signal('answer', 42)
        return null
      }),
    ]),
    60_000,
  )
  const of = new Slice({ amounts: { tokens: 100, fanOut: 10 } })
  const budget = { of, amounts: { tokens: 50, fanOut: 5 } }
  const handle = await time.settled(
    a.tasks.submit({ id: 'p', type: 'parent', ...(child.budget !== undefined && { budget }) }),
    60_000,
  )
  await time.run(60_000)
  const [parent, submitted] = await time.settled(
    Promise.all([handle.state(), a.tasks.get('p.c').state({ timeoutMs: 5_000 })]),
    10_000,
  )
  kill()
  return [parent.status, submitted.status]
}

test('a child that is submitted beside a wait is there, and can give the answer', async () => {
  const wait = (ctx: TaskContext) => ctx.waitFor('answer')
  const withBudget = { type: 'child', budget: { amounts: { tokens: 10 } } }
  assert.deepEqual(await beside(withBudget, wait), ['completed', 'completed'])
  assert.deepEqual(await beside(withBudget, wait, false), ['completed', 'completed'])
  assert.deepEqual(await beside({ type: 'child', input: new Uint8Array(100_000) }, wait), ['completed', 'completed'])
})

test('a child that is submitted beside a long sleep begins before that is over', async () => {
  const child = { type: 'child', budget: { amounts: { tokens: 10 } } }
  const [, submitted] = await beside(child, (ctx) => ctx.sleep('hour', 3_600_000))
  assert.equal(submitted, 'completed')
})

/** Its large inputs go to nodes that hang, and nobody has found that yet. */
const audit = (ctx: TaskContext) =>
  Promise.all(
    [1, 2, 3, 4, 5, 6].map((i) => ctx.submit(`audit${i}`, { type: 'child', input: new Uint8Array(20_000).fill(i) })),
  )

const besideSlow = async (fn: (ctx: TaskContext, pause: Pause) => Promise<unknown>, more: Partial<SubmitTask> = {}) => {
  const { mesh, time, nodes, kill } = await start(5, 7)
  const leader = await mesh.untilLeader(20_000)
  await time.run(5_000)
  const [a, b, ...hanging] = nodes.filter(({ node }) => node.id !== leader.id)
  assert.ok(a && b)
  const pause: Pause = (ms) => delay(time, ms)
  await time.settled(
    b.tasks.work('parent', async (_task, ctx) => {
      await fn(ctx, pause)
      return null
    }),
    20_000,
  )
  for (const one of hanging) one.node.life.freeze()
  const task = { id: 'p', type: 'parent', retry: { max: 0 }, ...more }
  const handle = await time.settled(a.tasks.submit(task), 20_000)
  await time.run(28_000)
  const { status, error } = await time.settled(handle.state(), 10_000)
  kill()
  return { status, message: error?.message }
}

test('work that is done is reported at once, also beside submissions that take long', async () => {
  const done = await besideSlow(
    async (ctx, pause) => {
      audit(ctx).catch(() => {})
      await pause(500)
    },
    { attemptTimeoutMs: 4_000 },
  )
  assert.equal(done.status, 'completed')
})

test('work that fails beside submissions that take long says why it failed', async () => {
  const failing = async (ctx: TaskContext, pause: Pause): Promise<unknown> => {
    const failed = pause(500).then(() => Promise.reject(new TypeError('the other half failed')))
    return Promise.all([audit(ctx), failed])
  }
  const { status, message } = await besideSlow(failing, { attemptTimeoutMs: 4_000 })
  assert.equal(status, 'failed')
  assert.doesNotMatch(message ?? '', /longer than it may/)
})
