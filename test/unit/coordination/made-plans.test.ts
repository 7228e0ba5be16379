/** Making plans where not all goes well: what is taken back, what the same again goes on with, and what becomes of budgets. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { createVirtualTime } from '../../../node/testing/virtual/virtual-time.ts'
import { Slice } from '../../../protocols/budget/slice.ts'
import type { MakePlan, PlanStatus } from '../../../protocols/coordination/api.ts'
import { MadePlans, type MadePlansDeps } from '../../../protocols/coordination/client/made-plans.ts'
import { planNotFound } from '../../../protocols/coordination/client/plan-client.ts'
import { NOT_SUBMITTED } from '../../../protocols/coordination/plan-record.ts'
import { ParleyError } from '../../../protocols/errors.ts'
import type { SubmitTask } from '../../../protocols/task/client/task-api.ts'

const FULL = new ParleyError('COM003', 'there are too many tasks', { hint: 'wait' })
const TOO_MANY = new ParleyError('COM003', 'ann has too many plans', { details: { reason: 'plan-share' } })
const LOST = new ParleyError('COM001', 'nobody answered', { hint: 'try again' })

/** A journal with plans; `submits` says what becomes of each submission, `proposes` of each proposal. */
const worldOf = (
  submits: (ids: readonly string[]) => Promise<void>,
  proposes: (decided: () => void) => void = (decided) => decided(),
) => {
  const plans = new Map<string, { outcome?: string; reason?: string; tasks: Set<string> }>()
  const decided: string[] = []
  const ends: ((status: PlanStatus) => void)[] = []
  const decide = async (change: { readonly do: string; readonly id: string; readonly reason?: string }) => {
    await new Promise(setImmediate)
    decided.push(change.do)
    const plan = plans.get(change.id)
    if (change.do === 'cancel') {
      Object.assign(plan ?? {}, { outcome: 'canceled', reason: change.reason })
      return { result: null }
    }
    const isKnown = plan !== undefined && plan.outcome === undefined
    proposes(() => void (isKnown || plans.set(change.id, { tasks: new Set() })))
    return { result: { isKnown } }
  }
  const submitAll = async (tasks: readonly SubmitTask[]) => {
    const ids = tasks.map(({ id = '' }) => id)
    await submits(ids)
    for (const id of ids) plans.get('p')?.tasks.add(id)
    return ids.map((id) => ({ id }))
  }
  const time = createVirtualTime()
  const made = new MadePlans({
    port: {
      clock: { now: time.now, monotonic: time.now },
      timers: time,
      random: (count: number) => randomBytes(count),
    },
    batcher: { decide },
    reader: {
      ended: (id: string, { signal }: { signal: AbortSignal }) =>
        new Promise((resolve, reject) => {
          if (!plans.has(id)) reject(planNotFound(id))
          ends.push(resolve)
          signal.addEventListener('abort', () => reject(signal.reason))
        }),
    },
    tasks: { submitAll },
    stopped: new AbortController().signal,
  } as unknown as MadePlansDeps)
  const end = (left: Record<string, number>): void => {
    for (const fn of ends.splice(0))
      fn({ outcome: 'completed', revision: 1, budget: { left } } as unknown as PlanStatus)
  }
  return { made, plans, decided, end, time }
}
const tasksOf = (count: number): SubmitTask[] => Array.from({ length: count }, (_, i) => ({ id: `t${i}`, type: 'sum' }))
const planOf = (count: number, more: Partial<MakePlan> = {}): MakePlan => ({
  ...{ id: 'p', goal: 'sum it up', tasks: tasksOf(count) },
  ...more,
})
const settle = async (): Promise<void> => {
  for (let i = 0; i < 5; i += 1) await new Promise(setImmediate)
}

test('a plan that nobody would have the tasks of is taken back, and made anew by the same again', async () => {
  let isFull = true
  const { made, plans, decided } = worldOf(async () => {
    if (isFull) throw FULL
  })
  await assert.rejects(made.make(planOf(2)), FULL)
  isFull = false
  await made.make(planOf(2))
  assert.deepEqual(decided, ['propose', 'cancel', 'propose'], 'the second waits until the first is taken back')
  assert.deepEqual([plans.get('p')?.outcome, plans.get('p')?.tasks.size, made.counts().made], [undefined, 2, 1])
})

test('a plan that has some of its tasks, or may have, stays for the same again', async () => {
  for (const error of [FULL, LOST]) {
    let submissions = 0
    const { made, plans, decided } = worldOf(async () => {
      submissions += 1
      if (submissions === (error === FULL ? 2 : 1)) throw error
    })
    await assert.rejects(made.make(planOf(100)), error)
    await made.make(planOf(100))
    assert.deepEqual([decided, plans.get('p')?.tasks.size], [['propose', 'propose'], 100])
  }
})

test('of two that make the same at once the one that fails takes nothing away from the other one', async () => {
  let submissions = 0
  const { made, plans, decided } = worldOf(async () => {
    submissions += 1
    if (submissions === 1) throw FULL
  })
  const of = new Slice({ amounts: { tokens: 100 }, limits: {} })
  const plan = planOf(2, { budget: { of, amounts: { tokens: 80 } } })
  const [one, other] = await Promise.allSettled([made.make(plan), made.make(plan)])
  await settle()
  assert.deepEqual(of.remaining(), { tokens: 20 }, 'the part is with the plan of the other one')
  assert.deepEqual([one.status, other.status], ['rejected', 'fulfilled'])
  assert.deepEqual([decided, plans.get('p')?.outcome], [['propose', 'cancel', 'propose'], undefined])
  assert.equal(plans.get('p')?.reason, undefined)
})

test('who waits for another one that makes the same does so no longer than it likes', async () => {
  const { made, decided } = worldOf(() => new Promise(() => {}))
  const first = new AbortController()
  const one = made.make(planOf(1, { signal: first.signal }))
  await settle()
  await assert.rejects(made.make(planOf(1, { signal: AbortSignal.abort(new Error('no need')) })), /no need/)
  assert.deepEqual(decided, ['propose'])
  one.catch(() => {})
  first.abort()
})

test('what a plan that was not made took of a budget is all there again', async () => {
  const { made, plans } = worldOf(async () => {
    throw FULL
  })
  const of = new Slice({ amounts: { tokens: 100, fanOut: 6 }, limits: {} })
  await assert.rejects(made.make(planOf(3, { budget: { of } })), FULL)
  await settle()
  assert.equal(plans.get('p')?.reason, NOT_SUBMITTED)
  assert.deepEqual(of.remaining(), { tokens: 100, fanOut: 6 })
})

test('the same again has the part that was split off first, and what its tasks left of it comes back once', async () => {
  let submissions = 0
  const { made, decided, end } = worldOf(async () => {
    submissions += 1
    if (submissions === 1) throw LOST
  })
  const of = new Slice({ amounts: { tokens: 100, fanOut: 6 }, limits: {} })
  const budget = { of, amounts: { tokens: 80, fanOut: 2 } }
  await assert.rejects(made.make(planOf(3, { budget })), LOST)
  assert.deepEqual(of.remaining(), { tokens: 20, fanOut: 1 })
  await made.make(planOf(3, { budget }))
  await made.make(planOf(3, { budget }))
  assert.deepEqual([of.remaining(), decided.length], [{ tokens: 20, fanOut: 1 }, 3])
  end({ tokens: 50, fanOut: 2 })
  await settle()
  assert.deepEqual([of.remaining(), made.counts().writtenOff], [{ tokens: 70, fanOut: 3 }, 0])
})

test('a plan of which nobody knows whether it was decided has its part for some minutes, for the same again', async () => {
  for (const [isDecided, isAgain] of [
    [false, false],
    [false, true],
    [true, true],
  ] as const) {
    let proposals = 0
    const { made, time, end } = worldOf(
      async () => {},
      (decided) => {
        proposals += 1
        if (proposals > 1 || isDecided) decided()
        if (proposals === 1) throw LOST
      },
    )
    const of = new Slice({ amounts: { tokens: 100 }, limits: {} })
    const plan = planOf(1, { budget: { of, amounts: { tokens: 80 } } })
    await assert.rejects(made.make(plan), LOST)
    await time.run(60_000)
    assert.deepEqual([of.remaining(), made.counts().writtenOff], [{ tokens: 20 }, 0])
    if (isAgain) {
      await made.make(plan)
      end({ tokens: 70 })
    } else await time.run(600_000)
    await settle()
    assert.deepEqual(
      [of.remaining().tokens, made.counts().writtenOff],
      isAgain ? [90, 0] : [20, 1],
      `${isDecided} ${isAgain}`,
    )
  }
})

test('a part of which nobody knows is not spent where the same again is refused, until its time is over', async () => {
  for (const [waitMs, isGiven] of [
    [290_000, true],
    [310_000, false],
  ] as const) {
    const proposals = [LOST, TOO_MANY]
    const { made, time, end } = worldOf(
      async () => {},
      (decided) => {
        const error = proposals.shift()
        if (error !== undefined) throw error
        decided()
      },
    )
    const of = new Slice({ amounts: { tokens: 200 }, limits: {} })
    const plan = planOf(1, { budget: { of, amounts: { tokens: 80 } } })
    for (const error of [LOST, TOO_MANY]) {
      await assert.rejects(made.make(plan), error)
      assert.deepEqual([of.remaining(), made.counts().writtenOff], [{ tokens: 120 }, 0], `${error}`)
      await time.run(waitMs)
    }
    assert.equal(made.counts().writtenOff, isGiven ? 0 : 1, 'its time begins with the first')
    await made.make(plan)
    assert.deepEqual(of.remaining(), { tokens: isGiven ? 120 : 40 })
    end({ tokens: 70 })
    await settle()
    assert.deepEqual(of.remaining(), { tokens: isGiven ? 190 : 110 })
  }
})
