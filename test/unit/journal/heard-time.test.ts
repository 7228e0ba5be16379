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

test('what is sure is never later than the journal, also where its own clock is ahead, or the journal goes slower', () => {
  const { heard, pass } = started(1_004_000)
  assert.equal(heard.sure.now(), 1_004_000)
  heard.heard(1_000_000)
  assert.deepEqual([heard.now(), heard.sure.now()], [1_004_000, 1_000_000])
  pass(1_000)
  // At nine tenths of the speed it is 900 ms later there.
  assert.deepEqual([heard.now(), heard.sure.now()], [1_005_000, 1_000_875])
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

test('what a node that stood still hears late does not set it back, where its own clock is right by what it had heard', () => {
  const { heard, pass } = started(1_000_000)
  heard.heard(1_000_000)
  pass(600_000)
  // It waited for 14 s.
  heard.heard(1_586_000)
  assert.equal(heard.now(), 1_600_000)
})

test('what is late sets it back, where its own clock is wrong, by no more than the journal may be slower', () => {
  const { heard, pass } = started(940_000)
  heard.heard(1_000_000)
  pass(16_000)
  heard.heard(1_002_000)
  assert.equal(heard.now(), 1_014_000)
  pass(240_000)
  heard.heard(1_225_000)
  assert.equal(heard.now(), 1_225_000, 'nobody stands still for so long')
})

test('it follows a journal that goes slower, because it was ahead, for hours', () => {
  const { heard, pass } = started(0)
  for (let ms = 900_000; ms >= 0; ms -= 6_000) {
    const at = 900_000 - ms + 60_000 + 0.9 * (900_000 - ms)
    heard.heard(at)
    assert.ok(heard.now() >= at && heard.now() - at <= 2_000, `${heard.now() - at}`)
    pass(6_000)
  }
})

test('a journal that is ahead by hours is believed; a time that nothing should wait for is not', () => {
  const yearMs = 365 * 86_400_000
  const wallMs = 2 * yearMs
  for (const at of [wallMs + 900_000, wallMs - 86_400_000, wallMs + yearMs, wallMs - yearMs]) {
    const { heard } = started(wallMs)
    heard.heard(at)
    assert.equal(heard.now(), at)
  }
  const { heard, pass } = started(wallMs)
  for (const at of [Number.NaN, 1e300, 8.64e15, 0, wallMs + yearMs + 1, wallMs - yearMs - 1]) heard.heard(at)
  assert.equal(pass(10), wallMs + 10)
})

test('what a liar said of a far time counts no longer than until somebody else coordinates, and 10 s', () => {
  const wallMs = 1e12
  const { heard, pass } = started(wallMs)
  heard.heard(wallMs + 300 * 86_400_000)
  for (let ms = 0; ms < 10_000; ms += 1_000) {
    heard.heard(wallMs + ms)
    pass(1_000)
  }
  heard.heard(wallMs + 10_000)
  assert.equal(heard.now(), wallMs + 10_000)
})
