import assert from 'node:assert/strict'
import { test } from 'node:test'
import { busyMsOf, ticksIn } from '../../bench/processor.ts'

test('user and system time are added up, whatever the name of the program contains', () => {
  const stat = '42 (a b) c) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 11 0 12345 1000 200'
  assert.equal(ticksIn(stat), 300)
})

test('a process that is gone is not measured', () => {
  assert.equal(busyMsOf([2 ** 30]), undefined)
})

test('this process has run for as long as it says itself, to a tick', { skip: process.platform !== 'linux' }, () => {
  const { user, system } = process.cpuUsage()
  const busyMs = busyMsOf([process.pid]) ?? Number.NaN
  assert.ok(Math.abs(busyMs - (user + system) / 1_000) < 500, `${busyMs} ms`)
})
