/** How a plan is moved: what is refused without that anything has changed is not asked for again at once. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NOT_SUBMITTED, type PlanRecord, planKey } from '../../../protocols/coordination/plan-record.ts'
import { type DriverDeps, PlanDriver } from '../../../protocols/coordination/runner/plan-driver.ts'
import { stateError } from '../../../protocols/errors.ts'

const plan = {
  ...{ tasks: ['one'], state: 'coordinating', assignments: [], offline: [], moves: [], failures: 0, maxFailures: 3 },
  ...{ goal: 'g', owner: 'ann', revision: 0, madeAt: 0, changedAt: 0, fence: { term: 1, index: 7 }, size: 1 },
} as unknown as PlanRecord

/** A driver of that plan; its pauses end when they are told to. */
const drive = (record: PlanRecord, deps: Partial<DriverDeps>) => {
  const end = new AbortController()
  const pauses: (() => void)[] = []
  const world = { record, decided: [] as { readonly do: string }[], pauses, end }
  const records = { get: (key: string) => (key === planKey('p') ? { value: world.record } : undefined) }
  const all = {
    port: {
      clock: { now: () => 100_000, monotonic: () => 100_000 },
      timers: {
        after: (_ms: number, fn: () => void) => {
          pauses.push(fn)
          return () => {}
        },
      },
      log: { error() {}, warn() {}, info() {} },
    },
    member: { machine: { records }, clock: { now: () => 100_000, monotonic: () => 100_000 } },
    epoch: 1,
    decide: async (change: { readonly do: string }) => void world.decided.push(change),
    statusOf: async () => 'queued',
    ended: async () => {},
    coordinated() {},
    ...deps,
  } as unknown as DriverDeps
  const driver = new PlanDriver(all, 'p', end.signal)
  return { world, run: () => driver.run(), wake: () => driver.wake() }
}
const aMoment = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('what is refused although the plan is the same as before is tried again after a pause', async () => {
  let asked = 0
  const make = async (): Promise<never> => {
    asked += 1
    throw stateError('task-status', 'it changed meanwhile', 'look at it again')
  }
  const { world, run } = drive(plan, { maker: { make } } as unknown as Partial<DriverDeps>)
  const over = run()
  await aMoment()
  assert.deepEqual([asked, world.pauses.length], [1, 1])
  world.pauses[0]?.()
  await aMoment()
  assert.deepEqual([asked, world.pauses.length], [2, 2])
  world.end.abort()
  await over
})

test('what is refused as the plan has changed is tried again at once', async () => {
  let asked = 0
  const make = async (): Promise<never> => {
    asked += 1
    world.record = {
      ...plan,
      fence: { term: 1, index: 7 + asked },
      ...(asked === 3 && { outcome: 'canceled' as const }),
    }
    throw stateError('plan-status', 'it changed meanwhile', 'look at it again')
  }
  const { world, run } = drive(plan, { maker: { make } } as unknown as Partial<DriverDeps>)
  await run()
  assert.deepEqual([asked, world.pauses.length], [3, 0])
})

/** A director that adjusts all, and notes what is taken back; `directs` says what becomes of directives. */
const directorOf = (undone: unknown[], directs: () => unknown, adjustFails?: unknown) => ({
  adjust: async (_id: string, _plan: unknown, done: readonly unknown[]) => ({ failed: adjustFails, done }),
  undo: async (_id: string, _plan: unknown, done: readonly unknown[]) => void undone.push(...done),
  direct: async () => directs(),
})
const REFUSED = { error: 'directive_failed', offline: [], reason: 'not now' }
const ADJUSTMENT = { agent: 'a', resource: 'cpu', change: -1 }

/** It goes through these states, until one does not move it. */
const through = async (
  states: readonly PlanRecord['state'][],
  director: unknown,
  maxFailures = 3,
): Promise<string[]> => {
  const assignments = [{ task: 'one', agent: 'a', directive: 'd' }]
  const made = { assignments, offline: [], isNothingOpen: false, why: '', adjustments: [ADJUSTMENT] }
  const left = [...states]
  const { world, run } = drive({ ...plan, state: left.shift() ?? 'idle', maxFailures }, {
    maker: { make: async () => made },
    watch: { look: async () => ({ do: 'complete', outcome: 'completed' }) },
    director,
    decide: async (change: { readonly do: string }) => {
      world.decided.push(change)
      const state = left.shift()
      world.record = { ...world.record, ...(state === undefined ? { outcome: 'canceled' as const } : { state }) }
    },
  } as unknown as Partial<DriverDeps>)
  await run()
  return world.decided.map((change) => change.do)
}

test('what agents adjusted is taken back where one of them refuses, or its directives fail', async () => {
  for (const maxFailures of [0, 3]) {
    const undone: unknown[] = []
    const moves = await through(
      ['coordinating', 'executing'],
      directorOf(undone, () => REFUSED),
      maxFailures,
    )
    assert.deepEqual(moves, ['plan_ready', maxFailures === 0 ? 'coordination_failure' : 'adjustment_needed'])
    assert.deepEqual(undone, [ADJUSTMENT])
  }
  const undone: unknown[] = []
  assert.deepEqual(
    await through(
      ['coordinating'],
      directorOf(undone, () => undefined, REFUSED),
    ),
    ['coordination_failure'],
  )
  assert.deepEqual(undone, [ADJUSTMENT])
})

test('what agents adjusted is taken back where the plan is canceled first, and stays once it is carried out', async () => {
  const undone: unknown[] = []
  await through(
    ['coordinating'],
    directorOf(undone, () => undefined),
  )
  assert.deepEqual(undone, [ADJUSTMENT])
  undone.length = 0
  const moves = await through(
    ['coordinating', 'executing', 'monitoring'],
    directorOf(undone, () => undefined),
  )
  assert.deepEqual([moves, undone], [['plan_ready', 'execution_started', 'completion'], []])
})

test('a plan whose tasks nobody submitted in time is given up, and was not carried out in part', async () => {
  const states = {
    system_state_change: 'coordinating',
    coordination_failure: 'error',
    recovery_complete: 'idle',
  } as const
  const moves: unknown[] = []
  const { world, run } = drive({ ...plan, state: 'idle', madeAt: 30_000 }, {
    statusOf: async () => undefined,
    decide: async (change: { readonly do: keyof typeof states; readonly reason: string }) => {
      moves.push([change.do, change.reason])
      const isOver = change.do === 'recovery_complete'
      const state = states[change.do]
      world.record = { ...world.record, state, reason: change.reason, ...(isOver && { outcome: 'failed' as const }) }
    },
  } as unknown as Partial<DriverDeps>)
  await run()
  assert.deepEqual(
    moves,
    Object.keys(states).map((trigger) => [trigger, NOT_SUBMITTED]),
  )
})

test('a plan that is canceled while it waits to be tried again ends at once', async () => {
  let isEnded = false
  const { world, run, wake } = drive({ ...plan, state: 'error', failures: 3, changedAt: 100_000 }, {
    ended: async () => {
      isEnded = true
    },
  } as Partial<DriverDeps>)
  const over = run()
  await aMoment()
  wake()
  await aMoment()
  assert.deepEqual([world.pauses.length, isEnded], [1, false], 'it waits on')
  world.record = { ...world.record, outcome: 'canceled' }
  wake()
  await aMoment()
  assert.equal(isEnded, true)
  await over
})
