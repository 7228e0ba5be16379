import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createOutcome } from '../../../protocols/delivery/outcomes.ts'
import { ParleyError } from '../../../protocols/errors.ts'

const dead = new ParleyError('COM001', 'it became a dead letter')

test('an outcome is there once every destination told of it, for who waited and who asks later', async () => {
  const outcome = createOutcome(2)
  let isThere = false
  const waiting = outcome.wait().then(() => {
    isThere = true
  })
  outcome.told(undefined)
  await new Promise((go) => setImmediate(go))
  assert.equal(isThere, false)
  outcome.told(undefined)
  await waiting
  await outcome.wait()
})

test('the first destination that failed fails it, at once', async () => {
  const outcome = createOutcome(3)
  const waiting = outcome.wait()
  outcome.told(dead)
  await assert.rejects(waiting, dead)
  outcome.told(undefined)
  outcome.told(undefined)
  await assert.rejects(outcome.wait(), dead)
})

test('who stops waiting is told why, and the others go on waiting', async () => {
  const outcome = createOutcome(1)
  const abort = new AbortController()
  const first = outcome.wait({ signal: abort.signal })
  const second = outcome.wait({ signal: new AbortController().signal })
  const reason = new Error('enough')
  abort.abort(reason)
  await assert.rejects(first, reason)
  await assert.rejects(outcome.wait({ signal: abort.signal }), reason)
  outcome.told(undefined)
  await second
  await outcome.wait({ signal: abort.signal })
})
