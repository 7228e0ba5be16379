/** Whether a worker is there: by its connection at once, by the failure detector, and nothing of one that left. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ABSENT_MS, WorkerPresence } from '../../../../protocols/task/scheduler/worker-presence.ts'

test('one that is connected is what the failure detector believes', () => {
  const presence = new WorkerPresence()
  assert.deepEqual(presence.of('a', true, 'there', 0), { presence: 'there' })
  assert.deepEqual(presence.of('a', true, 'suspect', 10), { presence: 'suspect' })
  assert.deepEqual(presence.of('a', true, 'gone', 20), { presence: 'gone' })
})

test('one without a connection is suspected, and gone after a while; a connection begins anew', () => {
  const presence = new WorkerPresence()
  assert.deepEqual(presence.of('a', false, 'there', 1_000), { presence: 'suspect', dueMs: ABSENT_MS })
  assert.deepEqual(presence.of('a', false, 'there', 1_000 + ABSENT_MS - 1), { presence: 'suspect', dueMs: 1 })
  assert.deepEqual(presence.of('a', false, 'there', 1_000 + ABSENT_MS), { presence: 'gone' })
  assert.deepEqual(presence.of('a', true, 'there', 2_000), { presence: 'there' })
  assert.deepEqual(presence.of('a', false, 'there', 3_000), { presence: 'suspect', dueMs: ABSENT_MS })
})

test('one without a connection that the failure detector finds dead is gone at once', () => {
  assert.deepEqual(new WorkerPresence().of('a', false, 'gone', 0), { presence: 'gone' })
})

test('one that left and comes again without a connection yet is not gone by what was before', () => {
  const presence = new WorkerPresence()
  presence.of('a', false, 'there', 0)
  presence.of('b', false, 'there', 0)
  assert.equal(presence.of('a', false, 'there', ABSENT_MS).presence, 'gone')
  presence.forget('a')
  assert.deepEqual(presence.of('a', false, 'there', ABSENT_MS), { presence: 'suspect', dueMs: ABSENT_MS })
  assert.equal(presence.of('b', false, 'there', ABSENT_MS).presence, 'gone', 'others are not forgotten with it')
  presence.forget('nobody')
})

test('a dead one is gone at once; one that said goodbye ends its work while it is connected', () => {
  const presence = new WorkerPresence()
  assert.deepEqual(presence.of('bob', true, 'gone', 0), { presence: 'gone' })
  assert.deepEqual(presence.of('bob', false, 'gone', 0), { presence: 'gone' })
  assert.deepEqual(presence.of('carl', true, 'left', 0), { presence: 'suspect' })
  assert.deepEqual(presence.of('carl', false, 'left', 10), { presence: 'gone' })
})
