/** Which plans look again once agents changed, where there are more than look at once. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LookTurns } from '../../../protocols/coordination/runner/fair-turns.ts'

const idsOf = (count: number): string[] => Array.from({ length: count }, (_, i) => `ann-${i}`)

test('plans look again once agents changed, so many at once, however often agents change', () => {
  const turns = new LookTurns()
  assert.deepEqual(turns.next(0), [])
  for (let i = 0; i < 10; i += 1) {
    turns.add(idsOf(3))
    assert.deepEqual(turns.next(i).length, 3)
  }
  turns.add(idsOf(3))
  assert.equal(turns.next(10).length, 2, '32 looks in 250 ms')
  turns.delete('ann-2')
  assert.deepEqual(turns.next(260), [], 'it is driven no more')
})

test('where more plans are driven than look again at once the others are next', () => {
  const turns = new LookTurns()
  const seen: string[] = []
  for (let at = 0; at < 3; at += 1) {
    turns.add(idsOf(80))
    seen.push(...turns.next(at * 250))
    assert.deepEqual(turns.next(at * 250 + 249), [])
  }
  assert.equal(seen.length, 96)
  assert.equal(new Set(seen).size, 80)
})
