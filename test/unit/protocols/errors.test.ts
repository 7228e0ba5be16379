import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { CODES, type Code, fromFault, isParleyError, ParleyError, toFault } from '../../../protocols/errors.ts'

// The error codes, written down once more by hand; APP001 is what a failed handler gives, MSG006 what an unknown command gives.
const CATALOGUE: Record<string, [severity: string, recovery: string]> = {
  MSG001: ['error', 'retry_with_validation'],
  MSG002: ['error', 'retry_with_new_serializer'],
  MSG003: ['error', 'none'],
  MSG004: ['error', 'none'],
  MSG005: ['warning', 'none'],
  MSG006: ['error', 'none'],
  COM001: ['warning', 'retry_with_backoff'],
  COM002: ['critical', 'failover_to_backup'],
  COM003: ['warning', 'retry_with_backoff'],
  COM004: ['error', 'none'],
  SEC001: ['critical', 'none'],
  SEC002: ['error', 'none'],
  SEC003: ['critical', 'none'],
  STA001: ['error', 'none'],
  STA002: ['error', 'none'],
  STA003: ['warning', 'replan'],
  APP001: ['error', 'none'],
}
const codes = Object.keys(CODES) as Code[]

describe('codes', () => {
  it('are those of the catalogue, with its severity and recovery', () => {
    assert.deepEqual(
      Object.fromEntries(codes.map((code) => [code, [CODES[code].severity, CODES[code].recovery]])),
      CATALOGUE,
    )
  })

  it('give the error its name, severity and recovery', () => {
    for (const code of codes) {
      const error = new ParleyError(code, 'it failed')
      assert.deepEqual(
        [error.name, error.severity, error.recovery],
        [CODES[code].name, CODES[code].severity, CODES[code].recovery],
      )
    }
    assert.equal(new Set(codes.map((code) => CODES[code].name)).size, codes.length, 'each name stands for one code')
  })
})

describe('ParleyError', () => {
  it('keeps hint, details and cause, and has empty details unless given', () => {
    const cause = new Error('below')
    const error = new ParleyError('STA001', 'no such task', { hint: 'look', details: { id: 1 }, cause })
    assert.deepEqual([error.hint, error.details, error.cause, error.remote], ['look', { id: 1 }, cause, false])
    const bare = new ParleyError('STA001', 'no such task')
    assert.deepEqual([bare.hint, bare.details, 'cause' in bare], [undefined, {}, false])
  })

  it('is told apart by its codes', () => {
    const error = new ParleyError('COM002', 'gone')
    assert.equal(isParleyError(error), true)
    assert.equal(isParleyError(error, 'COM001', 'COM002'), true)
    assert.equal(isParleyError(error, 'COM001'), false)
    assert.equal(isParleyError({ code: 'COM002' }), false)
  })
})

describe('faults', () => {
  const json = fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value)) as unknown)

  it('bring code, message, hint and details to the peer, marked as remote', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...codes),
        fc.string(),
        fc.option(fc.string(), { nil: undefined }),
        fc.dictionary(fc.string(), json, { noNullPrototype: true }),
        (code, message, hint, details) => {
          const error = new ParleyError(code, message, { ...(hint === undefined ? {} : { hint }), details })
          const back = fromFault(toFault(error))
          assert.deepEqual([back.code, back.message, back.hint, back.details], [code, message, hint, details])
          assert.equal(back.remote, true)
        },
      ),
    )
  })

  it('never carry the cause or the stack', () => {
    const error = new ParleyError('APP001', 'it failed', { cause: new Error('swordfish'), details: { a: 1 } })
    assert.deepEqual(Object.keys(toFault(error)).sort(), ['code', 'details', 'message'])
    assert.doesNotMatch(JSON.stringify(toFault(error)), /swordfish|errors\.test/)
  })

  it('say one fixed text for anything but a ParleyError', () => {
    const fixed = { code: 'APP001', message: 'the handler failed' }
    for (const thrown of [
      new Error('swordfish'),
      new TypeError('swordfish'),
      'swordfish',
      { code: 'MSG001', message: 'swordfish' },
      undefined,
    ]) {
      assert.deepEqual(toFault(thrown), fixed)
    }
  })

  it('of a code that is not known here become APP001 and keep the code in their details', () => {
    for (const code of ['NEW042', '', 'toString', '__proto__']) {
      const error = fromFault({ code, message: 'm', hint: 'h', details: { a: 1 } })
      assert.deepEqual([error.code, error.message, error.hint, error.details], ['APP001', 'm', 'h', { a: 1, code }])
    }
  })
})
