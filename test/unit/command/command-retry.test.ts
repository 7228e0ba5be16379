/** When a command is sent again, and how long each attempt waits. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  attemptTimeoutMs,
  mayHaveBegun,
  retryDelayMs,
  retrySettingsOf,
  wasRefused,
} from '../../../protocols/command/command-retry.ts'
import { ParleyError } from '../../../protocols/errors.ts'

const settings = retrySettingsOf({ timeoutMs: 60_000, retry: { maxRetries: 3, initialDelayMs: 100, maxDelayMs: 300 } })
const timeout = new ParleyError('COM001', 'no answer')
const half = (): number => 0.5

test('the delay doubles up to its most, a quarter up or down by chance', () => {
  const at = (count: number, chance: number) => retryDelayMs(timeout, count, 60_000, settings, () => chance)
  assert.deepEqual(
    [1, 2, 3].map((count) => at(count, 0.5)),
    [100, 200, 300],
  )
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3 }), fc.double({ min: 0, max: 1, noNaN: true }), (count, chance) => {
      const usual = at(count, 0.5) ?? 0
      const delay = at(count, chance) ?? 0
      assert.ok(delay >= usual * 0.75 && delay <= usual * 1.25)
    }),
  )
})

test('a peer that says how long to wait is waited for as long', () => {
  const busy = new ParleyError('COM003', 'busy', { details: { retryAfterMs: 900 } })
  assert.equal(retryDelayMs(busy, 1, 60_000, settings, half), 900)
})

test('it is given up after the last attempt, when the time is over, and for an error that stays', () => {
  assert.equal(retryDelayMs(timeout, 4, 60_000, settings, half), undefined)
  assert.equal(retryDelayMs(timeout, 1, 100, settings, half), undefined)
  assert.equal(retryDelayMs(timeout, 1, 101, settings, half), 100)
  assert.equal(retryDelayMs(new ParleyError('APP001', 'failed'), 1, 60_000, settings, half), undefined)
})

test('an attempt waits its time, and the last one to the end', () => {
  assert.equal(attemptTimeoutMs(1, 60_000, settings), 5_000)
  assert.equal(attemptTimeoutMs(4, 60_000, settings), 60_000)
  assert.equal(attemptTimeoutMs(1, 5_125, settings), 5_125)
  assert.equal(attemptTimeoutMs(1, 5_126, settings), 5_000)
})

test('only a command that cannot have begun goes to another peer', () => {
  assert.equal(mayHaveBegun(timeout), true)
  assert.equal(mayHaveBegun(new ParleyError('COM002', 'lost', { details: { sent: true } })), true)
  assert.equal(mayHaveBegun(new ParleyError('COM002', 'lost', { details: { sent: false } })), false)
  assert.equal(mayHaveBegun(new ParleyError('COM003', 'busy')), false)
  assert.equal(mayHaveBegun(new ParleyError('MSG006', 'no handler')), false)
})

test('a nack came from a handler that ran, whatever its error is', () => {
  const status = 'nack'
  const nacks = [
    new ParleyError('COM002', 'its own command was not sent', { details: { sent: false, status } }),
    new ParleyError('MSG001', 'its own command was refused', { details: { sent: false, status } }),
    new ParleyError('COM003', 'busy', { details: { status } }),
    new ParleyError('MSG006', 'no handler for its own command', { details: { status } }),
  ]
  assert.deepEqual(nacks.map(mayHaveBegun), [true, true, true, true])
  assert.deepEqual(nacks.map(wasRefused), [false, false, false, false])
  const delays = nacks.map((nack) => retryDelayMs(nack, 1, 60_000, settings, half))
  assert.deepEqual(delays, [100, undefined, 100, undefined], 'the same peer may be asked again')
})

test('what goes with an attempt is there again where the receiver took none of it', () => {
  const errors = [
    new ParleyError('MSG006', 'no handler'),
    new ParleyError('COM003', 'busy'),
    new ParleyError('MSG001', 'too large', { details: { sent: false } }),
    new ParleyError('MSG001', 'the result does not fit'),
    new ParleyError('COM001', 'late'),
    new Error('given up'),
  ]
  assert.deepEqual(errors.map(wasRefused), [true, true, true, false, false, false])
})
