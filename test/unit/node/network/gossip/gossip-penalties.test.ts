import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  BAN_MS,
  createGossipPenalties,
  FAULT_BURST,
  FAULTS_PER_S,
  type GossipPenalty,
  MAX_BAN_MS,
  PAUSE_MS,
  STRIKES,
  STRIKES_WITHIN_MS,
} from '../../../../../node/network/gossip/gossip-penalties.ts'

/** Makes faults at one moment until a sentence falls. */
const untilSentence = (
  conduct: ReturnType<typeof createGossipPenalties>,
  nowMs: number,
  peer = 'p',
): [GossipPenalty, number] => {
  for (let faults = 1; faults <= 1_000; faults += 1) {
    const sentence = conduct.addFault(peer, nowMs)
    if (sentence !== 'none') return [sentence, faults]
  }
  return ['none', 1_000]
}

test('so many faults at once are let pass, and one more pauses the neighbour', () => {
  const conduct = createGossipPenalties()
  for (let n = 0; n < FAULT_BURST; n += 1) assert.equal(conduct.addFault('p', 0), 'none')
  assert.deepEqual([conduct.pausedMs('p', 0), conduct.bannedMs('p', 0)], [0, 0])
  assert.equal(conduct.addFault('p', 0), 'paused')
  assert.deepEqual([conduct.pausedMs('p', 0), conduct.pausedMs('q', 0)], [PAUSE_MS, 0])
  assert.equal(conduct.pausedMs('p', PAUSE_MS), 0)
})

test('what was under way when a neighbour was paused counts once', () => {
  const conduct = createGossipPenalties()
  assert.equal(untilSentence(conduct, 0)[0], 'paused')
  for (let n = 0; n < 1_000; n += 1) assert.equal(conduct.addFault('p', PAUSE_MS - 1), 'none')
  assert.deepEqual([conduct.pausedMs('p', PAUSE_MS), conduct.bannedMs('p', PAUSE_MS)], [0, 0])
})

test('who goes on after its pauses is cut off, longer each time, and told for how long', () => {
  const conduct = createGossipPenalties()
  let now = 0
  for (let cuts = 0; cuts < 6; cuts += 1) {
    const beganAt = now
    for (let strike = 1; strike < STRIKES; strike += 1) {
      assert.equal(untilSentence(conduct, now)[0], 'paused')
      now += PAUSE_MS
    }
    assert.equal(untilSentence(conduct, now)[0], 'cut')
    assert.ok(now - beganAt <= STRIKES * PAUSE_MS)
    const barMs = Math.min(MAX_BAN_MS, BAN_MS * 2 ** cuts)
    assert.equal(conduct.bannedMs('p', now), barMs)
    now += barMs
    assert.equal(conduct.bannedMs('p', now), 0)
  }
})

test('pauses that lie far apart cut nobody off', () => {
  const conduct = createGossipPenalties()
  for (let n = 0; n < 10; n += 1) {
    const now = n * (STRIKES_WITHIN_MS / (STRIKES - 1) + 1)
    assert.equal(untilSentence(conduct, now)[0], 'paused')
  }
})

test('whoever stays within the rate is never paused, whatever it does otherwise', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 5_000 }), { maxLength: 300 }), (gapsMs) => {
      const conduct = createGossipPenalties()
      let now = 0
      for (const gapMs of gapsMs) {
        now += Math.max(gapMs, 1_000 / FAULTS_PER_S)
        assert.equal(conduct.addFault('p', now), 'none')
      }
    }),
  )
})

test('faults within any time are bounded by burst and rate before the first pause', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 400 }), { minLength: 200, maxLength: 400 }), (gapsMs) => {
      const conduct = createGossipPenalties()
      let now = 0
      for (const [n, gapMs] of gapsMs.entries()) {
        now += gapMs
        const passed = n + 1 <= FAULT_BURST + (now / 1_000) * FAULTS_PER_S + 1
        if (conduct.addFault('p', now) !== 'none') return
        assert.ok(passed, `${n + 1} faults in ${now} ms`)
      }
    }),
  )
})

test('as many neighbours are remembered as there is room for, and the one without faults for longest goes first', () => {
  const conduct = createGossipPenalties(2)
  untilSentence(conduct, 0, 'a')
  conduct.addFault('b', 0)
  assert.equal(conduct.size(), 2)
  conduct.addFault('a', 0)
  conduct.addFault('c', 0)
  assert.equal(conduct.size(), 2)
  assert.equal(conduct.pausedMs('a', 0), PAUSE_MS)
})
