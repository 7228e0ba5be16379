/** Slices of budgets: nobody spends more than is left, and what is passed on is not there twice. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  AMOUNT_NAMES,
  type AmountName,
  type Amounts,
  amountIn,
  atMost,
  isLimited,
  MAX_DEPTH,
  withoutZeros,
} from '../../../protocols/budget/amounts.ts'
import { Slice } from '../../../protocols/budget/slice.ts'
import { isParleyError } from '../../../protocols/errors.ts'

const refusal = (attempt: () => unknown): string => {
  try {
    attempt()
    return 'none'
  } catch (error) {
    if (!isParleyError(error)) throw error
    return error.reason ?? error.code
  }
}

describe('a slice', () => {
  it('is spent to the last of it, and not one more', () => {
    const slice = new Slice({ amounts: { tokens: 10, cost: 3 } })
    slice.spend({ tokens: 10 })
    assert.deepEqual(slice.remaining(), { tokens: 0, cost: 3 })
    slice.spend({ tokens: 0, cost: 3 })
    assert.equal(
      refusal(() => slice.spend({ cost: 1 })),
      'budget-exhausted',
    )
  })

  it('takes nothing where one of the amounts is too much, and says which', () => {
    const slice = new Slice({ amounts: { tokens: 10, cost: 3 } })
    assert.throws(
      () => slice.spend({ tokens: 10, cost: 4 }),
      (error) =>
        isParleyError(error, 'COM003') &&
        error.reason === 'budget-exhausted' &&
        error.details.amount === 'cost' &&
        error.details.asked === 4 &&
        error.details.left === 3,
    )
    assert.deepEqual(slice.remaining(), { tokens: 10, cost: 3 })
    assert.deepEqual(slice.counts().spent, {})
  })

  it('is without limit for what it does not name, and counts it all the same', () => {
    const slice = new Slice({ amounts: { tokens: 0, cost: undefined } })
    slice.spend({ cost: Number.MAX_SAFE_INTEGER })
    slice.spend({ cost: 5 })
    assert.deepEqual(slice.counts(), { spent: { cost: Number.MAX_SAFE_INTEGER }, overspent: {} })
    assert.equal(
      refusal(() => slice.spend({ tokens: 1 })),
      'budget-exhausted',
    )
  })

  it('takes no amounts that are none', () => {
    const slice = new Slice({ amounts: { tokens: 10 } })
    const bad: unknown[] = [
      ...[{ tokens: -1 }, { tokens: 0.5 }, { tokens: 2 ** 53 }, { tokens: Number.NaN }, { tokens: '1' }],
      ...[{ tokns: 1 }, { fan_out: 1 }, null, 5, [1]],
    ]
    for (const amounts of bad) {
      assert.equal(
        refusal(() => slice.spend(amounts as Amounts)),
        'MSG001',
        JSON.stringify(amounts),
      )
      assert.equal(
        refusal(() => new Slice({ amounts: amounts as Amounts })),
        'MSG001',
      )
      assert.equal(
        refusal(() => slice.split(amounts as Amounts)),
        'MSG001',
      )
      assert.equal(
        refusal(() => slice.reserve({}).settle(amounts as Amounts)),
        'MSG001',
      )
      assert.equal(
        refusal(() => new Slice({ amounts: {} }).close(amounts as Amounts)),
        'MSG001',
      )
    }
    for (const limits of [{ depth: -1 }, { depth: MAX_DEPTH + 1 }, { deadlineAt: 0.5 }, { deep: 1 }])
      assert.equal(
        refusal(() => new Slice({ amounts: {}, limits })),
        'MSG001',
        JSON.stringify(limits),
      )
    assert.deepEqual(slice.remaining(), { tokens: 10 })
  })
})

describe('what is reserved', () => {
  it('is there again as far as it was not spent, once', () => {
    const slice = new Slice({ amounts: { tokens: 10 } })
    const call = slice.reserve({ tokens: 8 })
    assert.equal(
      refusal(() => slice.reserve({ tokens: 3 })),
      'budget-exhausted',
    )
    assert.deepEqual(slice.counts().spent, { tokens: 8 })
    call.settle({ tokens: 5 })
    call.settle({})
    assert.deepEqual(slice.remaining(), { tokens: 5 })
    assert.deepEqual(slice.counts().spent, { tokens: 5 })
  })

  it('and what was spent above it is counted, and takes from the rest, never below nothing', () => {
    const slice = new Slice({ amounts: { tokens: 10, cost: 10 } })
    slice.reserve({ tokens: 4 }).settle({ tokens: 7, cost: 1 })
    assert.deepEqual(slice.remaining(), { tokens: 3, cost: 9 })
    slice.reserve({ tokens: 1 }).settle({ tokens: 9 })
    assert.deepEqual(slice.remaining(), { tokens: 0, cost: 9 })
    assert.deepEqual(slice.counts(), { spent: { tokens: 16, cost: 1 }, overspent: { tokens: 11, cost: 1 } })
  })
})

describe('a child', () => {
  it('takes from its parent, and gives back what is left once', () => {
    const slice = new Slice({ amounts: { tokens: 10 } })
    const child = slice.split({ tokens: 6 })
    assert.equal(
      refusal(() => slice.split({ tokens: 5 })),
      'budget-exhausted',
    )
    child.spend({ tokens: 2 })
    assert.deepEqual(slice.counts().spent, { tokens: 6 }, 'not closed, it counts as spent')
    child.close()
    child.close()
    assert.deepEqual(slice.remaining(), { tokens: 8 })
    assert.equal(
      refusal(() => child.spend({})),
      'ended',
    )
  })

  it('is believed no more than it can have left', () => {
    const slice = new Slice({ amounts: { tokens: 10, cost: 5 } })
    slice.split({ tokens: 6, cost: 5 }).close({ tokens: 1_000 })
    assert.deepEqual(slice.remaining(), { tokens: 10, cost: 0 }, 'what is not named is spent')
    const child = slice.split({ tokens: 6 })
    child.spend({ tokens: 5 })
    child.close({ tokens: 4 })
    assert.deepEqual(slice.remaining(), { tokens: 5, cost: 0 })
    slice.split({ tokens: 5 }).close({ tokens: 2 })
    assert.deepEqual(slice.remaining(), { tokens: 2, cost: 0 })
  })

  it('has nothing of what its parent limits and nobody gave it, and passes on what it overspent', () => {
    const slice = new Slice({ amounts: { tokens: 10, cost: 5 } })
    const child = slice.split({ tokens: 2, fanOut: 3 })
    assert.deepEqual(child.remaining(), { tokens: 2, cost: 0, fanOut: 3 })
    child.reserve({ tokens: 1 }).settle({ tokens: 5 })
    child.close()
    assert.deepEqual(slice.remaining(), { tokens: 5, cost: 5 })
    assert.deepEqual(slice.counts(), { spent: { tokens: 5 }, overspent: { tokens: 3 } })
  })

  it('has the earlier deadline and one delegation less, down to none', () => {
    const slice = new Slice({ amounts: {}, limits: { deadlineAt: 1_000, depth: 2 } })
    const child = slice.split({}, { deadlineAt: 2_000 })
    assert.deepEqual(child.limits, { deadlineAt: 1_000, depth: 1 })
    const grandchild = child.split({}, { deadlineAt: 500, depth: 7 })
    assert.deepEqual(grandchild.limits, { deadlineAt: 500, depth: 0 })
    assert.equal(
      refusal(() => grandchild.split({})),
      'budget-depth',
    )
    assert.deepEqual(new Slice({ amounts: {} }).split({}, { depth: 3 }).limits, { depth: 3 })
  })
})

const amounts: fc.Arbitrary<Amounts> = fc.record(
  { tokens: fc.nat(12), cost: fc.nat(12), fanOut: fc.nat(12) },
  { requiredKeys: [] },
)
const step = fc.record({
  do: fc.constantFrom('spend', 'reserve', 'split', 'settle', 'close'),
  which: fc.nat(20),
  amounts,
})

/** What nodes do with slices of one root, and what they really spent. */
class Spenders {
  readonly slices: Slice[]
  readonly spent = new Map<string, number>()
  readonly #open: ReturnType<Slice['reserve']>[] = []

  constructor(root: Amounts) {
    this.slices = [new Slice({ amounts: root })]
  }

  step(what: string, which: number, asked: Amounts): void {
    const slice = this.slices[which % this.slices.length]
    if (slice === undefined) return
    if (what === 'spend') {
      slice.spend(asked)
      this.#note(asked)
    } else if (what === 'reserve') this.#open.push(slice.reserve(asked))
    else if (what === 'split') this.slices.push(slice.split(asked))
    else if (what === 'close') slice.close()
    else this.#settle(which, asked)
  }

  /** Left to spend, of all slices, and spent. */
  total(name: AmountName): number {
    const left = this.slices.reduce((all, slice) => all + amountIn(slice.remaining(), name), 0)
    return left + (this.spent.get(name) ?? 0)
  }

  /** Of what was reserved, or less. */
  #settle(which: number, asked: Amounts): void {
    const [reservation] = this.#open.splice(which % Math.max(1, this.#open.length), 1)
    if (reservation === undefined) return
    const spent = withoutZeros(atMost(reservation.reserved, { tokens: 0, cost: 0, fanOut: 0, ...asked }))
    reservation.settle(spent)
    this.#note(spent)
  }

  #note(of: Amounts): void {
    for (const name of AMOUNT_NAMES) this.spent.set(name, (this.spent.get(name) ?? 0) + amountIn(of, name))
  }
}

describe('slices of one root', () => {
  it('never have left, together with what was spent, more than the root', () => {
    const property = fc.property(amounts, fc.array(step, { maxLength: 60 }), (root, steps) => {
      const spenders = new Spenders(root)
      for (const { do: what, which, amounts: asked } of steps) {
        try {
          spenders.step(what, which, asked)
        } catch (error) {
          if (!isParleyError(error, 'COM003', 'STA003')) throw error
        }
        for (const name of AMOUNT_NAMES)
          if (isLimited(root, name)) assert.ok(spenders.total(name) <= amountIn(root, name), name)
      }
      for (const slice of spenders.slices.toReversed()) slice.close()
      const { spent, overspent } = spenders.slices[0]?.counts() ?? {}
      assert.deepEqual(overspent, {})
      for (const name of AMOUNT_NAMES)
        assert.ok(amountIn(spent ?? {}, name) >= (spenders.spent.get(name) ?? 0), 'nothing that was spent is lost')
    })
    fc.assert(property, { numRuns: 500 })
  })
})
