import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVirtualTime } from '../../../node/testing/virtual/virtual-time.ts'
import { createDeliveryOutcome } from '../../../protocols/delivery/delivery-outcome.ts'
import { ParleyError } from '../../../protocols/errors.ts'

const time = createVirtualTime()
const dead = new ParleyError('COM001', 'it became a dead letter')

test('an outcome is there once every destination told of it, for who waited and who asks later', async () => {
  const outcome = createDeliveryOutcome(2, time)
  let isThere = false
  const waiting = outcome.wait().then(() => {
    isThere = true
  })
  outcome.report(undefined)
  await new Promise((go) => setImmediate(go))
  assert.equal(isThere, false)
  outcome.report(undefined)
  await waiting
  await outcome.wait()
})

test('the first destination that failed fails it, at once', async () => {
  const outcome = createDeliveryOutcome(3, time)
  const waiting = outcome.wait()
  outcome.report(dead)
  await assert.rejects(waiting, dead)
  outcome.report(undefined)
  outcome.report(undefined)
  await assert.rejects(outcome.wait(), dead)
})

test('who stops waiting is told why, and the others go on waiting', async () => {
  const outcome = createDeliveryOutcome(1, time)
  const abort = new AbortController()
  const first = outcome.wait({ signal: abort.signal })
  const second = outcome.wait({ signal: new AbortController().signal })
  const reason = new Error('enough')
  abort.abort(reason)
  await assert.rejects(first, reason)
  await assert.rejects(outcome.wait({ signal: abort.signal }), reason)
  outcome.report(undefined)
  await second
  await outcome.wait({ signal: abort.signal })
})

test('who waits with a limit is told that it is over, and the message goes on', async () => {
  const outcome = createDeliveryOutcome(1, time)
  const waiting = outcome.wait({ timeoutMs: 1_000 })
  const patient = outcome.wait({ timeoutMs: 2_000 })
  await assert.rejects(time.settled(waiting, 1_100), { code: 'COM001', message: /within 1000 ms/ })
  outcome.report(undefined)
  await patient
  await outcome.wait({ timeoutMs: 1 })
})
