import assert from 'node:assert/strict'
import { test } from 'node:test'
import { watchFlow } from '../../bench/flow.ts'

const clocked = () => {
  const clock = { nowMs: 0 }
  return { clock, flow: watchFlow(() => clock.nowMs) }
}

test('a steady stream has short pauses and all its bytes', () => {
  const { clock, flow } = clocked()
  for (let i = 0; i < 10; i++) {
    clock.nowMs += 10
    flow.add(5)
  }
  assert.deepEqual(flow.end(), { bytes: 50, longestPauseMs: 10, durationMs: 100 })
})

test('a stream that stalls half way shows the pause up to the end, however many bytes came before', () => {
  const { clock, flow } = clocked()
  flow.add(1_000_000)
  clock.nowMs = 600
  assert.deepEqual(flow.end(), { bytes: 1_000_000, longestPauseMs: 600, durationMs: 600 })
})

test('a stream that starts late shows the pause from the beginning', () => {
  const { clock, flow } = clocked()
  clock.nowMs = 400
  flow.add(1)
  clock.nowMs = 500
  assert.equal(flow.end().longestPauseMs, 400)
})

test('a new measurement forgets the one before', () => {
  const { clock, flow } = clocked()
  clock.nowMs = 1_000
  flow.add(7)
  flow.begin()
  clock.nowMs = 1_020
  assert.deepEqual(flow.end(), { bytes: 0, longestPauseMs: 20, durationMs: 20 })
})
