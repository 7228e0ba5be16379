/** A task as a program gives it: checked, completed, and known again. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { newTaskId, submittedTask } from '../../../../protocols/task/client/submitted-task.ts'
import type { SubmitTask } from '../../../../protocols/task/client/task-api.ts'
import { TaskReader } from '../../../../protocols/task/client/task-reader.ts'
import { failedTask } from '../../../../protocols/task/client/task-submitter.ts'
import { taskKey } from '../../../../protocols/task/task-record.ts'
import { isFinal, MOVES, movesBetween, TASK_STATUSES } from '../../../../protocols/task/task-status.ts'
import { submitted, TaskJournal } from '../../../support/task-journal.ts'

let now = 1_700_000_000_000
const port = {
  clock: { now: () => now, monotonic: () => now },
  random: (bytes: number): Uint8Array => randomBytes(bytes),
  hash: (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest(),
}
const submit = (task: SubmitTask) => submittedTask(port, task)

test('an id is a UUID of version 7, and sorts by when it was made', () => {
  const ids = Array.from({ length: 50 }, () => {
    now += 1
    return newTaskId(port)
  })
  for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  assert.deepEqual([...ids].sort(), ids)
  assert.equal(Number.parseInt((ids[0] ?? '').replace('-', '').slice(0, 12), 16), 1_700_000_000_001)
})

test('what is left out is filled in; the same task has the same digest, whatever its id', () => {
  const one = submit({ type: 'sum', input: { a: 1 } })
  assert.deepEqual([one.priority, one.retry, one.input], [1, { max: 3, delayMs: 1_000, maxDelayMs: 30_000 }, { a: 1 }])
  assert.equal(submit({ type: 'sum', input: { a: 1 }, id: 'x' }).digest, one.digest)
  assert.equal(submit({ type: 'sum', input: { a: 1 }, priority: 'normal', dependencies: [] }).digest, one.digest)
  const others: SubmitTask[] = [
    { type: 'sum', input: { a: 2 } },
    { type: 'sum2', input: { a: 1 } },
    { type: 'sum', input: { a: 1 }, priority: 'low' },
    { type: 'sum', input: { a: 1 }, typeVersion: '1' },
    { type: 'sum', input: { a: 1 }, deadline: 5 },
    { type: 'sum', input: { a: 1 }, metadata: null },
    { type: 'sum', input: { a: 1 }, retry: { max: 1 } },
    { type: 'sum', input: { a: 1 }, dependencies: ['x'] },
  ]
  assert.equal(new Set([one.digest, ...others.map((task) => submit(task).digest)]).size, others.length + 1)
  assert.deepEqual(submit({ type: 'sum', dependencies: ['a', { task_id: 'b', condition: 'finished' }] }).dependencies, [
    { task_id: 'a', condition: 'completed' },
    { task_id: 'b', condition: 'finished' },
  ])
  assert.equal(submit({ type: 'sum', deadline: new Date(7) }).deadline, 7)
})

test('each limit is taken, and one past it is refused', () => {
  const is = (task: object): boolean => {
    try {
      submit({ type: 'sum', ...task })
      return true
    } catch (error) {
      assert.equal(Reflect.get(Object(error), 'code'), 'MSG001')
      return false
    }
  }
  const text = (bytes: number): string => 'x'.repeat(bytes - 2)
  const cases: readonly (readonly [object, object])[] = [
    [{ id: 'x'.repeat(128) }, { id: 'x'.repeat(129) }],
    [{ id: 'a.b-c_d' }, { id: 'a..b' }],
    [{ type: 'x'.repeat(64) }, { type: 'x'.repeat(65) }],
    [{ typeVersion: 'x'.repeat(32) }, { typeVersion: 'x'.repeat(33) }],
    [{ input: text(16_384) }, { input: text(16_385) }],
    [{ metadata: text(4_096) }, { metadata: text(4_097) }],
    [{ dependencies: Array(64).fill('a') }, { dependencies: Array(65).fill('a') }],
    [{ retry: { max: 1_000 } }, { retry: { max: 1_001 } }],
    [{ deadline: 0 }, { deadline: -1 }],
    [{ requirements: { cpu_cores: 1 } }, { requirements: { cpu_cores: 1.5 } }],
    [{ input: [null] }, { input: undefined, inputs: 1 }],
  ]
  for (const [good, bad] of cases)
    assert.deepEqual([is(good), is(bad)], [true, false], JSON.stringify(Object.keys(good)))
})

test('states have the moves that they have: four are final, and from each other one there is a way to an end', () => {
  assert.deepEqual(TASK_STATUSES.filter(isFinal), ['completed', 'failed', 'canceled', 'rejected'])
  for (const from of TASK_STATUSES)
    for (const to of TASK_STATUSES) {
      const way = movesBetween(from, to)
      let at = from
      for (const next of way) {
        assert.ok(MOVES[at].includes(next), `${next} from ${at}`)
        at = next
      }
      if (way.length > 0) assert.equal(at, to)
      if (isFinal(from)) assert.deepEqual(way, [])
    }
  for (const from of TASK_STATUSES.filter((status) => !isFinal(status))) {
    assert.ok(movesBetween(from, 'canceled').length > 0)
    assert.ok(movesBetween(from, 'failed').length > 0)
  }
  assert.deepEqual(movesBetween('submitted', 'canceled'), ['queued', 'canceled'])
  assert.deepEqual(movesBetween('paused', 'queued'), ['running', 'queued'])
})

test('what ended before voters kept inputs cannot be submitted again, and the error says so', async () => {
  const retried = async (level: number): Promise<SubmitTask> => {
    const journal = new TaskJournal(level)
    const { records } = journal.machine
    journal.one('ann', { do: 'submit', tasks: [submitted('t', { input: 7 })] })
    journal.one('ann', { do: 'cancel', id: 't' })
    const reader = new TaskReader({
      get: async () => records.get(taskKey('t')),
      rows: async (name: string, { key = '' }) => {
        const value = await records.collections.read(name, key)
        return { rows: value === undefined ? [] : [{ key, value }] }
      },
    } as unknown as ConstructorParameters<typeof TaskReader>[0])
    return failedTask(reader, async (row) => row, 't', { as: 'u', signal: undefined })
  }
  const { id, type, input } = await retried(2)
  assert.deepEqual({ id, type, input }, { id: 'u', type: 'sum', input: 7 })
  await assert.rejects(retried(1), { code: 'STA003', details: { reason: 'input-gone', task: 't' } })
})
