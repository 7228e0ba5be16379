/** Tasks that are held for no plan, or for one that is over: each is held no more after a while, whoever else has how many. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planKey } from '../../../protocols/coordination/plan-record.ts'
import { PlanCleaner } from '../../../protocols/coordination/runner/plan-cleaner.ts'
import { tasksOfPlans } from '../../../protocols/coordination/runner/plan-facts.ts'
import { ParleyError } from '../../../protocols/errors.ts'
import { taskKey } from '../../../protocols/task/task-record.ts'

const LOOK_MS = 250
const AT_ONCE = 32
const LATEST_MS = 75_000

type Decide = () => Promise<unknown>

const worldOf = ({ isFollowed = true } = {}) => {
  let now = 1_000_000
  const records = new Map<string, { readonly key: string; readonly value: Record<string, unknown> }>()
  const world = { reads: 0, inWork: 0, most: 0, asked: 0, decide: (async () => undefined) as Decide }
  const freed = new Map<string, number>()
  const canceled = new Map<string, string>()
  const machine = {
    records: {
      get: (key: string) => {
        world.reads += 1
        return records.get(key)
      },
      all: () => [...records.values()],
    },
  }
  const member = { machine, clock: { now: () => now } }
  const put = (key: string, value: Record<string, unknown>): void => void records.set(key, { key, value })
  const end = async (id: string, note: () => void): Promise<void> => {
    world.asked += 1
    world.inWork += 1
    world.most = Math.max(world.most, world.inWork)
    try {
      await world.decide()
      records.delete(taskKey(id))
      note()
    } finally {
      world.inWork -= 1
    }
  }
  const deps = {
    port: { clock: { monotonic: () => now, now: () => now }, log: { info() {} } },
    member,
    decide: async () => undefined,
    cancelTask: (id: string, reason: string) => end(id, () => void canceled.set(id, reason)),
    freeTask: (id: string) => end(id, () => void freed.set(id, now)),
  }
  const cleaner = new PlanCleaner(deps as never, 1, new AbortController().signal, () => false)
  const begunAt = now
  return {
    ...{ world, freed, canceled },
    hold: (id: string, submitter: string, plan = 'none') =>
      put(taskKey(id), { status: 'queued', plan, submittedAt: now, submitter }),
    setPlan: (id: string, plan: Record<string, unknown>) => put(planKey(id), plan),
    afterMs: (id: string) => (freed.get(id) ?? Number.POSITIVE_INFINITY) - begunAt,
    async run(ms: number) {
      for (let left = ms; left > 0; left -= LOOK_MS) {
        now += LOOK_MS
        cleaner.look(isFollowed ? tasksOfPlans(member as never) : undefined)
        // What follows in the time until the next look.
        for (let i = 0; i < 200; i += 1) await Promise.resolve()
      }
    },
  }
}

for (const isFollowed of [true, false])
  test(`who holds thousands of tasks for no plan keeps nobody else waiting${isFollowed ? '' : ', also where tasks are not followed'}`, async () => {
    const { world, hold, run, freed, afterMs } = worldOf({ isFollowed })
    for (let i = 0; i < 10_000; i += 1) hold(`of-eve-${i}`, 'eve')
    hold('of-ann', 'ann')
    await run(60_000)
    assert.equal(freed.size, 0)
    await run(LATEST_MS - 60_000)
    assert.ok(afterMs('of-ann') <= LATEST_MS, `${afterMs('of-ann')}`)
    await run(120_000)
    assert.equal(freed.size, 10_001)
    assert.ok(world.most <= AT_ONCE, `${world.most}`)
  })

test('the next ones follow as soon as one is decided', async () => {
  const { hold, run, freed } = worldOf()
  for (let i = 0; i < 2_000; i += 1) hold(`t${i}`, 'eve')
  await run(LATEST_MS)
  assert.equal(freed.size, 2_000)
})

test('it looks at some thousands of tasks at a time, however many there are', async () => {
  const { world, hold, run } = worldOf()
  for (let i = 0; i < 100_000; i += 1) hold(`t${i}`, 'eve')
  let most = 0
  for (let ms = 0; ms < 30_000; ms += LOOK_MS) {
    const before = world.reads
    await run(LOOK_MS)
    most = Math.max(most, world.reads - before)
  }
  assert.ok(world.reads >= 200_000, 'a task and its plan')
  assert.ok(most <= 5_000, `${most}`)
})

test('where changes are not decided it rests, and goes on later', async () => {
  const { world, hold, run, freed } = worldOf()
  for (let i = 0; i < 1_000; i += 1) hold(`t${i}`, 'eve')
  world.decide = async () => {
    throw new ParleyError('COM001', 'nobody answered', { hint: 'try again' })
  }
  await run(LATEST_MS)
  assert.ok(world.asked > 0 && world.asked <= 4 * AT_ONCE, `${world.asked}`)
  world.decide = async () => undefined
  await run(20_000)
  assert.equal(freed.size, 1_000)
})

test('tasks of a plan that is over are canceled; those of one that was made while they waited for their turn stay', async () => {
  const { world, hold, setPlan, run, freed, canceled } = worldOf()
  const { promise, resolve } = Promise.withResolvers<void>()
  setPlan('over', { outcome: 'failed' })
  hold('a', 'ann', 'over')
  await run(10_000)
  assert.deepEqual([...canceled], [['a', 'plan-failed']])
  for (let i = 0; i < 100; i += 1) hold(`b${i}`, 'bob', 'late')
  world.decide = () => promise
  await run(70_000)
  const asked = world.inWork
  assert.ok(asked > 0 && asked < AT_ONCE, `${asked}`)
  setPlan('late', {})
  resolve()
  await run(LATEST_MS)
  assert.deepEqual([freed.size, canceled.size], [asked, 1])
})
