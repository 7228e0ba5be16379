import assert from 'node:assert/strict'
import { test } from 'node:test'
import { costOf, createItemQueue, WINDOW_UNITS } from '../../../../../node/agent/channel/item-queue.ts'

const start = () => {
  const seen = { opened: 0, left: 0, granted: [] as number[] }
  const queue = createItemQueue({
    open: () => {
      seen.opened += 1
    },
    grant: (units) => void seen.granted.push(units),
    async cancel() {
      seen.left += 1
    },
  })
  return { queue, seen }
}

test('nothing is opened before the first item is asked for', async () => {
  const { queue, seen } = start()
  assert.equal(seen.opened, 0)
  const first = queue.next()
  assert.equal(seen.opened, 1)
  queue.put('a')
  assert.deepEqual(await first, { done: false, value: 'a' })
})

test('what was read is granted again once it is half a window, and not item by item', async () => {
  const { queue, seen } = start()
  const first = queue.next()
  for (let n = 0; n < WINDOW_UNITS; n += 1) queue.put(n)
  await first
  for (let n = 1; n < WINDOW_UNITS / 2 - 1; n += 1) await queue.next()
  assert.deepEqual(seen.granted, [])
  await queue.next()
  assert.deepEqual(seen.granted, [WINDOW_UNITS / 2])
})

test('an item costs one unit more for each 64 KiB', () => {
  assert.equal(costOf(new Uint8Array(65_535)), 1)
  assert.equal(costOf(new Uint8Array(65_536)), 2)
  assert.equal(costOf({ any: 'thing' }), 1)
})

test('what came before the end is read before the end is told', async () => {
  const { queue } = start()
  const first = queue.next()
  queue.put(1)
  queue.put(2)
  queue.finish({ error: new Error('broken off') })
  assert.deepEqual(await first, { done: false, value: 1 })
  assert.deepEqual(await queue.next(), { done: false, value: 2 })
  await assert.rejects(queue.next(), /broken off/)
  assert.deepEqual(await queue.next(), { done: true, value: undefined })
})

test('leaving ends a next() that is open, tells the other side once, and drops what comes later', async () => {
  const { queue, seen } = start()
  const open = queue.next()
  await queue.return?.()
  assert.deepEqual(await open, { done: true, value: undefined })
  await queue.return?.()
  assert.equal(seen.left, 1)
  queue.put('late')
  assert.deepEqual(await queue.next(), { done: true, value: undefined })
})

test('leaving what was never begun tells nobody', async () => {
  const { queue, seen } = start()
  await queue.return?.()
  assert.deepEqual(await queue.next(), { done: true, value: undefined })
  assert.deepEqual(seen, { opened: 0, left: 0, granted: [] })
})

test('a second next() before the first is answered is refused', async () => {
  const { queue } = start()
  const first = queue.next()
  await assert.rejects(queue.next(), TypeError)
  queue.put(1)
  assert.deepEqual(await first, { done: false, value: 1 })
})

test('what open() throws is what next() rejects with, and leaving afterwards is harmless', async () => {
  const queue = createItemQueue({
    open() {
      throw new Error('no room')
    },
    grant: () => {},
    cancel: () => Promise.reject(new Error('nothing was open')),
  })
  await assert.rejects(queue.next(), /no room/)
  await queue.return?.()
})
