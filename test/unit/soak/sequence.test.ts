import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSequences } from '../../soak/sequence.ts'

test('numbers in order are well, from wherever the first one starts, for each publisher on its own', () => {
  const known = createSequences(10)
  for (const [publisher, number] of [
    ['a', 7],
    ['b', 1],
    ['a', 8],
    ['b', 2],
    ['a', 9],
  ] as const) {
    assert.equal(known.heard(publisher, number), undefined)
  }
})

test('a number that is left out without a word is named', () => {
  const known = createSequences(10)
  known.heard('a', 1)
  assert.match(known.heard('a', 4) ?? '', /numbers 2 to 3 were lost/)
  assert.equal(known.heard('a', 5), undefined)
})

test('what was reported as missed may be left out, and may come late once', () => {
  const known = createSequences(10)
  known.heard('a', 1)
  known.missed('a', 2, 5)
  assert.equal(known.lost(), 4)
  assert.equal(known.heard('a', 6), undefined)
  assert.equal(known.heard('a', 3), undefined)
  assert.deepEqual([known.lost(), known.late()], [3, 1])
  assert.match(known.heard('a', 3) ?? '', /came again/)
  assert.equal(known.heard('a', 5), undefined)
  assert.equal(known.heard('a', 7), undefined)
})

test('a report that leaves a hole before it does not explain the hole', () => {
  const known = createSequences(10)
  known.heard('a', 1)
  known.missed('a', 3, 5)
  assert.match(known.heard('a', 6) ?? '', /numbers 2 to 5/)
})

test('the same number twice is named', () => {
  const known = createSequences(10)
  known.heard('a', 1)
  assert.match(known.heard('a', 1) ?? '', /came again/)
})

test('publishers are bounded: the one heard longest ago is forgotten', () => {
  const known = createSequences(2)
  known.heard('a', 1)
  known.heard('b', 1)
  known.heard('a', 2)
  known.heard('c', 1)
  assert.equal(known.heard('a', 3), undefined)
  assert.equal(known.heard('b', 50), undefined)
})
