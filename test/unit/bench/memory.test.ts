import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readMemory } from '../../bench/memory.ts'

test('memory is told in MiB, and what is alive is less than what the process has', () => {
  const before = readMemory()
  assert.ok(before.rssMib > 20 && before.rssMib < 10_000)
  assert.ok(before.aliveMib > 0 && before.aliveMib < before.collectedRssMib)
})

test('what nobody holds is gone after the collection, and what is held is not', () => {
  const before = readMemory().aliveMib
  let held: Uint8Array | undefined = new Uint8Array(64 * 1024 * 1024).fill(1)
  assert.ok(readMemory().aliveMib - before > 60)
  assert.equal(held.length, 64 * 1024 * 1024)
  held = undefined
  assert.ok(readMemory().aliveMib - before < 10)
})
