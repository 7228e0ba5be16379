import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createRandom } from '../../soak/random.ts'
import { slopeOf } from '../../soak/slope.ts'

const close = (value: number, expected: number, within: number) =>
  assert.ok(Math.abs(value - expected) <= within, `${value} is not ${expected}`)

test('a straight line has its slope and no error', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -1000, max: 1000 }),
      fc.integer({ min: -100, max: 100 }),
      fc.integer({ min: 3, max: 50 }),
      (start, perMinute, count) => {
        const found = slopeOf(
          Array.from({ length: count }, (_, i) => ({ minute: i / 4, value: start + (perMinute * i) / 4 })),
        )
        close(found.perMinute, perMinute, 1e-6)
        close(found.error, 0, 1e-4)
      },
    ),
  )
})

test('no sample, one sample and samples of one moment are flat', () => {
  assert.deepEqual(slopeOf([]), { perMinute: 0, error: 0, mean: 0 })
  assert.deepEqual(slopeOf([{ minute: 3, value: 7 }]), { perMinute: 0, error: 0, mean: 7 })
  assert.equal(slopeOf([3, 9].map((value) => ({ minute: 1, value }))).perMinute, 0)
})

test('known figures give the slope and the error of the textbook', () => {
  // y = 1, 3, 2, 5, 4 over x = 0..4: slope 0.8, residual sum 3.6, error sqrt(3.6 / 3 / 10).
  const found = slopeOf([1, 3, 2, 5, 4].map((value, minute) => ({ minute, value })))
  close(found.perMinute, 0.8, 1e-12)
  close(found.error, Math.sqrt(0.12), 1e-12)
  close(found.mean, 3, 1e-12)
})

test('noise moves the slope by few of its errors', () => {
  const random = createRandom(1)
  for (let run = 0; run < 200; run += 1) {
    const points = Array.from({ length: 30 }, (_, i) => ({ minute: i / 4, value: 2 * (i / 4) + random.between(-5, 5) }))
    const { perMinute, error } = slopeOf(points)
    assert.ok(Math.abs(perMinute - 2) < 4.5 * error, `${perMinute} ± ${error}`)
  }
})
