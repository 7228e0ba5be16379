/** Waiting for plans while nobody coordinates for longer than one use of the journal may take: no budget is written off by that. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { createVirtualTime } from '../../../node/testing/virtual/virtual-time.ts'
import { Slice } from '../../../protocols/budget/slice.ts'
import type { PlanStatus } from '../../../protocols/coordination/api.ts'
import { MadePlans, type MadePlansDeps } from '../../../protocols/coordination/client/made-plans.ts'
import { PlanReader } from '../../../protocols/coordination/client/plan-client.ts'
import { planBudgetKey, planKey } from '../../../protocols/coordination/plan-record.ts'
import { isParleyError, ParleyError } from '../../../protocols/errors.ts'
import type { Journal } from '../../../protocols/journal/client/journal-client.ts'
import { failureOf } from '../../support/until.ts'

/** One use of the journal, as journal-client.ts has it. */
const USE_MS = 30_000
const STOPPED = new ParleyError('COM002', 'this node stops', { details: { reason: 'stopped' } })

/** A journal with one plan, `p`. While it is out nothing is answered, and each use of it ends after its time. */
const worldOf = () => {
  const time = createVirtualTime()
  const records = new Map<string, unknown>()
  const wakes = new Set<() => void>()
  let isOut = false
  let isStopped = false
  let version = 0
  const within = <T>(signal: AbortSignal | undefined, value: () => T): Promise<T> =>
    new Promise((resolve, reject) => {
      if (isStopped) reject(STOPPED)
      if (signal?.aborted) reject(signal.reason)
      signal?.addEventListener('abort', () => reject(signal.reason))
      const late = new ParleyError('COM001', 'no coordinator answered', { details: { reason: 'no-leader' } })
      if (!isOut) resolve(value())
      else time.after(USE_MS, () => (isOut ? reject(late) : resolve(value())))
    })
  const journal = {
    get: (key: string, { signal }: { signal?: AbortSignal } = {}) =>
      within(signal, () => (records.has(key) ? { value: records.get(key), version } : undefined)),
    async *watch({ signal }: { signal?: AbortSignal }) {
      while (signal?.aborted !== true) {
        await new Promise<void>((resolve) => {
          wakes.add(resolve)
          signal?.addEventListener('abort', () => resolve())
        })
        yield { type: 'change', key: planKey('p'), version, value: records.get(planKey('p')) }
      }
    },
  } as unknown as Journal
  const change = (to: object): void => {
    version += 1
    const before = records.get(planKey('p')) as object
    records.set(planKey('p'), { ...before, ...to, fence: { term: 1, index: version } })
    for (const wake of wakes) wake()
    wakes.clear()
  }
  const propose = (goal: object, amounts: object | undefined): void =>
    change({ ...goal, budget: { amounts }, state: 'idle', assignments: [], offline: [], moves: [], revision: 0 })
  const decide = (
    { goal, budget }: { readonly goal: object; readonly budget?: object },
    { signal }: { signal?: AbortSignal },
  ) =>
    within(signal, () => {
      propose(goal, budget)
      return { result: { isKnown: false } }
    })
  const reader = new PlanReader(journal, { timers: time })
  const made = new MadePlans({
    port: {
      clock: { now: time.now, monotonic: time.now },
      timers: time,
      random: (count: number) => randomBytes(count),
    },
    ...{ batcher: { decide }, reader },
    tasks: { submitAll: async (tasks: readonly object[]) => tasks },
    stopped: new AbortController().signal,
  } as unknown as MadePlansDeps)
  const slice = new Slice({ amounts: { tokens: 100 }, limits: {} })
  const plan = { id: 'p', goal: 'g', tasks: [{ id: 't', type: 'sum' }], budget: { of: slice, amounts: { tokens: 80 } } }
  return {
    ...{ made, reader, slice, time, plan, change, propose },
    draw: (tokens: number) => void records.set(planBudgetKey('p'), { used: { tokens } }),
    end: () => change({ outcome: 'completed', budget: { amounts: { tokens: 80 }, used: { tokens: 5 } } }),
    out: (is: boolean) => {
      isOut = is
    },
    stop: () => {
      isStopped = true
    },
  }
}
const COORDINATING = { state: 'coordinating' }

test('a plan that nobody decided in time keeps its part for the same again while nobody coordinates', async () => {
  const { made, time, slice, plan, out, end } = worldOf()
  out(true)
  const first = failureOf(made.make(plan))
  await time.run(USE_MS + 1_000)
  assert.ok(isParleyError(await first, 'COM001'))
  await time.run(2 * USE_MS)
  out(false)
  assert.deepEqual([made.counts().writtenOff, slice.remaining()], [0, { tokens: 20 }])
  await made.make(plan)
  assert.deepEqual(slice.remaining(), { tokens: 20 }, 'nothing more is split off')
  end()
  await time.run(USE_MS)
  assert.deepEqual([made.counts().writtenOff, slice.remaining()], [0, { tokens: 95 }])
})

test('a part of which nobody knows for ten minutes is not given again; one whose plan was found is', async () => {
  for (const isFound of [false, true]) {
    const { made, time, slice, plan, out, propose } = worldOf()
    out(true)
    const first = failureOf(made.make(plan))
    await time.run(USE_MS)
    await first
    if (isFound) {
      // It was decided, and the answer was lost.
      propose({ tasks: ['t'] }, plan.budget.amounts)
      out(false)
      await time.run(USE_MS)
      out(true)
    }
    await time.run(610_000)
    const again = made.make(plan).catch(() => {})
    await time.run(0)
    assert.equal(made.counts().writtenOff, isFound ? 0 : 1)
    await time.settled(again, USE_MS + 1)
    assert.deepEqual(slice.remaining(), { tokens: 20 })
  }
})

test('a plan that changes while nobody coordinates gives back what its tasks left', async () => {
  const { made, time, slice, plan, out, change, end } = worldOf()
  await made.make(plan)
  await time.run(0)
  out(true)
  change(COORDINATING)
  await time.run(3 * USE_MS)
  out(false)
  await time.run(USE_MS)
  end()
  await time.run(0)
  assert.deepEqual([made.counts().writtenOff, slice.remaining()], [0, { tokens: 95 }])
})

test('who waits for the end of a plan and says no time waits as long as it takes; others as long as they say', async () => {
  const { made, reader, time, plan, out, end, stop } = worldOf()
  await made.make(plan)
  out(true)
  const ended = reader.ended('p', {})
  const limited = failureOf(reader.ended('p', { timeoutMs: 2 * USE_MS }))
  await time.run(2 * USE_MS + 1)
  assert.match(String(await limited), /the plan p was not over in time/)
  await time.run(USE_MS)
  out(false)
  end()
  assert.equal((await time.settled(ended, USE_MS)).outcome, 'completed')
  stop()
  assert.equal(await time.settled(failureOf(reader.ended('p', {})), 1), STOPPED, 'none is waited for beyond its node')
})

test('updates go on after a time without a coordinator, with what is drawn of the budget by then', async () => {
  const { made, reader, time, plan, out, change, draw, end } = worldOf()
  await made.make(plan)
  const told: PlanStatus[] = []
  const following = (async () => {
    for await (const status of reader.updates('p', undefined)) told.push(status)
  })()
  await time.run(0)
  out(true)
  change(COORDINATING)
  await time.run(2 * USE_MS)
  assert.equal(told.length, 1)
  draw(30)
  out(false)
  await time.run(USE_MS)
  end()
  await time.settled(following, 1)
  assert.deepEqual(
    told.map(({ state, outcome, budget }) => [state, outcome, budget?.left.tokens]),
    [
      ['idle', undefined, 80],
      ['coordinating', undefined, 50],
      ['coordinating', 'completed', 75],
    ],
  )
})
