/** What is found of a plan that is being carried out: who is gone, what could be done sooner elsewhere, and when that is looked at. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OfflineAgent, PlanRecord } from '../../../protocols/coordination/plan-record.ts'
import { type EndedTasks, PlanWatch } from '../../../protocols/coordination/runner/plan-watch.ts'
import type { JournalMember } from '../../../protocols/journal/journal-server.ts'
import { nodeKey } from '../../../protocols/resource/resource-record.ts'
import { taskKey, type WorkerRecord, workerKey } from '../../../protocols/task/task-record.ts'
import type { TaskStatus } from '../../../protocols/task/task-status.ts'

const SLOTS = 1
const SIGNAL = new AbortController().signal

/** Agents that take one task each, and what each has; a plan of tasks that were given out long ago. */
const worldOf = (agents: readonly string[], given: Readonly<Record<string, readonly [agent: string, TaskStatus]>>) => {
  const records = new Map<string, unknown>()
  const gone = new Set<string>()
  const refused = new Map<string, string[]>()
  const failed = new Map<string, string[]>()
  const unavailable = new Set<string>()
  const marked: OfflineAgent[] = []
  const ended = new Map<string, TaskStatus>()
  const seen: EndedTasks = new Map()
  const workers = new Map<string, WorkerRecord>()
  for (const agent of agents) {
    const record = { registration: 1, offers: [{ type: 'sum', slots: SLOTS }] } as unknown as WorkerRecord
    workers.set(agent, record)
    records.set(workerKey(agent), record)
  }
  const set = (task: string, [assignee, status]: readonly [string, TaskStatus]): void =>
    void records.set(taskKey(task), { plan: 'p', type: 'sum', status, assignee, changedAt: 0 })
  for (const [task, at] of Object.entries(given)) set(task, at)
  const runningAt = (peer: string): number =>
    [...records.values()].filter((one) => {
      const { status, assignee } = one as { status?: string; assignee?: string }
      return status === 'running' && assignee === peer
    }).length
  let now = 100_000
  let reads = 0
  const get = (key: string) => {
    reads += 1
    return records.has(key) ? { value: records.get(key) } : undefined
  }
  const watch = new PlanWatch({
    member: {
      machine: { records: { get } },
      clock: { now: () => now, monotonic: () => now },
    } as unknown as JournalMember,
    presenceOf: (peer) => (gone.has(peer) ? 'gone' : 'there'),
    running: runningAt,
    workers: () => workers,
    refusedBy: (task) => [...(refused.get(task) ?? []), ...(failed.get(task) ?? [])],
    failedAt: (task) => failed.get(task) ?? [],
    isUnavailable: (peer) => unavailable.has(peer),
    statusOf: async (task) => ended.get(task),
  })
  const plan = {
    tasks: Object.keys(given),
    assignments: Object.entries(given).map(([task, [agent]]) => ({ task, agent, directive: task })),
    offline: marked,
    moves: [],
    changedAt: 0,
  } as unknown as PlanRecord
  return {
    ...{ records, workers, gone, refused, failed, unavailable, marked, ended },
    set,
    /** Of records, by whatever was done with it. */
    reads: () => reads,
    at: (ms: number) => {
      now = ms
    },
    /** @param moves why, each; milliseconds since 1970 */
    look: (moves: readonly string[] = [], changedAt = 0, at: readonly number[] = []) =>
      watch.look(
        'p',
        {
          ...{ ...plan, changedAt },
          moves: moves.map((reason, i) => ({ trigger: 'adjustment_needed', reason, at: at[i] ?? changedAt })),
        } as PlanRecord,
        seen,
        SIGNAL,
      ),
  }
}

test('what waits at an agent that is gone is planned elsewhere at once, and that agent is marked offline', async () => {
  const { gone, look } = worldOf(['a', 'b'], { one: ['a', 'queued'], two: ['b', 'running'] })
  assert.deepEqual(await look(), { do: 'wait' })
  gone.add('a')
  const found = await look()
  assert.equal(found.do === 'adjust' && found.adjustment, 'agent_unavailable')
  assert.deepEqual(found.do === 'adjust' && found.offline, [{ agent: 'a', registration: 1 }])
})

test('what is at an agent that takes no such tasks any more goes to whoever does, also to one that could not be directed', async () => {
  const { records, workers, marked, look } = worldOf(['a', 'b'], { one: ['a', 'queued'] })
  marked.push({ agent: 'b', registration: 1 })
  assert.deepEqual(await look(), { do: 'wait' })
  const another = { registration: 2, offers: [{ type: 'other', slots: 1 }] } as unknown as WorkerRecord
  workers.set('a', another)
  records.set(workerKey('a'), another)
  const found = await look()
  assert.equal(found.do === 'adjust' && found.reason, 'b has room for a task of sum')
})

test('what waits where there is no room goes where there is some', async () => {
  const { look } = worldOf(['a', 'b'], { one: ['a', 'running'], two: ['a', 'queued'] })
  const found = await look()
  assert.equal(found.do === 'adjust' && found.adjustment, 'imbalance')
  const full = worldOf(['a', 'b'], { one: ['a', 'running'], two: ['a', 'queued'], three: ['b', 'running'] })
  assert.deepEqual(await full.look(), { do: 'wait' })
})

test('moves are put off longer and longer while no task of the plan ends, and no longer once one has', async () => {
  const world = worldOf(['a', 'b'], { one: ['a', 'running'], two: ['a', 'queued'], three: ['b', 'queued'] })
  const moves = ['imbalance: x', 'imbalance: x', 'imbalance: x']
  world.set('three', ['a', 'queued'])
  world.at(101_000)
  assert.deepEqual(await world.look(moves, 101_000), { do: 'wait', dueMs: 800 })
  world.at(101_800)
  assert.equal((await world.look(moves, 101_000)).do, 'adjust')
  // Of a long row the first ones are not kept: it has lasted 9 s, and goes on after as much.
  world.at(109_000)
  const at = moves.map((_, i) => 100_000 + i * 4_500)
  assert.deepEqual(await world.look(moves, 109_000, at), { do: 'wait', dueMs: 9_000 })
  world.set('three', ['b', 'completed'])
  world.at(100_050)
  assert.deepEqual(await world.look(moves, 100_000), { do: 'wait', dueMs: 150 })
  world.at(100_200)
  assert.equal((await world.look(moves, 100_000)).do, 'adjust')
})

test('what its agent has not the resources for any more goes where they are free', async () => {
  const requirements = { gpu_units: 1 }
  const world = worldOf(['a', 'b'], { one: ['a', 'queued'] })
  const give = (peer: string, capacity: number, used: number): void =>
    void world.records.set(nodeKey(peer), { capacity: { gpu: capacity }, used: { gpu: used } })
  world.records.set(taskKey('one'), {
    plan: 'p',
    type: 'sum',
    status: 'queued',
    assignee: 'a',
    changedAt: 0,
    requirements,
  })
  give('a', 1, 0)
  give('b', 1, 0)
  assert.deepEqual(await world.look(), { do: 'wait' })
  give('a', 1, 1)
  assert.equal((await world.look()).do, 'adjust')
  // It may have been allocated to the task itself just now.
  assert.deepEqual(await world.look([], 99_950), { do: 'wait', dueMs: 50 })
  give('a', 0, 0)
  assert.equal((await world.look()).do, 'adjust')
  give('b', 1, 1)
  assert.deepEqual(await world.look(), { do: 'wait' })
})

test('what an agent failed at goes to another one that can do it, also to one that is busy', async () => {
  const { look, failed, refused, unavailable, set } = worldOf(['a', 'b'], {
    one: ['a', 'queued'],
    two: ['b', 'running'],
  })
  failed.set('one', ['a'])
  const found = await look()
  assert.equal(found.do === 'adjust' && found.reason, 'a failed at a task of sum')
  unavailable.add('b')
  assert.deepEqual(await look(), { do: 'wait' })
  unavailable.clear()
  refused.set('one', ['b'])
  assert.deepEqual(await look(), { do: 'wait' })
  refused.clear()
  set('one', ['a', 'running'])
  assert.deepEqual(await look(), { do: 'wait' })
})

/** Agents that have some of a resource; a plan of tasks that nobody has, of which each requires more, and another amount. */
const wantingWorld = (agents: number, tasks: number) => {
  const names = Array.from({ length: agents }, (_, i) => `agent-${i}`)
  const world = worldOf(
    names,
    Object.fromEntries(Array.from({ length: tasks }, (_, i) => [`t${i}`, ['agent-0', 'queued']])),
  )
  const want = (i: number, cpu_cores: number): void =>
    void world.records.set(taskKey(`t${i}`), {
      ...{ plan: 'p', type: 'sum', status: 'queued', changedAt: i, requirements: { cpu_cores } },
    })
  for (let i = 0; i < tasks; i += 1) want(i, 1_000 + i)
  for (const name of names) world.records.set(nodeKey(name), { capacity: { cpu: 8_000 }, used: { cpu: 100 } })
  return { ...world, want }
}

test('one look compares a few kinds of tasks with the agents, however many kinds nobody can do', async () => {
  const [agents, tasks] = [50, 128]
  const { look, reads } = wantingWorld(agents, tasks)
  for (let i = 0; i < 3; i += 1) {
    const before = reads()
    assert.deepEqual(await look(), { do: 'wait' })
    assert.ok(reads() - before <= 8 * agents + 2 * tasks, `${reads() - before} reads`)
  }
})

test('where many kinds of tasks wait each has its turn, and keeps it until what is found can be done', async () => {
  const { look, want, at } = wantingWorld(2, 20)
  want(17, 1)
  assert.deepEqual(await look(), { do: 'wait' })
  assert.deepEqual(await look(), { do: 'wait' })
  at(50)
  for (let i = 0; i < 2; i += 1) assert.deepEqual(await look(), { do: 'wait', dueMs: 67 })
  at(100_000)
  assert.equal((await look()).do, 'adjust')
})

test('work does not go to who cannot be directed, or refused it', async () => {
  const { look, refused, unavailable, marked } = worldOf(['a', 'b'], { one: ['a', 'running'], two: ['a', 'queued'] })
  refused.set('two', ['b'])
  assert.deepEqual(await look(), { do: 'wait' })
  refused.clear()
  unavailable.add('b')
  assert.deepEqual(await look(), { do: 'wait' })
  unavailable.clear()
  marked.push({ agent: 'b', registration: 1 })
  assert.deepEqual(await look(), { do: 'wait' })
  marked.pop()
  assert.equal((await look()).do, 'adjust')
})

test('what nobody has is asked for again also of who could not be directed, or refused it', async () => {
  const { look, refused, unavailable, marked, records } = worldOf(['a'], { one: ['a', 'queued'] })
  records.set(taskKey('one'), { plan: 'p', type: 'sum', status: 'queued', changedAt: 0 })
  refused.set('one', ['a'])
  unavailable.add('a')
  marked.push({ agent: 'a', registration: 1 })
  assert.equal((await look()).do, 'adjust')
})

test('a task that was found completed stays so, also once it is forgotten; of others it is said that nobody knows', async () => {
  const given = { one: ['a', 'completed'], two: ['a', 'running'], three: ['a', 'completed'] } as const
  const { look, set, records, ended } = worldOf(['a'], given)
  // It has ended while nobody looked, and is not in the journal any more.
  records.delete(taskKey('three'))
  ended.set('three', 'completed')
  assert.deepEqual(await look(), { do: 'wait' })
  records.delete(taskKey('one'))
  ended.delete('three')
  set('two', ['a', 'completed'])
  assert.deepEqual(await look(), { do: 'complete', outcome: 'completed' })
  // Another coordinator has seen neither; one of them is still known to have ended.
  const other = worldOf(['a'], { one: ['a', 'completed'], two: ['a', 'completed'] })
  for (const id of ['one', 'two']) other.records.delete(taskKey(id))
  other.ended.set('two', 'completed')
  const reason = '1 of 2 tasks were not completed, as far as is known: 1 ended longer ago than tasks.retainMs'
  assert.deepEqual(await other.look(), { do: 'complete', outcome: 'failed', reason })
})

test('it does not wait for a task that is not its own, which counts as not completed', async () => {
  const { look, records } = worldOf(['a'], { one: ['a', 'completed'], two: ['a', 'submitted'] })
  assert.deepEqual(await look(), { do: 'wait' })
  records.set(taskKey('two'), { type: 'sum', status: 'submitted', changedAt: 0 })
  const found = await look()
  assert.deepEqual(found, { do: 'complete', outcome: 'failed', reason: '1 of 2 tasks were not completed' })
  records.set(taskKey('two'), { plan: 'another', type: 'sum', status: 'queued', changedAt: 0 })
  assert.deepEqual(await look(), found)
})

test('it is over once nothing of it is open, as its tasks ended', async () => {
  const all = worldOf(['a'], { one: ['a', 'completed'], two: ['a', 'completed'] })
  assert.deepEqual(await all.look(), { do: 'complete', outcome: 'completed' })
  const found = await worldOf(['a'], { one: ['a', 'completed'], two: ['a', 'failed'] }).look()
  assert.equal(found.do === 'complete' && found.outcome, 'failed')
})
