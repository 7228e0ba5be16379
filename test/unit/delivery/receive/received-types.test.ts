import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAX_KNOWN, openKnownTypes } from '../../../../protocols/delivery/receive/received-types.ts'
import { createVolatileRowStore } from '../../../../protocols/delivery/store/volatile-row-store.ts'

const clockAt = (start: number) => {
  let now = start
  return { clock: { now: () => now, monotonic: () => now }, pass: (ms: number) => (now += ms) }
}

test('a node that just started waits for every handler; later only for those that it had', async () => {
  const { clock, pass } = clockAt(1_000)
  const types = await openKnownTypes({ clock }, createVolatileRowStore('a'.repeat(32)))
  types.add('order.placed')
  assert.equal(types.missingHandlerError('never.heard').code, 'COM003')
  pass(10_000)
  assert.equal(types.missingHandlerError('never.heard').code, 'MSG004')
  const { code, details } = types.missingHandlerError('order.placed')
  assert.deepEqual([code, details.retryAfterMs], ['COM003', 1_000])
})

test('what was received is known after a restart, until its handler was taken away', async () => {
  const { clock, pass } = clockAt(0)
  const store = createVolatileRowStore('a'.repeat(32))
  const before = await openKnownTypes({ clock }, store)
  before.add('order.placed')
  before.add('order.paid')
  before.remove('order.paid')
  const after = await openKnownTypes({ clock }, store)
  pass(10_000)
  assert.equal(after.missingHandlerError('order.placed').code, 'COM003')
  assert.equal(after.missingHandlerError('order.paid').code, 'MSG004')
})

test('at most 1024 types are known', async () => {
  const { clock, pass } = clockAt(0)
  const types = await openKnownTypes({ clock }, createVolatileRowStore('a'.repeat(32)))
  for (let i = 0; i <= MAX_KNOWN; i += 1) types.add(`t.${i}`)
  pass(10_000)
  assert.equal(types.missingHandlerError(`t.${MAX_KNOWN - 1}`).code, 'COM003')
  assert.equal(types.missingHandlerError(`t.${MAX_KNOWN}`).code, 'MSG004')
})
