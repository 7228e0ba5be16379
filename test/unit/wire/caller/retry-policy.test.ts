import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { CODES, type Code, ParleyError } from '../../../../protocols/errors.ts'
import { decideRetry, MAX_ATTEMPTS, mayFailOver, neverHandled } from '../../../../protocols/wire/caller/retry-policy.ts'

const codes = Object.keys(CODES) as Code[]
const first = { count: 1, idempotent: false, remainingMs: 30_000, chance: 0 }
const unsent = new ParleyError('COM002', 'gone', { details: { sent: false } })
const sent = new ParleyError('COM002', 'gone', { details: { sent: true } })
const busy = new ParleyError('COM003', 'busy')

describe('a second attempt', () => {
  it('is made for what was not sent or was refused for load, whatever the method', () => {
    assert.equal(decideRetry(unsent, first).kind, 'retry')
    assert.equal(decideRetry(busy, first).kind, 'retry')
  })

  it('is made for what may have been handled only when twice is as good as once', () => {
    assert.equal(decideRetry(sent, first).kind, 'give-up')
    assert.equal(decideRetry(sent, { ...first, idempotent: true }).kind, 'retry')
    assert.equal(decideRetry(new ParleyError('COM002', 'gone'), first).kind, 'give-up', 'not known is not unsent')
  })

  it('is made for what was not answered in its time only when twice is as good as once', () => {
    const late = new ParleyError('COM001', 'late')
    assert.equal(decideRetry(late, first).kind, 'give-up')
    assert.equal(decideRetry(late, { ...first, idempotent: true }).kind, 'retry')
    assert.equal(decideRetry(late, { ...first, idempotent: true, remainingMs: 0 }).kind, 'give-up', 'no time is left')
  })

  it('is not made for any other error', () => {
    for (const code of codes.filter((each) => !each.startsWith('COM') || each === 'COM004')) {
      assert.equal(decideRetry(new ParleyError(code, 'x'), { ...first, idempotent: true }).kind, 'give-up', code)
    }
    assert.equal(decideRetry(new Error('x'), { ...first, idempotent: true }).kind, 'give-up')
  })

  it('is the last one at the bound', () => {
    assert.equal(decideRetry(unsent, { ...first, count: MAX_ATTEMPTS - 1 }).kind, 'retry')
    assert.equal(decideRetry(unsent, { ...first, count: MAX_ATTEMPTS }).kind, 'give-up')
  })

  it('is not waited for longer than the call has time', () => {
    assert.deepEqual(decideRetry(unsent, { ...first, remainingMs: 25.5 }), { kind: 'retry', delayMs: 25 })
    assert.equal(decideRetry(unsent, { ...first, remainingMs: 25 }).kind, 'give-up')
  })

  it('waits as long as the peer asked, unless that is no sensible time', () => {
    const asks = (retryAfterMs: unknown) =>
      decideRetry(new ParleyError('COM003', 'busy', { details: { retryAfterMs } }), first)
    assert.deepEqual(asks(400), { kind: 'retry', delayMs: 400 })
    for (const nonsense of [-5, 60_000, Number.NaN, 'soon', undefined]) {
      assert.deepEqual(asks(nonsense), { kind: 'retry', delayMs: 25 }, `${nonsense}`)
    }
  })

  it('waits longer each time, up to two seconds, and never less than half of it', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: MAX_ATTEMPTS - 1 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (count, chance) => {
          const decision = decideRetry(unsent, { ...first, count, chance })
          assert.ok(decision.kind === 'retry')
          const top = Math.min(2000, 50 * 2 ** (count - 1))
          assert.ok(decision.delayMs >= top / 2 && decision.delayMs <= top, `${decision.delayMs} of ${top}`)
        },
      ),
    )
  })
})

describe('another peer', () => {
  it('is asked when this one cannot have handled the request, or may and twice is as good as once', () => {
    assert.deepEqual(
      [unsent, busy, sent].map((error) => [mayFailOver(error, false), mayFailOver(error, true)]),
      [
        [true, true],
        [true, true],
        [false, true],
      ],
    )
  })

  it('is asked when this one did not answer in its time only where twice is as good as once', () => {
    const late = new ParleyError('COM001', 'late')
    assert.deepEqual([mayFailOver(late, false), mayFailOver(late, true)], [false, true])
  })

  it('is asked when this one does not speak the protocol any more', () => {
    assert.equal(mayFailOver(new ParleyError('MSG004', 'unknown'), false), true)
  })

  it('is not asked for an error of the handler, nor for anything that is no ParleyError', () => {
    for (const code of codes.filter((each) => !['COM001', 'COM002', 'COM003', 'MSG004'].includes(each))) {
      assert.equal(mayFailOver(new ParleyError(code, 'x'), true), false, code)
    }
    assert.equal(mayFailOver(new Error('x'), true), false)
  })
})

describe('neverHandled', () => {
  it('is true only for a request that was not sent, or refused for load', () => {
    assert.deepEqual([unsent, busy, sent].map(neverHandled), [true, true, false])
    assert.equal(neverHandled(new ParleyError('COM003', 'busy', { details: { sent: true } })), false, 'it ran')
    for (const code of codes.filter((each) => each !== 'COM003'))
      assert.equal(neverHandled(new ParleyError(code, 'x')), false, code)
  })
})

describe('a handler that had no budget left', () => {
  it('is not asked again, nor is another peer', () => {
    for (const reason of ['budget-exhausted', 'budget-depth'] as const) {
      const error = new ParleyError('COM003', 'no tokens are left', { details: { reason } })
      assert.equal(decideRetry(error, { ...first, idempotent: true }).kind, 'give-up')
      assert.equal(mayFailOver(error, true), false)
      assert.equal(neverHandled(error), false)
    }
  })
})
