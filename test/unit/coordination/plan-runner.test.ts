/** Plans that are over, at a coordinator that begins, or has to read all of the journal anew. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVirtualTime } from '../../../node/testing/virtual/virtual-time.ts'
import { planKey } from '../../../protocols/coordination/plan-record.ts'
import { PlanRunner } from '../../../protocols/coordination/runner/plan-runner.ts'

const HOUR_MS = 3_600_000
const NOW = 10 * HOUR_MS

/** A coordinator of these plans, each with when it ended. It forgets what it decides to forget. */
const coordinate = async (
  plans: readonly (readonly [id: string, endedAt: number])[],
  { goal = 'g', isTooMuchAtOnce = false } = {},
) => {
  const time = createVirtualTime()
  const records = new Map(
    plans.map(([id, changedAt]) => {
      const value = {
        goal,
        owner: 'ann',
        outcome: 'completed',
        state: 'idle',
        tasks: [],
        changedAt,
        fence: { term: 1, index: 1 },
      }
      return [planKey(id), { key: planKey(id), version: 1, value }]
    }),
  )
  let version = 1
  let apply = (): void => {}
  const forgotten: string[][] = []
  const member = {
    machine: {
      version: () => version,
      onApplied: (fn: () => void) => {
        apply = fn
        return () => {}
      },
      records: {
        all: () => [...records.values()],
        get: (key: string) => records.get(key),
        // Undefined: more was applied together than is kept of changes.
        since: (from: number) => (from < version ? undefined : []),
      },
    },
    clock: { now: () => NOW },
  }
  const end = new AbortController()
  const deps = {
    port: {
      ...{ self: { id: 'me' }, clock: { now: time.now, monotonic: time.now }, timers: time },
      ...{ log: { info() {}, warn() {} }, members: () => [], onMember: () => () => {} },
    },
    ...{ member, presenceOf: () => 'there', onPresence: () => () => {}, maker: () => ({}), director: () => ({}) },
    ...{ statusOf: async () => undefined, coordinated() {}, reported() {} },
    decide: async ({ ids }: { readonly ids: readonly string[] }) => {
      forgotten.push([...ids])
      for (const id of ids) records.delete(planKey(id))
      if (isTooMuchAtOnce && forgotten.length === 1) version += 1
      apply()
    },
  }
  const runner = new PlanRunner(deps as never, 1, end.signal)
  const over = runner.run()
  await time.run(2_000)
  const { over: kept } = runner.counts()
  end.abort()
  await over
  return { forgotten, kept }
}

test('a coordinator that begins forgets what was over longer than an hour ago, whatever stands before it', async () => {
  const { forgotten } = await coordinate([
    ['a', NOW - 60_000],
    ['b', NOW - 1.5 * HOUR_MS],
  ])
  assert.deepEqual(forgotten[0], ['b'])
})

test('where there is no room for all, a coordinator that begins forgets what ended first', async () => {
  const others = Array.from({ length: 219 }, (_, i) => [`b${i}`, NOW - 50 * 60_000 + i] as const)
  const { forgotten } = await coordinate([['a', NOW], ...others], { goal: 'x'.repeat(10_000) })
  const first = forgotten[0] ?? []
  assert.ok(first.length > 5 && first.length < 20, `${first.length}`)
  assert.deepEqual(
    first,
    others.slice(0, first.length).map(([id]) => id),
  )
})

test('what was forgotten together with more than is kept of changes is not forgotten again', async () => {
  const { forgotten, kept } = await coordinate([['p', 0]], { isTooMuchAtOnce: true })
  assert.deepEqual([forgotten, kept], [[['p']], 0])
})
