/** The journal's time as a node hears it: whose own clock is right, wrong, and who hears late. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HeardTime } from '../../../protocols/journal/feed/heard-time.ts'

const started = (wallMs: number) => {
  const at = { wallMs, monotonicMs: 0 }
  const heard = new HeardTime({ now: () => at.wallMs, monotonic: () => at.monotonicMs })
  const pass = (ms: number): number => {
    at.wallMs += ms
    at.monotonicMs += ms
    return heard.now()
  }
  return { at, heard, pass }
}

test('before anything was heard its own clock counts, and where that is right it goes on to', () => {
  const { heard, pass } = started(1_000_000)
  assert.equal(heard.now(), 1_000_000)
  // A second on its way.
  heard.heard(999_000)
  assert.equal(pass(10), 1_000_010)
})

test('where its own clock is wrong it is what was heard, and what passed since', () => {
  for (const wallMs of [1_060_000, 940_000]) {
    const { heard, pass } = started(wallMs)
    heard.heard(1_000_000)
    assert.equal(pass(250), 1_000_250)
    assert.equal(heard.monotonic(), 250)
  }
})

test('what was longer on its way does not set it back, but for good where the journal goes slower', () => {
  const { heard, pass } = started(940_000)
  heard.heard(1_000_000)
  pass(1_000)
  heard.heard(1_000_400)
  assert.equal(heard.now(), 1_001_000)
  heard.heard(1_001_100)
  assert.equal(heard.now(), 1_001_100)
  pass(10_000)
  heard.heard(1_010_000)
  assert.equal(heard.now(), 1_010_000)
})

test('a time that no clock of a peer can have is not believed', () => {
  const { heard, pass } = started(1_000_000)
  for (const at of [1e300, 0, 1_700_000, 300_000]) heard.heard(at)
  assert.equal(pass(10), 1_000_010)
})
