import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { createExchangeTable, type ExchangeTable } from '../../../../protocols/wire/link/exchange-table.ts'

const filled = (numbers: Iterable<number>): ExchangeTable<{ number: number }> => {
  const table = createExchangeTable<{ number: number }>()
  for (const number of numbers) table.set(number, { number })
  return table
}

const numbersOf = (table: ExchangeTable<{ number: number }>): number[] =>
  table
    .values()
    .map(({ number }) => number)
    .sort((a, b) => a - b)

describe('numbered', () => {
  it('does what a Map does, whatever the numbers', () => {
    // Few lower bits, so that many meet; and numbers beyond 32 and near 53 bits.
    const number = fc.oneof(
      fc.nat(40),
      fc.nat(40).map((n) => n * 4096 + 1),
      fc.nat(40).map((n) => 2 ** 32 * n + (n % 3)),
      fc.nat(40).map((n) => Number.MAX_SAFE_INTEGER - n),
    )
    const step = fc.tuple(fc.constantFrom('set', 'set', 'get', 'delete'), number)
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        const table = createExchangeTable<{ number: number }>()
        const model = new Map<number, { number: number }>()
        for (const [what, at] of steps) {
          if (what === 'set') {
            const entry = { number: at }
            table.set(at, entry)
            model.set(at, entry)
          } else if (what === 'delete') {
            table.delete(at)
            model.delete(at)
          }
          assert.equal(table.get(at), model.get(at))
          assert.equal(table.size(), model.size)
        }
        for (const [at, entry] of model) assert.equal(table.get(at), entry)
        assert.deepEqual(new Set(table.values()), new Set(model.values()))
      }),
    )
  })

  it('keeps an old entry for as long as it stays, while many come and go', () => {
    const table = filled([1])
    for (let number = 2; number < 200_000; number += 1) {
      table.set(number, { number })
      if (number > 65) table.delete(number - 64)
    }
    assert.equal(table.get(1)?.number, 1)
    assert.equal(table.size(), 65)
    assert.deepEqual(numbersOf(table), [1, ...Array.from({ length: 64 }, (_, index) => 199_936 + index)])
  })

  it('holds more than it has places', () => {
    const numbers = Array.from({ length: 10_000 }, (_, index) => index + 1)
    const table = filled(numbers)
    assert.deepEqual(numbersOf(table), numbers)
    for (const number of numbers) table.delete(number)
    assert.deepEqual([table.size(), table.values()], [0, []])
  })

  it('leaves one alone that only shares the place of another', () => {
    const table = filled([1, 1 + 4096 * 2])
    table.delete(1 + 4096)
    assert.deepEqual(numbersOf(table), [1, 8193])
    table.delete(1)
    assert.equal(table.get(1), undefined)
    assert.equal(table.get(8193)?.number, 8193)
  })
})
