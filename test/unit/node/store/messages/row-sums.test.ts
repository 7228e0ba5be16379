/** The sums that are kept against sums of all rows, with everything, a little and nothing of them known. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { addToSum, bytesIn, crcIn, printOf, takeFromSum } from '../../../../../node/store/messages/row-codec.ts'
import { createRowTally } from '../../../../../node/store/messages/row-sums.ts'

test('whatever is put and removed, the sums are those of all rows, and a key that is not named is known', () => {
  const print = fc.tuple(fc.nat(2 ** 32 - 1), fc.nat(2 ** 28)).map(([crc, size]) => printOf(crc, size))
  const change = fc.tuple(fc.nat(12), fc.option(print, { nil: undefined }))
  fc.assert(
    fc.property(fc.array(change, { maxLength: 60 }), fc.constantFrom(0, 1, 2, 5, 100), (changes, maxKnown) => {
      const tally = createRowTally(maxKnown)
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

test('a row is named until it was read only where it may have been there', () => {
  const tally = createRowTally(9)
  const keys = Array.from({ length: 200 }, (_, i) => `k${i}`)
  for (const [i, key] of keys.slice(0, 8).entries()) tally.change(key, undefined, i)
  assert.deepEqual(tally.unknown(['new', ...keys]), [])
  for (const [i, key] of keys.entries()) if (i >= 8) tally.change(key, undefined, i)
  const named = tally.unknown(keys)
  assert.ok(named.length >= 191, `${named.length}`)
  for (const key of keys) assert.notEqual(tally.printOf(key) === undefined, !named.includes(key))
  const fresh = Array.from({ length: 1_000 }, (_, i) => `fresh${i}`)
  assert.ok(tally.unknown(fresh).length < 10)
})

test('once all rows are known again, those that are gone are forgotten', () => {
  const tally = createRowTally(9)
  for (let i = 0; i < 30; i += 1) tally.change(`k${i}`, undefined, 1)
  for (let i = 0; i < 30; i += 1) tally.change(`k${i}`, 1, undefined)
  for (let i = 0; i < 20; i += 1) {
    tally.change(`l${i}`, undefined, 1)
    if (i >= 2) tally.change(`l${i - 2}`, 1, undefined)
  }
  tally.change('m', undefined, 1)
  for (let i = 0; i < 20; i += 1) tally.change(`n${i}`, undefined, 1)
  assert.deepEqual(tally.unknown(Array.from({ length: 30 }, (_, i) => `k${i}`)), [])
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
