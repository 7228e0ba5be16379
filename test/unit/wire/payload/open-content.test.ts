/** Payloads whose content the contract leaves open: JSON where it can, self-described CBOR where it cannot. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isParleyError } from '../../../../protocols/errors.ts'
import { type CborFallback, decodeOpen, encodeOpen } from '../../../../protocols/wire/payload/open-content.ts'

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

test('what JSON can hold is written as JSON, and nobody is told', () => {
  const told: CborFallback[] = []
  for (const value of [null, 1, 'x', [], {}, { '0': 1 }, { a: { '0': 2, '1': 3 } }, { a: [1, { b: 'c' }] }]) {
    const bytes = encodeOpen(value, (rewriting) => told.push(rewriting))
    assert.equal(text(bytes), JSON.stringify(value))
    assert.deepEqual(decodeOpen(bytes), value)
  }
  assert.equal(encodeOpen(undefined).length, 0)
  assert.equal(decodeOpen(new Uint8Array(0)), undefined)
  assert.deepEqual(told, [])
})

test('a BigInt and bytes come back as they were, behind a mark with which no JSON begins', () => {
  const told: CborFallback[] = []
  const value = { n: 2n ** 60n, deep: [{ bytes: new Uint8Array([1, 2, 255]) }], text: 'x' }
  const bytes = encodeOpen(value, (rewriting) => told.push(rewriting))
  assert.deepEqual([...bytes.subarray(0, 3)], [0xd9, 0xd9, 0xf7])
  assert.deepEqual(decodeOpen(bytes), value)
  const onlyBytes = encodeOpen({ data: new Uint8Array([9]) }, (rewriting) => told.push(rewriting))
  assert.deepEqual(decodeOpen(onlyBytes), { data: new Uint8Array([9]) })
  assert.deepEqual(told, [{ outcome: 'recovered' }, { outcome: 'recovered' }])
})

test('what CBOR cannot hold either fails with MSG002, and both causes are told', () => {
  const told: CborFallback[] = []
  const cycle: Record<string, unknown> = { a: 1 }
  cycle.self = cycle
  assert.throws(
    () => encodeOpen(cycle, (rewriting) => told.push(rewriting)),
    (error) => isParleyError(error, 'MSG002') && /json/.test(error.message),
  )
  const [one] = told
  assert.ok(one?.outcome === 'failed')
  assert.equal(one.error.code, 'MSG002')
  assert.ok(isParleyError(one.recoveryError, 'MSG002'))
  assert.match(one.recoveryError.message, /cbor/)
})

test('bytes from a peer that are neither fail with MSG003, whatever they are', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.boolean(), (bytes, marked) => {
      const payload = marked ? new Uint8Array([0xd9, 0xd9, 0xf7, ...bytes]) : bytes
      try {
        decodeOpen(payload)
      } catch (error) {
        assert.ok(isParleyError(error, 'MSG003'))
      }
    }),
  )
})

test('every JSON value comes back as JSON would bring it back', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      assert.deepEqual(decodeOpen(encodeOpen(value)), JSON.parse(JSON.stringify(value)))
    }),
  )
})
