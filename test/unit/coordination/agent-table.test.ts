/** What a plan's coordinator remembers of agents: who refused which task, or failed at it, and who could not be directed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AgentTable } from '../../../protocols/coordination/runner/agent-table.ts'
import type { TaskRecord, WorkerRecord } from '../../../protocols/task/task-record.ts'

const MINUTE_MS = 60_000
const MOST = 4_096

const tableAt = () => {
  const time = { now: 1_000 }
  const clock = { now: () => time.now, monotonic: () => time.now }
  const table = new AgentTable(
    { self: { id: 'me', name: 'me', mesh: 'm', incarnation: 1 }, clock, members: () => [] },
    () => 'there',
  )
  return { time, table }
}
const task = (more: Partial<TaskRecord>): TaskRecord =>
  ({ type: 'sum', plan: 'p', assignee: 'a', status: 'queued', failures: 0, ...more }) as TaskRecord
const worker = (registration: number): WorkerRecord => ({ registration, offers: [] }) as unknown as WorkerRecord

test('an agent that failed at a task is known for a minute, as one that refused it', () => {
  const { time, table } = tableAt()
  table.setTask('one', task({ failures: 3 }))
  assert.deepEqual(table.refusedBy('one'), [], 'whose failures they are is not known')
  table.setTask('one', task({ status: 'running', worker: 'a', failures: 3 }))
  table.setTask('one', task({ failures: 4 }))
  assert.deepEqual(table.refusedBy('one'), ['a'])
  table.setTask('one', task({ assignee: 'b', failures: 4 }))
  assert.deepEqual(table.refusedBy('one'), ['a'], 'who has it now has not failed')
  table.setTask('two', task({}))
  assert.deepEqual(table.refusedBy('two'), [], 'it may do others')
  table.setTask('one', task({ assignee: 'b', failures: 5 }))
  assert.deepEqual(table.refusedBy('one'), ['a', 'b'])
  time.now += MINUTE_MS
  assert.deepEqual(table.refusedBy('one'), [])
})

test('an agent that refused a task is not asked for others of the type of that plan', () => {
  const { time, table } = tableAt()
  for (const [id, more] of Object.entries({ one: {}, two: {}, three: { type: 'other' }, four: { plan: 'q' } }))
    table.setTask(id, task(more))
  table.noteRefusal('one', 'a')
  assert.deepEqual(
    ['one', 'two', 'three', 'four'].map((id) => table.refusedBy(id).length),
    [1, 1, 0, 0],
  )
  assert.deepEqual(table.failedAt('one'), [], 'it has not failed')
  time.now += MINUTE_MS
  assert.deepEqual(table.refusedBy('two'), [])
})

test('an agent that could not be directed is known for a while, until it is started anew', () => {
  const { time, table } = tableAt()
  table.noteUnavailable('nobody', MINUTE_MS)
  table.setWorker('a', worker(1))
  table.noteUnavailable('a', MINUTE_MS)
  assert.deepEqual([table.isUnavailable('a'), table.isUnavailable('nobody')], [true, false])
  table.setWorker('a', worker(2))
  assert.equal(table.isUnavailable('a'), false)
  table.noteUnavailable('a', MINUTE_MS)
  table.noteUnavailable('a', 1)
  time.now += MINUTE_MS - 1
  assert.equal(table.isUnavailable('a'), true)
  time.now += 1
  assert.equal(table.isUnavailable('a'), false)
})

test('it remembers so many agents that could not be directed, and no more', () => {
  const { table } = tableAt()
  for (let i = 0; i <= MOST; i += 1) {
    table.setWorker(`${i}`, worker(1))
    table.noteUnavailable(`${i}`, MINUTE_MS)
    if (i === MOST - 1) assert.equal(table.isUnavailable('0'), true)
  }
  assert.deepEqual(
    [table.isUnavailable('0'), table.isUnavailable('1'), table.isUnavailable(`${MOST}`)],
    [false, true, true],
  )
})
