/** How a plan is made: what nodes have is what the journal says, whatever a resource manager tells. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PlanRecord } from '../../../protocols/coordination/plan-record.ts'
import type { PlanInput } from '../../../protocols/coordination/planner/generator.ts'
import { type MakerDeps, PlanMaker } from '../../../protocols/coordination/runner/plan-maker.ts'
import { nodeKey } from '../../../protocols/resource/resource-record.ts'
import { taskKey } from '../../../protocols/task/task-record.ts'

const SIGNAL = new AbortController().signal
const AGENTS = ['a', 'b']
const plan = { tasks: ['one', 'foreign'], assignments: [], offline: [], goal: 'g' } as unknown as PlanRecord

/** Two agents that have a gpu each, by the journal; a task that requires one. */
const makerOf = (said: (agent: string) => number) => {
  const record = { type: 'sum', status: 'queued', priority: 1, requirements: { gpu_units: 1 } }
  const records = new Map<string, unknown>([
    [taskKey('one'), { ...record, plan: 'p' }],
    [taskKey('foreign'), { ...record, status: 'submitted' }],
    ...AGENTS.map((agent) => [nodeKey(agent), { capacity: { gpu: 1 }, used: {} }] as const),
  ])
  const disputed: string[] = []
  const inputs: PlanInput[] = []
  const status = { availability: 'available', load: 0, queue_length: 0 }
  const clock = { now: () => 0, monotonic: () => 0 }
  const maker = new PlanMaker({
    port: { clock, timers: { after: () => () => {} }, random: (n: number) => new Uint8Array(n), log: { warn() {} } },
    member: { machine: { records: { get: (key: string) => ({ value: records.get(key) }) } }, clock },
    survey: { ask: async () => new Map(AGENTS.map((agent) => [agent, { status, roundTripMs: 1 }])) },
    presenceOf: () => 'there',
    running: () => 0,
    workers: () => new Map(AGENTS.map((agent) => [agent, { registration: 1, offers: [{ type: 'sum', slots: 1 }] }])),
    refusedBy: () => [],
    isUnavailable: () => false,
    noteUnavailable() {},
    generator: () => (input: PlanInput) => {
      inputs.push(input)
      return input.tasks.map(({ id }) => ({ task: id, agent: 'a' }))
    },
    verify: async () => new Map(AGENTS.map((agent) => [agent, { gpu: said(agent) }])),
    disputed: (peer: string) => void disputed.push(peer),
    metrics: async () => new Map(),
  } as unknown as MakerDeps)
  return { disputed, inputs, records, make: () => maker.make('p', plan, SIGNAL) }
}

test('a task that is not of the plan is given to nobody', async () => {
  const { make } = makerOf(() => 1)
  const { assignments, isNothingOpen } = await make()
  assert.deepEqual(
    assignments.map(({ task }) => task),
    ['one'],
  )
  assert.equal(isNothingOpen, false)
})

test('a resource manager that says something else than the journal is told of, and not believed', async () => {
  for (const lie of [0, 1_000]) {
    const { make, disputed, inputs } = makerOf((agent) => (agent === 'a' ? lie : 1))
    const { assignments } = await make()
    assert.deepEqual([assignments.length, disputed], [1, ['a']])
    for (const { capacity, free } of inputs[0]?.agents ?? assert.fail())
      assert.deepEqual([capacity, free], [{ gpu: 1 }, { gpu: 1 }])
  }
  const honest = makerOf(() => 1)
  await honest.make()
  assert.deepEqual(honest.disputed, [])
})

test('what has changed while the resource manager was asked is not disputed', async () => {
  const world = makerOf((agent) => {
    world.records.set(nodeKey(agent), { capacity: { gpu: 2 }, used: {} })
    return agent === 'a' ? 1 : 2
  })
  await world.make()
  assert.deepEqual(world.disputed, [])
})
