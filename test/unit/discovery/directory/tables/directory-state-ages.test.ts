/** Who is believed alive because somebody heard of it, and who is not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { DirectoryState } from '../../../../../discovery/directory/tables/directory-state.ts'
import { entriesOf, give, kinds, others, pull, recordOf, start } from '../../../../support/directory-tables.ts'

const TTL_MS = 30_000
/** The nodes that talk here are agents of each other's tables as well; only `a` is looked at. */
const has = (state: DirectoryState): boolean => others(state).includes('a')
const stateOf = (state: DirectoryState, peer: string) => state.get(peer)?.state

test('whoever is connected to an agent keeps it alive in the tables of all others', () => {
  const [near, middle, far] = [start('near'), start('middle'), start('far')]
  for (const state of [near, middle, far]) give(state, recordOf('a', 1))
  near.markConnected('a')
  for (let nowMs = 0; nowMs <= 5 * TTL_MS; nowMs += 1_000) {
    pull(middle, near, nowMs)
    pull(far, middle, nowMs)
    for (const state of [near, middle, far]) {
      state.expire(nowMs)
      assert.ok(has(state), `at ${nowMs}`)
    }
  }
})

test('an agent that nobody is connected to is forgotten by all within its ttl, however much is said of it', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat({ max: 4 }), fc.nat({ max: 4 })), { minLength: 40, maxLength: 400 }),
      fc.integer({ min: 100, max: 1_500 }),
      (pairs, stepMs) => {
        const nodes = ['p', 'q', 'r', 's', 't'].map((name) => start(name))
        for (const state of nodes) give(state, recordOf('a', 1))
        nodes[0]?.markConnected('a')
        nodes[0]?.markDisconnected('a', 0)
        let nowMs = 0
        for (const [to, of] of pairs) {
          nowMs += stepMs
          const [asks, answers] = [nodes[to], nodes[of]]
          if (asks && answers && asks !== answers) pull(asks, answers, nowMs)
          for (const state of nodes) state.expire(nowMs)
          if (nowMs > TTL_MS) assert.ok(!nodes.some(has), `at ${nowMs}`)
        }
      },
    ),
  )
})

test('what another node heard counts only where it is later, and never where this node is connected', () => {
  const state = start()
  give(state, recordOf('a', 1))
  state.hear('a', 5_000, 20_000)
  state.hear('a', 15_000, 20_000)
  assert.deepEqual(state.expire(15_000 + TTL_MS - 1), [])
  assert.deepEqual(kinds(state.expire(15_000 + TTL_MS)), ['left expired'])
  assert.deepEqual(state.hear('a', 0, 50_000), [], 'nobody comes back by an age alone')
  const near = start()
  give(near, recordOf('a', 1))
  near.markConnected('a')
  near.markSuspect('a', 1_000)
  assert.deepEqual(near.hear('a', 0, 9_000), [])
  assert.equal(stateOf(near, 'a'), 'suspect')
})

test('an agent that was expired here and is alive elsewhere comes back with the record that it has', () => {
  const [cut, near] = [start('cut'), start('near')]
  for (const state of [cut, near]) give(state, recordOf('a', 1))
  near.markConnected('a')
  assert.deepEqual(kinds(cut.expire(TTL_MS)), ['left expired'])
  pull(cut, near, TTL_MS + 1_000)
  assert.ok(!has(cut), 'what is said on the way may be that old')
  pull(cut, near, TTL_MS + 3_000)
  assert.ok(has(cut))
})

test('an agent that said goodbye does not come back by what others heard', () => {
  const [told, near] = [start('told'), start('near')]
  for (const state of [told, near]) give(state, recordOf('a', 1))
  near.markConnected('a')
  give(told, recordOf('a', 2, { leaving: true }), 1_000)
  pull(told, near, 9_000)
  assert.ok(!has(told))
})

test('whom others gave up is a suspect until somebody hears of it later, and they pass the doubt on', () => {
  const [gave, told, third] = [start('gave'), start('told'), start('third')]
  for (const state of [gave, told, third]) give(state, recordOf('a', 1))
  gave.markGone('a', 5_000)
  assert.deepEqual(kinds(told.doubt(gave.endedDigest(6_000), 6_000)), ['changed'])
  assert.deepEqual(told.doubt(gave.endedDigest(6_000), 6_000), [], 'twice is no news')
  assert.equal(stateOf(told, 'a'), 'suspect')
  assert.deepEqual(kinds(third.doubt(told.doubts(7_000), 7_000)), ['changed'])
  assert.deepEqual(kinds(told.hear('a', 1_000, 8_000)), ['changed'])
  assert.deepEqual(entriesOf(told.doubts(9_000)), [])
  assert.deepEqual(told.doubt(third.doubts(9_000), 9_000), [], 'that is older than what was heard')
})

test('a doubt is no news where this node is connected, heard of the agent later, or has a newer record', () => {
  const gave = start('gave')
  give(gave, recordOf('a', 1))
  gave.markGone('a', 5_000)
  const doubts = gave.endedDigest(6_000)
  const connected = start()
  give(connected, recordOf('a', 1))
  connected.markConnected('a')
  const later = start()
  give(later, recordOf('a', 1), 5_500)
  const newer = start()
  give(newer, recordOf('a', 2))
  for (const state of [connected, later, newer, start()]) assert.deepEqual(state.doubt(doubts, 6_000), [])
})

test('whose connection was given up is no suspect, and counts as heard of then', () => {
  const state = start()
  give(state, recordOf('a', 1))
  state.markConnected('a')
  assert.deepEqual(kinds(state.markParted('a', 10_000)), ['changed'])
  assert.equal(stateOf(state, 'a'), 'alive')
  assert.deepEqual(state.markParted('a', 11_000), [])
  assert.deepEqual(state.expire(10_000 + TTL_MS - 1), [])
  assert.deepEqual(kinds(state.expire(10_000 + TTL_MS)), ['left expired'])
})
