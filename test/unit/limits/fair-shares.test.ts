/** Shares: that nobody takes all, that everybody gets something, and that nothing is counted twice. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { createFairShares, type FairShares } from '../../../protocols/limits/fair-shares.ts'

/** Takes for `key` until it is refused. */
const fill = (shares: FairShares, key: string): number => {
  let took = 0
  while (shares.take(key)) took += 1
  return took
}

describe('shares', () => {
  it('leave a quarter free for others, whatever an only user wants', () => {
    for (const most of [4, 8, 100, 1024]) {
      const shares = createFairShares(most)
      assert.equal(fill(shares, 'a'), (most * 3) / 4)
      assert.equal(shares.take('b'), true)
    }
  })

  it('give one user all where there are less than four', () => {
    for (const most of [1, 2, 3]) assert.equal(fill(createFairShares(most), 'a'), most)
  })

  it('hold a key to its own bound, at the limit and not one past it', () => {
    const shares = createFairShares(100, 10)
    assert.equal(shares.take('a', 10), true)
    assert.equal(shares.take('a'), false)
    assert.equal(shares.take('b', 11), false)
    assert.deepEqual([shares.held('a'), shares.total(), shares.refused()], [10, 10, 2])
  })

  it('converge to equal shares where each of k users takes whatever it can, and one more gets its first at once', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        // So many that nobody holds less than three when one is left: then none of them takes that one.
        fc.integer({ min: 512, max: 2048 }),
        fc.nat(),
        (users, most, seed) => {
          const shares = createFairShares(most)
          let random = seed >>> 0
          const next = (below: number): number => {
            random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0
            return Math.floor((random / 2 ** 32) * below)
          }
          for (let user = 0; user < users; user += 1) fill(shares, `u${user}`)
          // One of what is held ends, whoever's, and all take what they can, as requests that end and others that wait.
          for (let round = 0; round < most * 8; round += 1) {
            let at = next(shares.total())
            const ends = shares.top(users).find(({ held }) => {
              at -= held
              return at < 0
            })
            if (ends !== undefined) shares.give(ends.key)
            for (let user = 0; user < users; user += 1) shares.take(`u${(user + round) % users}`)
          }
          const fair = (3 * most) / (3 * users + 1)
          for (let user = 0; user < users; user += 1) {
            const held = shares.held(`u${user}`)
            assert.ok(held >= fair - 4 && held <= fair + 4, `${held} of ${most}, ${users} users, fair is ${fair}`)
          }
          assert.equal(shares.take('newcomer'), true)
        },
      ),
      { numRuns: 8 },
    )
  })

  it('never give out more than there is, and forget who holds nothing', () => {
    const step = fc.record({
      verb: fc.constantFrom('take', 'take', 'give', 'resize', 'open', 'close'),
      key: fc.constantFrom('a', 'b', 'c'),
      amount: fc.integer({ min: 0, max: 40 }),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const shares = createFairShares(64, 48)
        const held = new Map<string, number>()
        const open = new Map<string, ReturnType<FairShares['open']>[]>()
        let most = 64
        for (const { verb, key, amount } of steps) {
          const mine = held.get(key) ?? 0
          if (verb === 'take') {
            const may = shares.allows(key, amount)
            assert.equal(shares.take(key, amount), may)
            if (may) {
              held.set(key, mine + amount)
              assert.ok(shares.total() <= most)
              assert.ok(mine + amount <= 48)
            }
          } else if (verb === 'give') {
            shares.give(key, amount)
            held.set(key, Math.max(0, mine - amount))
          } else if (verb === 'resize') {
            most = 32 + amount
            shares.resize(most, 48)
          } else if (verb === 'open') open.set(key, [...(open.get(key) ?? []), shares.open(key)])
          else {
            const account = open.get(key)?.pop()
            if (account !== undefined) shares.close(account)
          }
          assert.equal(shares.held(key), held.get(key) ?? 0)
        }
        for (const list of open.values()) for (const account of list) shares.close(account)
        for (const [key, amount] of held) shares.give(key, amount)
        assert.deepEqual([shares.total(), shares.top(9)], [0, []])
      }),
    )
  })

  it('name those that hold the most', () => {
    const shares = createFairShares(100)
    shares.take('a', 3)
    shares.take('b', 9)
    shares.take('c', 5)
    shares.close(shares.open('d'))
    assert.deepEqual(shares.top(2), [
      { key: 'b', held: 9 },
      { key: 'c', held: 5 },
    ])
  })

  it('count by an open account as by its key', () => {
    const shares = createFairShares(8)
    const account = shares.open('a')
    assert.equal(shares.takeFor(account, 2), true)
    assert.equal(shares.held('a'), 2)
    assert.equal(shares.take('a', 4), true)
    assert.equal(shares.allowsFor(account), false)
    shares.giveFor(account, 100)
    assert.deepEqual([account.held, shares.total()], [0, 0])
    shares.close(account)
  })
})
