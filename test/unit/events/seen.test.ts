import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createSeen, MAX_HOLES } from '../../../protocols/events/seen.ts'

test('the first batch of an unknown publisher is no gap, the next in order neither', () => {
  const seen = createSeen(10)
  assert.deepEqual(seen.admit('p', 'a', 1, 41, 2), { kind: 'fresh', missed: undefined })
  assert.deepEqual(seen.admit('p', 'a', 1, 43, 1), { kind: 'fresh', missed: undefined })
})

test('what was heard is a duplicate, whole or in part', () => {
  const seen = createSeen(10)
  seen.admit('p', 'a', 1, 1, 10)
  assert.equal(seen.admit('p', 'a', 1, 1, 10).kind, 'duplicate')
  assert.equal(seen.admit('p', 'a', 1, 10, 1).kind, 'duplicate')
  assert.equal(seen.admit('p', 'a', 1, 10, 5).kind, 'duplicate')
  assert.equal(seen.admit('p', 'a', 1, 11, 5).kind, 'fresh')
})

test('numbers left out are missed, and what fills them is late, once', () => {
  const seen = createSeen(10)
  seen.admit('p', 'a', 1, 1, 1)
  assert.deepEqual(seen.admit('p', 'a', 1, 10, 1), { kind: 'fresh', missed: { from: 2, to: 9 } })
  assert.equal(seen.admit('p', 'a', 1, 4, 2).kind, 'late')
  assert.equal(seen.admit('p', 'a', 1, 4, 2).kind, 'duplicate')
  assert.equal(seen.admit('p', 'a', 1, 3, 2).kind, 'duplicate')
  assert.equal(seen.admit('p', 'a', 1, 2, 2).kind, 'late')
  assert.equal(seen.admit('p', 'a', 1, 6, 4).kind, 'late')
  assert.equal(seen.admit('p', 'a', 1, 6, 1).kind, 'duplicate')
})

test('a publisher that started anew counts from 1, and its earlier life is refused', () => {
  const seen = createSeen(10)
  seen.admit('p', 'a', 5, 100, 1)
  assert.deepEqual(seen.admit('p', 'a', 6, 1, 2), { kind: 'fresh', missed: undefined })
  assert.equal(seen.admit('p', 'a', 5, 101, 1).kind, 'stale')
  assert.deepEqual(seen.admit('p', 'a', 7, 3, 1), { kind: 'fresh', missed: { from: 1, to: 2 } })
})

test('words and publishers are counted apart', () => {
  const seen = createSeen(10)
  seen.admit('p', 'a', 1, 1, 5)
  assert.equal(seen.admit('p', 'b', 1, 1, 5).kind, 'fresh')
  assert.equal(seen.admit('q', 'a', 1, 1, 5).kind, 'fresh')
})

test('what passed while nobody listened was not missed, but an old batch stays old', () => {
  const seen = createSeen(10)
  seen.admit('p', 'a', 1, 1, 5)
  seen.pause('a')
  assert.equal(seen.admit('p', 'a', 1, 5, 1).kind, 'duplicate')
  assert.deepEqual(seen.admit('p', 'a', 1, 50, 1), { kind: 'fresh', missed: undefined })
  assert.deepEqual(seen.admit('p', 'a', 1, 52, 1), { kind: 'fresh', missed: { from: 51, to: 51 } })
})

test('beyond the bound the publisher heard longest ago is forgotten', () => {
  const seen = createSeen(3)
  for (const publisher of ['p', 'q', 'r']) seen.admit(publisher, 'a', 1, 1, 1)
  seen.admit('p', 'a', 1, 2, 1)
  assert.equal(seen.size(), 3)
  seen.admit('s', 'a', 1, 1, 1)
  assert.equal(seen.size(), 3)
  assert.equal(seen.admit('p', 'a', 1, 2, 1).kind, 'duplicate')
  assert.equal(seen.admit('q', 'a', 1, 1, 1).kind, 'fresh', 'q is heard like a new one')
})

test('the last 16 holes are kept; what falls out of them counts as seen', () => {
  const seen = createSeen(1)
  seen.admit('p', 'a', 1, 1, 1)
  for (let hole = 0; hole <= MAX_HOLES; hole += 1) seen.admit('p', 'a', 1, 3 + hole * 2, 1)
  assert.equal(seen.admit('p', 'a', 1, 2, 1).kind, 'duplicate', 'the 17th hole from the end')
  assert.equal(seen.admit('p', 'a', 1, 4, 1).kind, 'late', 'the 16th')
})

test('whatever order batches come in, no number is let in twice, and none in order is refused', () => {
  const batches = fc.array(
    fc.record({ first: fc.integer({ min: 1, max: 60 }), count: fc.integer({ min: 1, max: 6 }) }),
    {
      maxLength: 60,
    },
  )
  fc.assert(
    fc.property(batches, (arrivals) => {
      const seen = createSeen(1)
      const heard = new Set<number>()
      let highest = 0
      for (const { first, count } of arrivals) {
        const numbers = Array.from({ length: count }, (_, index) => first + index)
        const { kind } = seen.admit('p', 'a', 1, first, count)
        const known = numbers.some((number) => heard.has(number))
        if (kind === 'duplicate') assert.ok(first <= highest, 'refused although it is in order')
        else assert.ok(!known, `${kind} although ${first}+${count} was heard`)
        if (kind !== 'duplicate') for (const number of numbers) heard.add(number)
        if (kind === 'fresh') highest = first + count - 1
      }
    }),
    { numRuns: 2000 },
  )
})
