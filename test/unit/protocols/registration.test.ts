/** What a registration promises about taking it back. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRegistration } from '../../../protocols/registration.ts'

test('a registration ends once, at once, however often and whichever way it is stopped', async () => {
  let ended = 0
  const registration = createRegistration(() => {
    ended += 1
  })
  const first = registration.stop()
  assert.equal(ended, 1, 'it has begun before stop() returns')
  await Promise.all([first, registration.stop(), registration[Symbol.asyncDispose]()])
  assert.equal(ended, 1)
})

test('each stop waits for the same end, also for one that takes its time', async () => {
  const end = Promise.withResolvers<void>()
  const registration = createRegistration(() => end.promise)
  let over = 0
  const waits = [registration.stop(), registration.stop()].map((stop) => stop.then(() => (over += 1)))
  await new Promise(setImmediate)
  assert.equal(over, 0)
  end.resolve()
  await Promise.all(waits)
  assert.equal(over, 2)
})

test('what the end throws rejects stop, each time', async () => {
  const registration = createRegistration(() => {
    throw new Error('it does not end')
  })
  await assert.rejects(registration.stop(), /does not end/)
  await assert.rejects(registration.stop(), /does not end/)
})

test('a block that is left ends what it was using', async () => {
  let ended = 0
  {
    await using registration = createRegistration(() => {
      ended += 1
    })
    assert.equal(typeof registration.stop, 'function')
    assert.equal(ended, 0)
  }
  assert.equal(ended, 1)
})
