/** Which agents are asked before a plan is made, and which of them are preferred. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultGenerator, type PlannableTask } from '../../../protocols/coordination/planner/generator.ts'
import { type AskFacts, candidatesFor, withoutUnavailable } from '../../../protocols/coordination/runner/candidates.ts'
import type { JournalMember } from '../../../protocols/journal/journal-server.ts'
import type { WorkerRecord } from '../../../protocols/task/task-record.ts'

const task = (id: string, type = 'sum'): PlannableTask => ({
  ...{ id, type, version: undefined, priority: 1, needs: {}, assignee: undefined, refusedBy: [] },
})
const worker = (...types: string[]): WorkerRecord =>
  ({ registration: 1, offers: types.map((type) => ({ type, slots: 2 })) }) as unknown as WorkerRecord

const factsOf = (workers: Record<string, WorkerRecord>, ...unavailable: string[]): AskFacts => ({
  member: { machine: { records: { get: () => undefined } } } as unknown as JournalMember,
  presenceOf: () => 'there',
  running: () => 0,
  workers: () => new Map(Object.entries(workers)),
  isUnavailable: (peer) => unavailable.includes(peer),
})
const names = (facts: AskFacts, tasks: readonly PlannableTask[], ...offline: string[]): string[] =>
  candidatesFor(facts, { offline: offline.map((agent) => ({ agent, registration: 1 })) }, tasks)
    .map(({ peer }) => peer)
    .sort()

test('who could not be directed lately is not asked where others can do all of it', () => {
  const workers = { a: worker('sum'), b: worker('sum') }
  assert.deepEqual(names(factsOf(workers), [task('1')]), ['a', 'b'])
  assert.deepEqual(names(factsOf(workers, 'a'), [task('1')]), ['b'])
  assert.deepEqual(names(factsOf(workers, 'a', 'b'), [task('1')]), ['a', 'b'], 'there is nobody else')
  assert.deepEqual(names(factsOf(workers, 'b'), [task('1')], 'a'), ['b'], 'offline for this plan counts more')
})

test('who is offline for this plan is asked again for what nobody else can do, beside others', () => {
  const facts = factsOf({ a: worker('sum'), b: worker('rare') })
  const tasks = [task('1'), task('2', 'rare')]
  assert.deepEqual(names(facts, tasks, 'b'), ['a', 'b'])
  assert.deepEqual(names(facts, tasks.slice(0, 1), 'b'), ['a'])
  assert.deepEqual(names(factsOf({ a: worker('sum', 'rare'), b: worker('rare') }), tasks, 'b'), ['a'])
})

test('what nodes have is read once for each agent, however many tasks there are', () => {
  const workers = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`agent-${i}`, worker('sum')]))
  let reads = 0
  const get = (): { value: unknown } => {
    reads += 1
    return { value: { capacity: { cpu: 1 }, used: {} } }
  }
  const facts = {
    ...factsOf(workers, 'agent-7'),
    member: { machine: { records: { get } } } as unknown as JournalMember,
  }
  // More than anybody has: all agents are compared with all of them.
  const tasks = Array.from({ length: 128 }, (_, i) => ({ ...task(`${i}`), needs: { cpu: 1_000 + i } }))
  assert.equal(names(facts, tasks, 'agent-9').length, 48)
  assert.ok(reads <= 50, `${reads} reads`)
})

test('who could not be directed lately gets only what nobody else can do', () => {
  const facts = factsOf({ a: worker('sum', 'rare'), b: worker('sum') }, 'a')
  const tasks = [task('1'), task('2'), task('3'), task('4', 'rare')]
  assert.deepEqual(names(facts, tasks), ['a', 'b'])
  assert.deepEqual(names(facts, tasks.slice(0, 3)), ['b'])
  const candidates = candidatesFor(facts, { offline: [] }, tasks)
  const chosen = defaultGenerator({
    ...{ plan: 'p', goal: 'g', weights: {}, zone: undefined, metrics: new Map() },
    tasks: withoutUnavailable(tasks, candidates),
    agents: candidates.map(({ peer, record }) => ({
      ...{ agent: peer, capacity: {}, free: {}, load: 0, queueLength: 0, price: undefined, zone: undefined },
      capabilities: record.offers.map(({ type, slots }) => ({ type, slots, versions: undefined, running: 0 })),
      roundTripMs: 1,
    })),
  })
  assert.deepEqual(
    chosen.map(({ agent }) => agent),
    ['b', 'b', 'b', 'a'],
  )
})
