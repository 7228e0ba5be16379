import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRepeatFilter, MAX_REFUSED, REPEAT_MS } from '../../../../node/trust/membership-renewal.ts'

test('the same refusal is news again after five minutes, and a bounded number of them is remembered', () => {
  let now = 0
  const isNews = createRepeatFilter({ monotonic: () => now })
  assert.deepEqual([isNews('a'), isNews('a'), isNews('b')], [true, false, true])
  now = REPEAT_MS - 1
  assert.equal(isNews('a'), false)
  now = REPEAT_MS
  assert.equal(isNews('a'), true)
  now += 1
  for (let i = 0; i < MAX_REFUSED - 1; i += 1) isNews(`peer ${i}`)
  assert.equal(isNews('a'), false, 'it is the last that is remembered')
  isNews('one more')
  assert.equal(isNews('a'), true, 'it was forgotten')
})
