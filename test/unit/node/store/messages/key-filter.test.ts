/** What was added is never denied, what was not seldom confirmed, and what cannot be told apart may be there. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createKeyFilter } from '../../../../../node/store/messages/key-filter.ts'

test('what was added may be there, in whatever order and however often it came', () => {
  fc.assert(
    fc.property(fc.array(fc.string()), (keys) => {
      const filter = createKeyFilter()
      for (const key of keys) filter.add(key)
      for (const key of keys) assert.ok(filter.mayHave(key))
    }),
  )
})

test('of what was never added few keys may be there, also when it has grown four times', () => {
  const filter = createKeyFilter()
  for (let i = 0; i < 1_000_000; i += 1) filter.add(`n/${i}`)
  let wrong = 0
  for (let i = 0; i < 100_000; i += 1) if (filter.mayHave(`n/${1_000_000 + i}`)) wrong += 1
  assert.ok(wrong < 1_000, `${wrong} of 100,000`)
  for (let i = 0; i < 1_000_000; i += 997) assert.ok(filter.mayHave(`n/${i}`))
})

test('up to its bound it tells keys apart, one past it none, and after clear() all again', () => {
  const filter = createKeyFilter(100)
  for (let i = 0; i < 100; i += 1) filter.add(`k${i}`)
  assert.equal(filter.mayHave('other'), false)
  filter.add('k1')
  assert.equal(filter.mayHave('other'), false)
  filter.add('k100')
  assert.ok(filter.mayHave('other'))
  filter.clear()
  assert.equal(filter.mayHave('k1'), false)
  filter.add('k1')
  assert.ok(filter.mayHave('k1'))
})
