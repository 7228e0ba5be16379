/** How often this node dials on somebody's word. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  createDialBudget,
  DEBT,
  PEER_DIALS,
  PEER_DIALS_PER_MINUTE,
  ROOM_FOR_RACE,
  UNPROVEN_DIALS,
  UNPROVEN_DIALS_PER_MINUTE,
} from '../../../../../node/network/dial/dial-budget.ts'

const setUp = () => {
  let now = 0
  const budget = createDialBudget({ monotonic: () => now })
  const spend = (peer: string, times: number, ...announcers: string[]): number =>
    Array.from({ length: times }, () => budget.spend(peer, announcers)).filter((lacks) => lacks === undefined).length
  /** As many peers as one likes to invent, all of them on these words. */
  const flood = (count: number, ...announcers: string[]): number =>
    Array.from({ length: count }, (_, at) => spend(`${announcers.join()} invents ${at}`, 16, ...announcers)).reduce(
      (sum, n) => sum + n,
      0,
    )
  return {
    budget,
    spend,
    flood,
    mayStart: (peer: string, ...announcers: string[]): boolean => budget.shortage(peer, announcers) === undefined,
    pass(ms: number) {
      now += ms
    },
  }
}

test('a peer is dialled so often at once, a race that has begun ends, and then it has to wait', () => {
  const { budget, spend, mayStart, pass } = setUp()
  assert.equal(spend('a', PEER_DIALS), PEER_DIALS)
  assert.equal(budget.shortage('a', []), 'budget')
  assert.equal(spend('a', 100), DEBT)
  assert.equal(budget.spend('a', []), 'budget')
  assert.ok(mayStart('b'), 'others are dialled as ever')
  pass((60_000 / PEER_DIALS_PER_MINUTE) * DEBT)
  assert.ok(!mayStart('a'))
  pass(60_000 / PEER_DIALS_PER_MINUTE)
  assert.ok(mayStart('a'))
})

test('peers of which nobody knows who announced them share one account, under however many names', () => {
  const { budget, flood, mayStart, pass } = setUp()
  assert.equal(flood(300), (UNPROVEN_DIALS * 3) / 4)
  assert.equal(budget.shortage('another', []), 'announcer')
  pass(60_000)
  assert.ok(mayStart('another'))
  const later = flood(300)
  assert.ok(later <= UNPROVEN_DIALS_PER_MINUTE, `${later}`)
})

test('who announces peers that are not there spends its own share, and those of others are dialled as ever', () => {
  const { budget, spend, flood, mayStart, pass } = setUp()
  assert.equal(flood(60, 'liar'), (UNPROVEN_DIALS * 3) / 4)
  assert.equal(budget.shortage('one more', ['liar']), 'announcer')
  assert.equal(budget.spend('one more', ['liar']), 'announcer')
  assert.ok(mayStart('newcomer', 'honest'))
  assert.equal(spend('newcomer', 16, 'honest'), 16)
  assert.ok(mayStart('of unknown origin'))
  for (let second = 0; second < 60; second += 1) {
    pass(1_000)
    flood(60, 'liar')
    assert.ok(mayStart(`newcomer ${second}`, 'honest'), `after ${second} s`)
    assert.equal(spend(`newcomer ${second}`, 2, 'honest'), 2)
    budget.succeeded(`newcomer ${second}`)
  }
})

test('several liars leave room for who announced nothing yet', () => {
  const { spend, mayStart } = setUp()
  for (let dials = 0; dials < 200; dials += 1)
    for (let at = 0; at < 8; at += 1) spend(`${at} invents ${dials}`, 1, `liar ${at}`)
  assert.ok(mayStart('newcomer', 'honest'))
  assert.equal(spend('newcomer', ROOM_FOR_RACE, 'honest'), ROOM_FOR_RACE)
})

test('a peer is dialled where one of its announcers has room, and that one pays', () => {
  const { flood, spend, mayStart } = setUp()
  flood(60, 'liar')
  assert.ok(mayStart('both', 'liar', 'honest'))
  assert.equal(spend('both', 4, 'liar', 'honest'), 4)
  const [left, all] = [flood(60, 'honest'), setUp().flood(60, 'honest')]
  assert.ok(left < all, 'the honest one paid')
})

test('one that was a member is dialled whatever the others did', () => {
  const { budget, spend, flood, mayStart } = setUp()
  budget.succeeded('member')
  flood(300)
  assert.ok(!mayStart('newcomer'))
  assert.ok(mayStart('member'))
  assert.equal(spend('member', PEER_DIALS), PEER_DIALS)
})

test('a dial that leads to a member is given back: a mesh of any size starts on the word of one seed', () => {
  const { budget, spend, mayStart } = setUp()
  for (let at = 0; at < 1_000; at += 1) {
    assert.ok(mayStart(`member ${at}`, 'seed'), `${at}`)
    assert.equal(spend(`member ${at}`, 3, 'seed'), 3)
    budget.succeeded(`member ${at}`)
  }
})

test('whatever is dialled, in no minute is it more than one allowance and what came back meanwhile', () => {
  const step = fc.record({ peer: fc.nat(5), announcer: fc.nat(3), afterMs: fc.nat(5_000), dials: fc.nat(20) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { spend, pass } = setUp()
      const made = new Map<number, number>()
      let [passed, all] = [0, 0]
      for (const { peer, announcer, afterMs, dials } of steps) {
        pass(afterMs)
        passed += afterMs
        const now = spend(`${peer}`, dials, ...(announcer === 0 ? [] : [`${announcer}`]))
        all += now
        made.set(peer, (made.get(peer) ?? 0) + now)
        const most = PEER_DIALS + DEBT + (passed / 60_000) * PEER_DIALS_PER_MINUTE
        assert.ok((made.get(peer) ?? 0) <= most)
        assert.ok(all <= UNPROVEN_DIALS + 1e-6 + (passed / 60_000) * UNPROVEN_DIALS_PER_MINUTE)
      }
    }),
  )
})
