/** Whether the coordinator takes a worker for there: by its connection, and by what the failure detector believes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ABSENT_MS, WorkerPresence } from '../../../../protocols/task/scheduler/worker-presence.ts'

test('a worker without a connection gets nothing new, and is gone after a while; it begins anew when it is there again', () => {
  const presence = new WorkerPresence()
  assert.deepEqual(presence.of('bob', true, 'there', 0), { presence: 'there' })
  assert.deepEqual(presence.of('bob', false, 'there', 100), { presence: 'suspect', dueMs: ABSENT_MS })
  assert.deepEqual(presence.of('bob', false, 'there', 99 + ABSENT_MS), { presence: 'suspect', dueMs: 1 })
  assert.deepEqual(presence.of('bob', false, 'there', 100 + ABSENT_MS), { presence: 'gone' })
  assert.deepEqual(presence.of('bob', true, 'suspect', 1_000), { presence: 'suspect' })
  assert.deepEqual(presence.of('bob', false, 'there', 2_000), { presence: 'suspect', dueMs: ABSENT_MS })
  presence.forget('bob')
  assert.deepEqual(presence.of('bob', false, 'there', 3_000), { presence: 'suspect', dueMs: ABSENT_MS })
})

test('a dead one is gone at once; one that said goodbye ends its work while it is connected', () => {
  const presence = new WorkerPresence()
  assert.deepEqual(presence.of('bob', true, 'gone', 0), { presence: 'gone' })
  assert.deepEqual(presence.of('bob', false, 'gone', 0), { presence: 'gone' })
  assert.deepEqual(presence.of('carl', true, 'left', 0), { presence: 'suspect' })
  assert.deepEqual(presence.of('carl', false, 'left', 10), { presence: 'gone' })
})
