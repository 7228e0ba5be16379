/** The part of a budget that goes with a piece of work: whatever the other side says, nothing is there twice. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Amounts } from '../../../protocols/budget/amounts.ts'
import { GivenShare, passLimits, shareFor } from '../../../protocols/budget/carried/budget-share.ts'
import { CarriedBudgetSchema, carriedOf, sliceOf, writtenAt } from '../../../protocols/budget/carried/carried-budget.ts'
import { Slice } from '../../../protocols/budget/slice.ts'
import { isParleyError } from '../../../protocols/errors.ts'

const clock = { now: () => 1_000_000 }

test('whatever is told of a part, no more comes back than it was given, and nothing is lost beyond that', () => {
  const tokens = fc.option(fc.nat({ max: 120 }), { nil: undefined })
  const said = fc.record({ tokens, cost: tokens, fanOut: tokens })
  // Of each attempt: what the other side says to have left, or nothing.
  const attempts = fc.array(fc.option(said, { nil: undefined }), { maxLength: 5 })
  fc.assert(
    fc.property(fc.nat({ max: 100 }), attempts, fc.boolean(), (amount, all, wasReached) => {
      const slice = new Slice({ amounts: { tokens: 100, fanOut: 3 } })
      const share = GivenShare.of({ of: slice, amounts: { tokens: amount, fanOut: 1 } }, clock)
      let most = amount
      for (const one of all) {
        const { amounts } = share.begin()
        assert.equal(amounts.tokens, most, 'all that is left goes with an attempt')
        if (one === undefined) continue
        share.told(one)
        most = Math.min(most, one.tokens ?? 0)
      }
      const isOpen = all.length > 0 && all.at(-1) === undefined
      const back = share.end(wasReached).tokens
      assert.equal(back, isOpen && wasReached ? 0 : most)
      assert.equal(slice.remaining().tokens, 100 - amount + (back ?? 0))
      assert.equal(slice.counts().spent.tokens ?? 0, amount - (back ?? 0))
      assert.ok((slice.remaining().fanOut ?? 0) <= 3)
      share.end(true)
      share.told({ tokens: 1_000 })
      assert.equal(slice.remaining().tokens, 100 - amount + (back ?? 0), 'it is over once')
    }),
    { numRuns: 500 },
  )
})

test('a part that cannot be split off takes nothing of the fan-out', () => {
  const slice = new Slice({ amounts: { tokens: 5, fanOut: 2 }, limits: { depth: 0 } })
  for (const amounts of [{ tokens: 6 }, { tokens: 1 }])
    assert.throws(
      () => GivenShare.of({ of: slice, amounts }, clock),
      (error) => isParleyError(error, 'COM003'),
    )
  assert.deepEqual(slice.remaining(), { tokens: 5, fanOut: 2 })
})

test('a parent without a word gives a part of nothing, and its limits pass on once', () => {
  const slice = new Slice({ amounts: { tokens: 5, fanOut: 2 }, limits: { depth: 3, deadlineAt: 1_000_500 } })
  assert.equal(shareFor(undefined, undefined), undefined)
  assert.deepEqual(shareFor(undefined, slice), { of: slice })
  const carried = passLimits(slice, clock)
  assert.deepEqual(carried, { amounts: { tokens: 0, fanOut: 0 }, depth: 2, leftMs: 500 })
  assert.deepEqual(slice.remaining(), { tokens: 5, fanOut: 1 })
})

test('what travels is what was left, whichever clock the other side has, and never deeper or longer than it may be', () => {
  const amounts = fc.record({ tokens: fc.option(fc.nat()), cost: fc.option(fc.nat()) }).map((one) => {
    const named: Record<string, number> = {}
    for (const [name, value] of Object.entries(one)) if (value !== null) named[name] = value
    return named as Amounts
  })
  fc.assert(
    fc.property(amounts, fc.nat({ max: 16 }), fc.nat({ max: 2 ** 31 }), fc.nat(), (given, depth, leftMs, there) => {
      const carried = carriedOf(given, { depth, deadlineAt: clock.now() + leftMs }, clock.now())
      assert.ok(CarriedBudgetSchema.safeParse(carried).success)
      const { limits } = sliceOf(carried, there)
      assert.deepEqual(limits, { depth, deadlineAt: there + leftMs })
      assert.deepEqual(sliceOf(carried, there).remaining(), given)
    }),
  )
  const huge = sliceOf({ amounts: {}, depth: 9_999, leftMs: Number.MAX_SAFE_INTEGER - 1 }, 5)
  assert.equal(huge.limits.depth, 16)
  assert.ok((huge.limits.deadlineAt ?? 0) < 2 ** 40)
})

test('what was not written, or what nobody began, costs nothing, whatever it failed with', () => {
  const attempts: [name: string, attempt: (share: GivenShare) => void, left: number, fanOut: number][] = [
    ['never written', (share) => share.failed(false), 100, 3],
    [
      'refused for load, then not written',
      (share) => {
        share.sent()
        share.failed(true)
        share.begin()
        share.failed(false)
      },
      100,
      3,
    ],
    [
      'refused for load, with all of it',
      (share) => {
        share.sent()
        share.told({ tokens: 40 })
        share.failed(true)
      },
      100,
      3,
    ],
    [
      'written',
      (share) => {
        share.sent()
        share.failed(false)
      },
      60,
      2,
    ],
    ['answered, and nothing spent', (share) => share.told({ tokens: 40 }), 100, 2],
    [
      'answered before it was written, and something spent',
      (share) => {
        share.told({ tokens: 30 })
        share.failed(true)
      },
      90,
      2,
    ],
  ]
  for (const [name, attempt, left, fanOut] of attempts) {
    const slice = new Slice({ amounts: { tokens: 100, fanOut: 3 } })
    const share = GivenShare.of({ of: slice, amounts: { tokens: 40 } }, clock)
    assert.equal(share.begin().amounts.tokens, 40, name)
    attempt(share)
    assert.equal(share.mayBeUsed(), fanOut < 3, name)
    share.end(true)
    assert.deepEqual(slice.remaining(), { tokens: left, fanOut }, name)
  }
})

test('a deadline is held against the clock that it is of, also for a part of a part', () => {
  const journal = { now: () => 1_000_000 - 60_000 }
  const slice = new Slice({ amounts: { fanOut: 3 }, limits: { deadlineAt: 970_000 }, clock: journal })
  const share = GivenShare.of({ of: slice.split({ fanOut: 2 }), amounts: {} }, clock)
  assert.equal(share.cut(45_000), 30_000, 'by this clock it passed 30 seconds ago')
  assert.equal(share.begin().leftMs, 30_000)
  assert.equal(share.limits.deadlineAt, 970_000)
})

test('an attempt after one that may be at it has the limits, and nothing of what that one has', () => {
  let nowMs = 1_000_000
  const slice = new Slice({ amounts: { tokens: 100, fanOut: 3 }, limits: { deadlineAt: 1_000_900 } })
  const share = GivenShare.of({ of: slice, amounts: { tokens: 40 } }, { now: () => nowMs })
  assert.deepEqual(share.begin(), { amounts: { tokens: 40, fanOut: 0 }, leftMs: 900 })
  share.sent()
  nowMs += 200
  assert.deepEqual(share.beginAgain(), { amounts: { tokens: 0, fanOut: 0 }, leftMs: 700 })
  assert.equal(share.isOut(), true)
  share.told({ tokens: 25 })
  assert.deepEqual(share.begin().amounts.tokens, 25)
})

test('what waited on its way is as old as its writer says, and not from after it came', () => {
  assert.equal(writtenAt(5_000, 9_000), 5_000)
  assert.equal(writtenAt(69_000, 9_000), 9_000, 'a clock that is ahead')
  assert.equal(writtenAt(0, -3), 0)
})
