/** Quorum arithmetic beside a version that is too simple to be wrong. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { countVotes, majority, reachedByMajority } from '../../../../protocols/consensus/raft/quorum.ts'

const IDS = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
const group = fc.integer({ min: 1, max: IDS.length }).map((size) => IDS.slice(0, size))

test('a majority is more than half, and any two of them share a voter', () => {
  for (let voters = 1; voters <= 9; voters += 1) {
    assert.ok(2 * majority(voters) > voters)
    assert.ok(2 * (majority(voters) - 1) <= voters)
  }
})

test('votes are won, lost or pending as counting by hand says', () => {
  const votes = fc.dictionary(fc.constantFrom(...IDS, 'stranger'), fc.boolean())
  fc.assert(
    fc.property(group, votes, (voters, given) => {
      const yes = voters.filter((id) => given[id] === true).length
      const open = voters.filter((id) => given[id] === undefined).length
      const expected = 2 * yes > voters.length ? 'won' : 2 * (yes + open) > voters.length ? 'pending' : 'lost'
      assert.equal(countVotes(voters, new Map(Object.entries(given))), expected)
    }),
  )
})

test('what a majority has reached is the highest number that more than half are at or above', () => {
  const reached = fc.array(fc.nat({ max: 20 }), { minLength: IDS.length, maxLength: IDS.length })
  fc.assert(
    fc.property(group, reached, (voters, numbers) => {
      const of = (id: string): number => numbers[IDS.indexOf(id)] ?? 0
      let expected = 0
      for (let n = 0; n <= 20; n += 1) if (2 * voters.filter((id) => of(id) >= n).length > voters.length) expected = n
      assert.equal(reachedByMajority(voters, of), expected)
    }),
  )
  assert.equal(
    reachedByMajority([], () => 7),
    0,
  )
})
