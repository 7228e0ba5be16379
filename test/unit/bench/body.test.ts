import assert from 'node:assert/strict'
import { test } from 'node:test'
import { asBody, bodies, MIN_BODY_BYTES, sentAtMsOf, sequenceOf } from '../../bench/body.ts'

test('a body has exactly the size that was asked for, at any number and time', () => {
  for (const bytes of [MIN_BODY_BYTES, 256, 65_536]) {
    for (const [sequence, sentAtMs] of [
      [0, 0],
      [9_999_999_999, 123_456_789.123],
    ] as const) {
      assert.equal(Buffer.byteLength(JSON.stringify(bodies(bytes)(sequence, sentAtMs))), bytes)
    }
  }
})

test('a size below the smallest body is refused', () => {
  assert.throws(() => bodies(MIN_BODY_BYTES - 1), RangeError)
})

test('number and time of sending survive the way through JSON', () => {
  const body = asBody(JSON.parse(JSON.stringify(bodies(256)(42, 98_765_432.125))))
  assert.equal(sequenceOf(body), 42)
  assert.equal(sentAtMsOf(body), 98_765_432.125)
})

test('what is not a body is refused', () => {
  for (const wrong of [null, 'x', {}, { data: 1 }]) assert.throws(() => asBody(wrong), /not a body/)
})
