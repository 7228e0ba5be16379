import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createStartMemory } from '../../../../node/platform/start-memory.ts'

const MIB = 1 << 20

/** @param shares how busy the loop was before each look; the last one goes on */
const start = (shares: readonly number[], heapBytes = 40 * MIB) => {
  const asked: unknown[] = []
  const waits: number[] = []
  let due: (() => void) | undefined
  let looks = 0
  const memory = createStartMemory({
    timers: {
      after(delayMs, fn) {
        waits.push(delayMs)
        due = fn
        return () => {}
      },
    },
    chance: () => 0.5,
    find: () => (options) => void asked.push(options),
    utilization: () => shares[Math.min(looks++, shares.length - 1)] ?? 0,
    heapBytes: () => heapBytes,
  })
  const runAll = (): void => {
    for (let fn = due; fn !== undefined; fn = due) {
      due = undefined
      fn()
    }
  }
  return { memory, asked, waits, runAll }
}

test('in the first quiet moment after the start everything is collected, and the reserve given back, once', () => {
  const { memory, asked, waits, runAll } = start([0, 0.5, 0.2, 0.09])
  memory.giveBack()
  memory.giveBack()
  runAll()
  memory.giveBack()
  runAll()
  assert.deepEqual(asked, [{ type: 'major', flavor: 'last-resort' }])
  assert.deepEqual(waits, [2_500, 500, 500, 500])
})

test('what the loop did while it started counts for nothing', () => {
  for (const share of [0, 1]) {
    const { memory, asked, waits, runAll } = start([share, 0])
    memory.giveBack()
    runAll()
    assert.deepEqual([asked.length, waits.length], [1, 2])
  }
})

test('a program that has much to do keeps its compiled code, also once it is quiet', () => {
  const { memory, asked, waits, runAll } = start([0, 0.79, 0.8, 0])
  memory.giveBack()
  runAll()
  assert.deepEqual([asked.length, waits.length], [0, 3])
})

test('a program that is never quiet in a minute is not stopped, nor looked at any more', () => {
  const { memory, asked, waits, runAll } = start([0.1])
  memory.giveBack()
  runAll()
  assert.deepEqual([asked.length, waits.length], [0, 120])
})

test('a program with a large heap is not stopped', () => {
  for (const [bytes, times] of [
    [96 * MIB, 1],
    [96 * MIB + 1, 0],
  ] as const) {
    const { memory, asked, runAll } = start([0], bytes)
    memory.giveBack()
    runAll()
    assert.equal(asked.length, times)
  }
})

test('an engine without a collection on demand goes on as it is', () => {
  const memory = createStartMemory({
    timers: {
      after(_delayMs, fn) {
        fn()
        return () => {}
      },
    },
    chance: () => 0,
    find: () => undefined,
    utilization: () => 0,
    heapBytes: () => 0,
  })
  memory.giveBack()
})
