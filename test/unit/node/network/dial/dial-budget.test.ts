/** How often this node dials on somebody's word. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  createDialBudget,
  DEBT,
  PEER_DIALS,
  PEER_DIALS_PER_MINUTE,
  UNPROVEN_DIALS,
  UNPROVEN_DIALS_PER_MINUTE,
} from '../../../../../node/network/dial/dial-budget.ts'

const setUp = () => {
  let now = 0
  const budget = createDialBudget({ monotonic: () => now })
  const spend = (peer: string, times: number): number =>
    Array.from({ length: times }, () => budget.spend(peer)).filter(Boolean).length
  return {
    budget,
    spend,
    pass(ms: number) {
      now += ms
    },
  }
}

test('a peer is dialled so often at once, a race that has begun ends, and then it has to wait', () => {
  const { budget, spend, pass } = setUp()
  assert.equal(spend('a', PEER_DIALS), PEER_DIALS)
  assert.ok(!budget.mayStart('a'))
  assert.equal(spend('a', 100), DEBT)
  assert.ok(budget.mayStart('b'), 'others are dialled as ever')
  pass((60_000 / PEER_DIALS_PER_MINUTE) * DEBT)
  assert.ok(!budget.mayStart('a'))
  pass(60_000 / PEER_DIALS_PER_MINUTE)
  assert.ok(budget.mayStart('a'))
})

test('peers that were never members share one allowance, under however many names', () => {
  const { budget, spend, pass } = setUp()
  const dialled = Array.from({ length: 300 }, (_, at) => spend(`invented ${at}`, 16)).reduce((sum, n) => sum + n, 0)
  assert.equal(dialled, UNPROVEN_DIALS + DEBT)
  assert.ok(!budget.mayStart('another'))
  pass(60_000)
  const later = Array.from({ length: 300 }, (_, at) => spend(`later ${at}`, 16)).reduce((sum, n) => sum + n, 0)
  assert.ok(later <= UNPROVEN_DIALS_PER_MINUTE, `${later}`)
})

test('one that was a member is dialled whatever the others did', () => {
  const { budget, spend } = setUp()
  budget.succeeded('member')
  for (let at = 0; at < 300; at += 1) spend(`invented ${at}`, 16)
  assert.ok(!budget.mayStart('newcomer'))
  assert.ok(budget.mayStart('member'))
  assert.equal(spend('member', PEER_DIALS), PEER_DIALS)
})

test('a dial that leads to a member is given back: a mesh of any size starts', () => {
  const { budget } = setUp()
  for (let at = 0; at < 1_000; at += 1) {
    assert.ok(budget.mayStart(`member ${at}`), `${at}`)
    for (let address = 0; address < 3; address += 1) assert.ok(budget.spend(`member ${at}`))
    budget.succeeded(`member ${at}`)
  }
})

test('whatever is dialled, in no minute is it more than one allowance and what came back meanwhile', () => {
  const step = fc.record({ peer: fc.nat(5), afterMs: fc.nat(5_000), dials: fc.nat(20) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { spend, pass } = setUp()
      const made = new Map<number, number>()
      let [passed, all] = [0, 0]
      for (const { peer, afterMs, dials } of steps) {
        pass(afterMs)
        passed += afterMs
        const now = spend(`${peer}`, dials)
        all += now
        made.set(peer, (made.get(peer) ?? 0) + now)
        const most = PEER_DIALS + DEBT + (passed / 60_000) * PEER_DIALS_PER_MINUTE
        assert.ok((made.get(peer) ?? 0) <= most)
        assert.ok(all <= UNPROVEN_DIALS + DEBT + (passed / 60_000) * UNPROVEN_DIALS_PER_MINUTE)
      }
    }),
  )
})
