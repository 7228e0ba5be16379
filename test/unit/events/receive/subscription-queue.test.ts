import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isParleyError } from '../../../../protocols/errors.ts'
import type { Listener, MeshEvent, Missed } from '../../../../protocols/events/event.ts'
import { SubscriptionQueue } from '../../../../protocols/events/receive/subscription-queue.ts'
import { turn } from '../ports.ts'

const event = (sequence: number, expiresAt?: number, source = 'p'): MeshEvent<number> => ({
  id: `${source}/${sequence}`,
  topic: 'a.b',
  data: sequence,
  source,
  timestamp: 0,
  epoch: 1,
  sequence,
  type: undefined,
  version: undefined,
  conversationId: undefined,
  correlationId: undefined,
  headers: {},
  priority: 'normal',
  expiresAt,
})

const setUp = (listener?: Listener<unknown>, limit = 3) => {
  const seen = { missed: [] as Missed[], failed: [] as unknown[], expired: 0, overflowed: 0 }
  const clock = { now: 0 }
  const queue = new SubscriptionQueue(listener, limit, {
    monotonic: () => clock.now,
    onMissed: (missed) => seen.missed.push(missed),
    failed: (error) => seen.failed.push(error),
    expired: () => {
      seen.expired += 1
    },
    overflowed: () => {
      seen.overflowed += 1
    },
  })
  return { queue, seen, clock }
}

/** A listener whose work is finished by hand. */
const byHand = () => {
  const heard: unknown[] = []
  const open: PromiseWithResolvers<void>[] = []
  const listener: Listener<unknown> = ({ data }) => {
    heard.push(data)
    const work = Promise.withResolvers<void>()
    open.push(work)
    return work.promise
  }
  return { heard, open, listener }
}

test('a listener that returns nothing gets each event at once', () => {
  const heard: unknown[] = []
  const { queue } = setUp(({ data }) => {
    heard.push(data)
  })
  for (const n of [1, 2, 3, 4, 5]) queue.push(event(n))
  assert.deepEqual(heard, [1, 2, 3, 4, 5])
  assert.equal(queue.delivered(), 5)
})

test('while a promise is open events wait, and come one at a time in order', async () => {
  const { heard, open, listener } = byHand()
  const { queue } = setUp(listener)
  for (const n of [1, 2, 3]) queue.push(event(n))
  assert.deepEqual(heard, [1])
  open[0]?.resolve()
  await turn()
  assert.deepEqual(heard, [1, 2])
  open[1]?.reject(new Error('failed'))
  await turn()
  assert.deepEqual(heard, [1, 2, 3], 'a rejection does not stop the next')
})

test('the queue holds its limit; one more is dropped, counted and reported', async () => {
  const { heard, open, listener } = byHand()
  const { queue, seen } = setUp(listener, 3)
  for (const n of [1, 2, 3, 4]) queue.push(event(n))
  assert.equal(queue.dropped(), 0)
  for (const n of [5, 6]) queue.push(event(n))
  queue.push(event(9, undefined, 'q'))
  assert.deepEqual([queue.dropped(), seen.overflowed], [3, 3])
  await turn()
  const common = { word: 'a', epoch: 1, reason: 'overflow' }
  assert.deepEqual(seen.missed, [
    { ...common, publisher: 'p', from: 5, to: 6 },
    { ...common, publisher: 'q', from: 9, to: 9 },
  ])
  for (let n = 0; n < 4; n += 1) {
    open[n]?.resolve()
    await turn()
  }
  assert.deepEqual(heard, [1, 2, 3, 4])
  queue.push(event(10))
  assert.deepEqual(heard, [1, 2, 3, 4, 10])
})

test('a listener that throws, now or later, is counted and gets the next event', async () => {
  let calls = 0
  const { queue, seen } = setUp(() => {
    calls += 1
    if (calls === 1) throw new Error('now')
    return Promise.reject(new Error('later'))
  })
  queue.push(event(1))
  queue.push(event(2))
  queue.push(event(3))
  await turn()
  assert.equal(calls, 3)
  assert.equal(seen.failed.length, 3)
})

test('a hook that throws is counted and breaks nothing', () => {
  const failed: unknown[] = []
  const queue = new SubscriptionQueue(() => undefined, 1, {
    monotonic: () => 0,
    onMissed() {
      throw new Error('hook')
    },
    failed: (error) => failed.push(error),
    expired: () => undefined,
    overflowed: () => undefined,
  })
  queue.missed({ publisher: 'p', word: 'a', epoch: 1, from: 1, to: 2, reason: 'gap' })
  assert.equal(failed.length, 1)
})

test('an event that expires while it waits is dropped and counted', async () => {
  const { heard, open, listener } = byHand()
  const { queue, seen, clock } = setUp(listener)
  queue.push(event(1))
  queue.push(event(2, 10))
  queue.push(event(3, 100))
  clock.now = 10
  open[0]?.resolve()
  await turn()
  assert.deepEqual(heard, [1, 3])
  assert.equal(seen.expired, 1)
})

test('a loop reads what waits, then what comes, until the end', async () => {
  const { queue } = setUp(undefined, 10)
  queue.push(event(1))
  const events = queue.iterate(() => queue.close())
  const first = await events.next()
  const second = events.next()
  const third = events.next()
  queue.push(event(2))
  queue.close()
  assert.deepEqual([first.value?.data, (await second).value?.data], [1, 2])
  assert.deepEqual(await third, { done: true, value: undefined })
  assert.deepEqual(await events.next(), { done: true, value: undefined })
})

test('an event that is expired already does not wake a waiting loop', async () => {
  const { queue, seen } = setUp(undefined, 10)
  const events = queue.iterate(() => queue.close())
  const next = events.next()
  queue.push(event(1, 0))
  queue.push(event(2))
  assert.equal((await next).value?.data, 2)
  assert.equal(seen.expired, 1)
})

test('what is read by a loop is bounded like what a listener gets', async () => {
  const { queue } = setUp(undefined, 3)
  for (const n of [1, 2, 3]) queue.push(event(n))
  assert.equal(queue.dropped(), 0)
  queue.push(event(4))
  assert.equal(queue.dropped(), 1)
})

test('leaving the loop unsubscribes', async () => {
  const { queue } = setUp(undefined, 3)
  let left = 0
  const events = queue.iterate(() => {
    left += 1
  })
  await events.return?.()
  assert.equal(left, 1)
})

test('a subscription with a listener cannot be read by a loop as well', () => {
  const { queue } = setUp(() => undefined)
  assert.throws(
    () => queue.iterate(() => undefined),
    (error) => isParleyError(error, 'MSG001'),
  )
})

test('nothing comes after the end, and what waited is dropped', async () => {
  const { heard, open, listener } = byHand()
  const { queue, seen } = setUp(listener)
  for (const n of [1, 2]) queue.push(event(n))
  queue.close()
  open[0]?.resolve()
  await turn()
  queue.push(event(3))
  queue.missed({ publisher: 'p', word: 'a', epoch: 1, from: 1, to: 2, reason: 'gap' })
  assert.deepEqual([heard, seen.missed], [[1], []])
})

test('a long queue keeps its order through thousands of events', async () => {
  const heard: unknown[] = []
  const { queue } = setUp(async ({ data }) => {
    heard.push(data)
  }, 10_000)
  for (let n = 0; n < 5000; n += 1) queue.push(event(n))
  await turn()
  assert.deepEqual(heard, [...Array(5000).keys()])
})
