/** Tasks that have budgets, on processes over loopback TCP: what attempts use, lose with their process, and give back. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import {
  createMesh,
  isParleyError,
  type Mesh,
  makeSecret,
  Slice,
  type TaskContext,
  type TaskHandle,
} from '../../node/index.ts'
import { endProcesses, type Peer, startPeer } from '../support/processes.ts'
import { failureOf, until } from '../support/until.ts'

describe('tasks with a budget', { timeout: 60_000 }, () => {
  const secret = makeSecret()
  const workers: Peer[] = []
  let folder = ''
  let ann: Mesh

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-task-budgets-'))
    ann = await createMesh({ name: 'ann', secret, dataDir: join(folder, 'ann'), log: 'silent' })
    await ann.coordinator.found({ timeoutMs: 30_000 })
    for (const name of ['one', 'two'])
      workers.push(await startPeer({ name, secret, join: ann.self.addresses }, { serve: false }))
  })
  after(async () => {
    await ann.stop()
    endProcesses()
    await rm(folder, { recursive: true, force: true })
  })
  const slices = (): Slice => new Slice({ amounts: { tokens: 200, fanOut: 9 }, limits: { depth: 3 } })
  const budget = (of: Slice) => ({ of, amounts: { tokens: 100, fanOut: 2 } })
  const stateOf = async (id: string) => (await ann.tasks.get(id).state()).budget
  const usedOf = async (id: string) => (await stateOf(id))?.used

  it('use what they spend, and what they and their children leave comes back', async () => {
    await workers[0]?.ask('workPay', undefined)
    const slice = slices()
    const input = { draws: [50], spends: 20 }
    const task = await ann.tasks.submit({ id: 'first', type: 'pay', input, budget: budget(slice) })
    assert.deepEqual(slice.remaining(), { tokens: 100, fanOut: 6 })
    assert.deepEqual(await task.result({ timeoutMs: 20_000 }), { left: 28 })
    const amounts = { tokens: 100, fanOut: 2 }
    const left = { tokens: 78, fanOut: 1 }
    assert.deepEqual(await stateOf('first'), { amounts, used: { tokens: 22, fanOut: 1 }, left })
    await until('the rest is back', () => slice.remaining().tokens === 178)
    // The same again is the same task, and takes nothing.
    await ann.tasks.submit({ id: 'first', type: 'pay', input, budget: budget(slice) })
    assert.equal(slice.remaining().tokens, 178)
  })

  it('that ask for more than there is fail once, and say so', async () => {
    const slice = slices()
    const task = await ann.tasks.submit({
      ...{ id: 'greedy', type: 'pay', input: { draws: [101], spends: 1 }, budget: budget(slice) },
    })
    const error = await failureOf(task.result({ timeoutMs: 20_000 }))
    assert.ok(isParleyError(error, 'COM003') && error.reason === 'budget-exhausted', String(error))
    assert.equal((await task.state()).record.attempts, 1)
    await until('all is back', () => slice.remaining().tokens === 200)
    const beyond = await failureOf(ann.tasks.submit({ type: 'pay', budget: { of: slice, amounts: { tokens: 201 } } }))
    assert.ok(isParleyError(beyond, 'COM003'), String(beyond))
    assert.deepEqual(slice.remaining(), { tokens: 200, fanOut: 8 })
    const one = { id: 'twice', type: 'pay', budget: budget(slice) }
    const twice = await failureOf(ann.tasks.submitAll([one, one]))
    assert.ok(isParleyError(twice, 'MSG001'), String(twice))
    assert.deepEqual(slice.remaining(), { tokens: 200, fanOut: 8 })
  })

  it('are tasks of plans as well, each with a part of its own', async () => {
    const slice = new Slice({ amounts: { tokens: 200, fanOut: 30 }, limits: { depth: 3 } })
    const part = { of: slice, amounts: { tokens: 60, fanOut: 2 } }
    const tasks = [20, 30].map((spends, i) => {
      return { id: `planned-${i}`, type: 'pay', input: { draws: [50], spends }, budget: part }
    })
    const plan = await ann.plans.make({ id: 'paid', goal: 'two that pay', tasks })
    assert.equal(slice.remaining().tokens, 80)
    assert.equal((await plan.ended({ timeoutMs: 20_000 })).outcome, 'completed')
    await until('the rest is back', () => slice.remaining().tokens === 200 - 22 - 32)
    // The same plan again takes nothing.
    await ann.plans.make({ id: 'paid', goal: 'two that pay', tasks })
    await until('all of it is back', () => slice.remaining().tokens === 200 - 22 - 32)
    // One that cannot be paid is not left behind, and nothing of it is spent.
    const beyond = [...tasks, ...tasks].map((task, i) => ({ ...task, id: `beyond-${i}` }))
    const error = await failureOf(ann.plans.make({ id: 'beyond', goal: 'more than there is', tasks: beyond }))
    assert.ok(isParleyError(error, 'COM003') && error.reason === 'budget-exhausted', String(error))
    await until('what was not submitted is back', () => slice.remaining().tokens === 200 - 22 - 32)
    await until('it is canceled', async () => (await (await ann.plans.get('beyond')).status()).outcome === 'canceled')
  })

  it('draw together of what their plan has, and what they leave comes back once it is over', async () => {
    const slice = new Slice({ amounts: { tokens: 200, fanOut: 30 }, limits: { depth: 4 } })
    const budget = { of: slice, amounts: { tokens: 100, fanOut: 4 } }
    const tasks = [20, 30].map((spends, i) => ({ id: `pooled-${i}`, type: 'pay', input: { draws: [50], spends } }))
    const plan = await ann.plans.make({ id: 'pooled', goal: 'two that share', tasks, budget })
    // One of the fan-out for each task, and four that tasks may draw.
    assert.deepEqual(slice.remaining(), { tokens: 100, fanOut: 24 })
    const listed = (await ann.plans.list()).find(({ id }) => id === 'pooled')
    assert.deepEqual(listed?.budget?.amounts, { tokens: 100, fanOut: 4 })
    const { outcome, budget: shown } = await plan.ended({ timeoutMs: 20_000 })
    assert.equal(outcome, 'completed')
    assert.deepEqual(shown?.used, { tokens: 22 + 32, fanOut: 2 })
    assert.deepEqual(shown.left, { tokens: 46, fanOut: 2 })
    await until('the rest is back', () => slice.remaining().tokens === 146)
    assert.equal(slice.remaining().fanOut, 26)
    // The same plan again takes nothing.
    await ann.plans.make({ id: 'pooled', goal: 'two that share', tasks, budget })
    assert.deepEqual(slice.remaining(), { tokens: 146, fanOut: 26 })
    // More than the plan has is refused to whoever asks for it, and that task is not tried again.
    const greedy = [60, 60].map((draws, i) => ({
      ...{ id: `greedy-${i}`, type: 'pay', input: { draws: [draws], spends: draws - 5 } },
    }))
    const over = await ann.plans.make({ id: 'over', goal: 'more than there is', tasks: greedy, budget })
    assert.equal((await over.ended({ timeoutMs: 20_000 })).outcome, 'failed')
    const ends = await Promise.all(over.tasks.map((task) => task.state()))
    assert.deepEqual(ends.map(({ status }) => status).sort(), ['completed', 'failed'])
    const failed = ends.find(({ status }) => status === 'failed')
    assert.equal(failed?.error?.details?.reason, 'budget-exhausted')
    assert.equal(failed?.record.attempts, 1)
    await until('the rest is back', () => slice.remaining().tokens === 146 - 57)
    const beyond = await failureOf(
      ann.plans.make({ goal: 'no', tasks: greedy, budget: { of: slice, amounts: { tokens: 90 } } }),
    )
    assert.ok(isParleyError(beyond, 'COM003') && beyond.reason === 'budget-exhausted', String(beyond))
    assert.deepEqual(slice.remaining(), { tokens: 89, fanOut: 23 })
    // What has nothing by itself would draw of the plan's: that is said by leaving its budget out.
    const forbidden = [{ type: 'pay', budget: { of: slice, amounts: { tokens: 0 } } }]
    const nothing = await failureOf(ann.plans.make({ goal: 'no', tasks: forbidden, budget: { of: slice } }))
    assert.ok(isParleyError(nothing, 'MSG001'), String(nothing))
    assert.deepEqual(slice.remaining(), { tokens: 89, fanOut: 23 })
  })

  it('have no more after their process was killed: what it drew is spent, and the next attempt has the rest', async () => {
    const slice = slices()
    const task = await ann.tasks.submit({
      ...{ id: 'killed', type: 'pay', input: { draws: [60, 40], spends: 25 }, budget: budget(slice) },
    })
    await until('it has drawn', async () => (await usedOf('killed'))?.tokens === 60)
    await workers[1]?.ask('workPay', undefined)
    await workers[0]?.kill()
    assert.deepEqual(await task.result({ timeoutMs: 40_000 }), { left: 13 })
    assert.deepEqual(await usedOf('killed'), { tokens: 60 + 27, fanOut: 2 })
    await until('the rest is back', () => slice.remaining().tokens === 113)
  })

  it('give parts to children that wait in line: what those leave comes back to any attempt', async () => {
    const tokens = 60
    const works = {
      gives: (task: TaskContext) => task.submit('c', { type: 'gives-child', budget: { amounts: { tokens } } }),
      draws: async (task: TaskContext) => {
        await task.draw({ tokens, fanOut: 1 })
        return task.submit('c', { type: 'draws-child', budget: { amounts: { tokens } } })
      },
    }
    const slice = new Slice({ amounts: { tokens: 200, fanOut: 9 }, limits: { depth: 4 } })
    const tasks: TaskHandle[] = []
    for (const [type, begin] of Object.entries(works)) {
      await ann.tasks.work(type, async (_work, task) => (await begin(task)).result())
      tasks.push(await ann.tasks.submit({ id: type, type, budget: budget(slice) }))
    }
    // Longer than an attempt waits in its place.
    await until('they gave their slots back', async () => {
      const states = await Promise.all(tasks.map((task) => task.state()))
      return states.every(({ status, budget: of }) => status === 'queued' && of?.used.tokens === tokens)
    })
    for (const type of Object.keys(works))
      await ann.tasks.work(`${type}-child`, async (_work, task) => {
        await task.draw({ tokens: 10 })
        task.budget?.spend({ tokens: 10 })
        return 'ok'
      })
    for (const task of tasks) {
      assert.equal(await task.result({ timeoutMs: 40_000 }), 'ok')
      assert.equal((await usedOf(task.id))?.tokens, 10)
      assert.ok((await task.state()).record.attempts > 1)
    }
    await until('the rest is back', () => slice.remaining().tokens === 180)
  })
})
