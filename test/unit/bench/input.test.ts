import assert from 'node:assert/strict'
import { test } from 'node:test'
import { asCount, asText, asTexts, field } from '../../bench/input.ts'

test('what the driver sends is taken when it has the right form', () => {
  assert.equal(asText('a'), 'a')
  assert.equal(asCount(0), 0)
  assert.deepEqual(asTexts(['a', 'b']), ['a', 'b'])
  assert.equal(field({ a: 1 }, 'a'), 1)
})

test('anything else is refused with what was missing', () => {
  assert.throws(() => asText(1), /no text/)
  for (const wrong of [-1, 1.5, Number.NaN, '1', undefined]) assert.throws(() => asCount(wrong), /no count/)
  assert.throws(() => asTexts(['a', 1]), /no text/)
  assert.throws(() => asTexts('a'), /no list of texts/)
  assert.throws(() => field(null, 'name'), /no name/)
})
