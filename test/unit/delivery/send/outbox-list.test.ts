/** What the outbox holds, for people: whom it is for, since when, why. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAX_OUTBOX_PAGE, waitsFor } from '../../../../protocols/delivery/send/outbox-list.ts'
import { deliveryPair, Note, Order } from '../../../support/delivery-pair.ts'

test('why a message waits follows from its peer first, then from its own attempts', () => {
  const up = { state: 'up', breaker: 'closed' } as const
  assert.deepEqual(
    [
      waitsFor({ state: 'refused', breaker: 'open' }, 'paused'),
      waitsFor({ state: 'idle', breaker: 'open' }, 'queued'),
      waitsFor(up, 'paused'),
      waitsFor({ state: 'idle', breaker: 'closed' }, 'paused'),
      waitsFor({ state: 'greeting', breaker: 'closed' }, 'sent'),
      waitsFor(up, 'queued'),
      waitsFor(up, 'sent'),
    ],
    ['refused', 'left-alone', 'retry', 'retry', 'not-connected', 'queued', 'sent'],
  )
})

test('what waits for an absent peer and for nobody is listed, a page at a time, until it was processed', async () => {
  const { network, from, to } = await deliveryPair()
  const { messages } = from
  network.disconnect(from.node, to.node)
  await messages.send({ capability: 'books' }, Order, { n: 0 })
  await messages.send(to.id, Note, { n: 1 }, { conversationId: 'c' })
  await messages.send(to.id, Note, { n: 2 }, { conversationId: 'c' })
  const all = await messages.outbox()
  assert.deepEqual(
    all.map(({ type, destination, waitsFor: why, attempts }) => [type, destination, why, attempts]),
    [
      ['order', 'capability:books', 'no-taker', 0],
      ['note', to.id, 'not-connected', 0],
      ['note', to.id, 'not-connected', 0],
    ],
  )
  const [first] = await messages.outbox({ limit: 1 })
  assert.equal(first?.key, all[0]?.key)
  const behind = await messages.outbox({ limit: 2, after: all[0]?.key ?? '' })
  assert.deepEqual(
    behind.map(({ key }) => key),
    all.slice(1).map(({ key }) => key),
  )
  assert.deepEqual(await messages.outbox({ after: all[2]?.key ?? '' }), [])
  assert.equal((await messages.outbox({ limit: MAX_OUTBOX_PAGE + 1 })).length, 3, 'a page has a bound')

  const got: number[] = []
  await to.messages.receive(Note, ({ n }) => void got.push(n))
  network.connect(from.node, to.node)
  await network.time.run(20_000)
  assert.deepEqual(got, [1, 2])
  assert.deepEqual(
    (await messages.outbox()).map(({ type }) => type),
    ['order'],
  )
})

test('a message that failed at its peer says with what', async () => {
  const { network, from, to } = await deliveryPair({
    settings: { retry: { maxRetries: 5, initialDelayMs: 60_000, maxDelayMs: 60_000 } },
  })
  await to.messages.receive(Note, () => {
    throw new Error('out of paper')
  })
  await from.messages.send(to.id, Note, { n: 1 })
  await network.time.run(5_000)
  const [entry] = await from.messages.outbox()
  assert.deepEqual([entry?.waitsFor, entry?.attempts, entry?.code], ['retry', 1, 'APP001'])
})
