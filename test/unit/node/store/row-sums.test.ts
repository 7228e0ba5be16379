/** The sums that are kept against sums of all rows, with everything, a little and nothing of them known. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { addToSum, bytesIn, crcIn, printOf, takeFromSum } from '../../../../node/store/row-code.ts'
import { createTally } from '../../../../node/store/row-sums.ts'

test('whatever is put and removed, the sums are those of all rows, and a key that is not named is known', () => {
  const print = fc.tuple(fc.nat(2 ** 32 - 1), fc.nat(2 ** 28)).map(([crc, size]) => printOf(crc, size))
  const change = fc.tuple(fc.nat(12), fc.option(print, { nil: undefined }))
  fc.assert(
    fc.property(fc.array(change, { maxLength: 60 }), fc.constantFrom(0, 1, 2, 5, 100), (changes, maxKnown) => {
      const tally = createTally(maxKnown)
      const rows = new Map<string, number>()
      for (const [n, is] of changes) {
        const key = `k${n}`
        const unknown = tally.unknown([key, 'never'])
        if (!unknown.includes(key)) assert.equal(tally.printOf(key), rows.get(key))
        tally.change(key, rows.get(key), is)
        if (is === undefined) rows.delete(key)
        else rows.set(key, is)
        assert.equal(tally.count, rows.size)
        assert.equal(
          tally.sum,
          [...rows.values()].reduce((sum, one) => (sum + crcIn(one)) % 2 ** 48, 0),
        )
        assert.equal(
          tally.bytes,
          [...rows.values()].reduce((sum, one) => sum + bytesIn(one), 0),
        )
        if (rows.size === 0) assert.deepEqual(tally.unknown([key, 'never']), [])
      }
    }),
  )
})

test('up to its limit all rows are known, and one past it not any more', () => {
  const tally = createTally(8)
  for (let i = 0; i < 4; i += 1) tally.change(`k${i}`, undefined, i)
  assert.deepEqual(tally.unknown(['new']), [])
  for (let i = 4; i < 9; i += 1) tally.change(`k${i}`, undefined, i)
  assert.deepEqual(tally.unknown(['k0', 'k8']).includes('k8'), false)
  for (let i = 9; i < 20; i += 1) tally.change(`k${i}`, undefined, i)
  assert.deepEqual(tally.unknown(['k0', 'k19', 'new']), ['k0', 'new'])
})

test('a sum stays within 48 bits, and what is taken out of it is gone', () => {
  const crc = fc.nat(2 ** 32 - 1)
  const most = 2 ** 48 - 1
  fc.assert(
    fc.property(fc.integer({ min: 0, max: most }), crc, (sum, one) => {
      const next = addToSum(sum, one)
      assert.ok(next >= 0 && next <= most)
      assert.equal(takeFromSum(next, one), sum)
    }),
  )
  assert.equal(addToSum(most, 1), 0)
  assert.equal(takeFromSum(0, 1), most)
})

test('a print tells the CRC, and the size within 128 bytes, up to 128 MiB', () => {
  fc.assert(
    fc.property(fc.nat(2 ** 32 - 1), fc.nat(2 ** 28), (crc, size) => {
      const print = printOf(crc, size)
      assert.ok(Number.isSafeInteger(print))
      assert.equal(crcIn(print), crc)
      const over = bytesIn(print) - Math.min(size, 2 ** 27 - 128)
      assert.ok(over >= 0 && over <= 128, String(over))
    }),
  )
})
