import assert from 'node:assert/strict'
import { test } from 'node:test'
import { busyShare, summarise } from '../../bench/other-work.ts'

test('the busy share is what was busy between two readings', () => {
  assert.equal(busyShare({ busy: 100, idle: 100 }, { busy: 130, idle: 170 }), 0.3)
})

test('counters that did not move give no share instead of a division by nothing', () => {
  assert.equal(busyShare({ busy: 1, idle: 1 }, { busy: 1, idle: 1 }), 0)
})

test('the shares of a run are told by median and maximum, also when there are none', () => {
  assert.deepEqual(summarise([0.1, 0.9, 0.2]), { median: 0.2, max: 0.9 })
  assert.deepEqual(summarise([]), { median: 0, max: 0 })
})
