import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRunQueue } from '../../../../protocols/delivery/receive/run-queue.ts'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('what came in one turn begins most urgent first, in order within a priority', async () => {
  const begun: string[] = []
  const queue = createRunQueue<string>(10, (item) => begun.push(item))
  queue.put('normal 1', 1)
  queue.put('low', 0)
  queue.put('critical', 3)
  queue.put('normal 2', 1)
  await turn()
  assert.deepEqual(begun, ['critical', 'normal 1', 'normal 2', 'low'])
})

test('no more run than the limit, and the next begins when one has ended', async () => {
  const begun: number[] = []
  const queue = createRunQueue<number>(2, (item) => begun.push(item))
  for (let item = 1; item <= 4; item += 1) queue.put(item, 1)
  await turn()
  assert.deepEqual(begun, [1, 2])
  assert.deepEqual([queue.active(), queue.waiting()], [2, 2])
  queue.ended()
  await turn()
  assert.deepEqual(begun, [1, 2, 3])
  queue.ended()
  queue.ended()
  await turn()
  assert.deepEqual(begun, [1, 2, 3, 4])
  assert.deepEqual([queue.active(), queue.waiting()], [1, 0])
})

test('what has not begun can be taken out, what has begun cannot', async () => {
  const begun: number[] = []
  const queue = createRunQueue<number>(1, (item) => begun.push(item))
  for (let item = 1; item <= 3; item += 1) queue.put(item, 1)
  await turn()
  queue.drop((item) => item === 1 || item === 2)
  assert.equal(queue.waiting(), 1)
  queue.ended()
  await turn()
  assert.deepEqual(begun, [1, 3])
})

test('a queue that drains begins nothing, and waits for what runs', async () => {
  const begun: number[] = []
  const queue = createRunQueue<number>(1, (item) => begun.push(item))
  queue.put(1, 1)
  queue.put(2, 1)
  await turn()
  let isDrained = false
  const drained = queue.drain().then(() => {
    isDrained = true
  })
  await turn()
  assert.equal(isDrained, false)
  queue.ended()
  await drained
  await turn()
  assert.deepEqual(begun, [1])
  await createRunQueue<number>(1, () => {}).drain()
})
