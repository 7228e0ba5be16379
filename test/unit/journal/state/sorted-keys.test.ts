/** Keys in their order, whatever is added and removed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SortedKeys } from '../../../../protocols/sorted-keys.ts'

const keyOf = (n: number): string => `k/${String(n).padStart(5, '0')}`

test('keys come in their order, from wherever one begins', () => {
  const Step = fc.record({
    from: fc.nat(9_999),
    count: fc.nat(900),
    isAdded: fc.boolean(),
    stride: fc.integer({ min: 1, max: 9 }),
  })
  fc.assert(
    fc.property(fc.array(fc.nat(9_999), { maxLength: 60 }), fc.array(Step, { maxLength: 12 }), (begin, steps) => {
      const there = new Set(begin.map(keyOf))
      const keys = new SortedKeys(there)
      for (const { from, count, isAdded, stride } of steps) {
        for (let i = 0; i < count; i += 1) {
          const key = keyOf((from + i * stride) % 10_000)
          if (isAdded === there.has(key)) continue
          if (isAdded) keys.add(key)
          else keys.delete(key)
          if (isAdded) there.add(key)
          else there.delete(key)
        }
        const all = [...there].sort()
        assert.deepEqual([...keys.from('')], all)
        for (const start of [keyOf(from), `${keyOf(from)}x`, 'z'])
          assert.deepEqual(
            [...keys.from(start)],
            all.filter((key) => key >= start),
          )
      }
    }),
    { numRuns: 60 },
  )
})
