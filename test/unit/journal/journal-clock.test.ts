/** The journal's clock where the clock of a member is right, behind, and set back. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createJournalClock } from '../../../protocols/journal/journal-clock.ts'

const started = (wallMs: number, appliedAt = 0) => {
  const at = { wallMs, monotonicMs: 0, appliedAt }
  const clock = createJournalClock({ now: () => at.wallMs, monotonic: () => at.monotonicMs }, () => at.appliedAt)
  const pass = (ms: number): number => {
    at.wallMs += ms
    at.monotonicMs += ms
    return clock.now()
  }
  return { at, clock, pass }
}

test('where nothing is ahead it is the clock of the member', () => {
  const { clock, pass } = started(5_000, 4_000)
  assert.equal(clock.now(), 5_000)
  assert.equal(pass(1_000), 6_000)
})

test('behind the journal it goes on from there, a little slower, until it has caught up', () => {
  const { clock, pass, at } = started(5_000, 6_000)
  assert.equal(clock.now(), 6_000)
  assert.equal(pass(1_000), 6_900)
  at.appliedAt = 6_900
  assert.equal(pass(1_000), 7_800)
  for (let i = 0; i < 8; i += 1) pass(1_000)
  assert.equal(pass(1_000), 16_000)
  assert.equal(pass(1_000), 17_000)
})

test('set back, it never goes back and never stands still', () => {
  const { clock, pass, at } = started(100_000)
  assert.equal(clock.now(), 100_000)
  at.wallMs -= 60_000
  assert.equal(clock.now(), 100_000)
  assert.equal(pass(10_000), 109_000)
})

test('what was applied meanwhile counts', () => {
  const { clock, pass, at } = started(1_000)
  clock.now()
  at.appliedAt = 50_000
  assert.equal(pass(10), 50_000)
  assert.equal(pass(10), 50_009)
})
