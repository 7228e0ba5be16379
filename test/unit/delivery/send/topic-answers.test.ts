/** Answers of handlers: to the sender, to a third party, to a topic; they count with the rest of what the handler did. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DeliveryDeps } from '../../../../protocols/delivery/delivery.ts'
import { TOPIC_ANSWERS } from '../../../../protocols/delivery/store/delivery-rows.ts'
import { createVolatileRowStore } from '../../../../protocols/delivery/store/volatile-row-store.ts'
import { deliveryPair, keysOf, Note, Order, startDelivery } from '../../../support/delivery-pair.ts'

test('an answer goes to replyTo, or to the sender, with its correlation, and is as durable as the message', async () => {
  const { network, time, from, to } = await deliveryPair()
  const third = await startDelivery(network, 'c')
  network.connect(to.node, third.node)
  await to.messages.receive(Note, ({ n }, { reply }) => reply(Order, { n: n + 1 }))
  const got: unknown[] = []
  for (const [name, node] of Object.entries({ from, third }))
    await node.messages.receive(Order, ({ n }, { message }) => {
      const { correlationId, conversationId, guarantee, priority, source } = message
      got.push([name, n, correlationId, conversationId, guarantee, priority, source === to.id])
    })
  const guarantee = 'EXACTLY_ONCE'
  const one = await from.messages.send(to.id, Note, { n: 1 }, { guarantee, conversationId: 'c', priority: 'high' })
  await time.run(2_000)
  const other = await from.messages.send(to.id, Note, { n: 2 }, { replyTo: third.id })
  await time.run(2_000)
  assert.deepEqual(got, [
    ['from', 2, one.id, 'c', 'EXACTLY_ONCE', 'high', true],
    ['third', 3, other.id, undefined, 'AT_LEAST_ONCE', 'normal', true],
  ])
})

test('a name stands for its peer in send, in a transaction and in replyTo; one that nobody has is refused at the sender', async () => {
  const ids = new Map<unknown, string>()
  const peerOf = (given: unknown, where = 'messages.send()'): string =>
    ids.get(given) ??
    (typeof given === 'string' && [...ids.values()].includes(given)
      ? given
      : assert.fail(`${where}: nobody is called ${given}`))
  const { network, time, from, to } = await deliveryPair({ peerOf }, { peerOf })
  const third = await startDelivery(network, 'c')
  network.connect(to.node, third.node)
  for (const [name, { id }] of Object.entries({ from, to, third })) ids.set(name, id)
  await to.messages.receive(Note, async ({ n }, { reply, tx }) => {
    await reply(Order, { n })
    await tx.send('from', Order, { n: n + 10 })
  })
  const got: string[] = []
  for (const [name, node] of Object.entries({ from, third }))
    await node.messages.receive(
      Order,
      ({ n }, { message }) => void got.push(`${name} ${n} ${message.source === to.id}`),
    )
  await from.messages.send('to', Note, { n: 1 }, { replyTo: 'third' })
  await from.messages.change((tx) => tx.send('to', Note, { n: 2 }, { replyTo: 'from' }))
  await time.run(3_000)
  assert.deepEqual(got.toSorted(), ['from 11 true', 'from 12 true', 'from 2 true', 'third 1 true'])
  for (const send of [
    () => from.messages.send('to', Note, { n: 3 }, { replyTo: 'thrid' }),
    () => from.messages.change((tx) => tx.send('to', Note, { n: 3 }, { replyTo: 'thrid' })),
  ])
    await assert.rejects(send, /replyTo: nobody is called thrid/)
  await assert.rejects(from.messages.send('ot', Note, { n: 3 }), /messages.send\(\): nobody is called ot/)
  assert.equal(from.messages.figures().outbox, 0)
})

test('of a handler that fails after its answer there is none; a replyTo that is nobody fails the handler', async () => {
  const { time, from, to } = await deliveryPair()
  await to.messages.receive(Note, async ({ n }, { reply }) => {
    await reply(Order, { n })
    throw new Error('this handler fails at the end')
  })
  const got: number[] = []
  await from.messages.receive(Order, ({ n }) => void got.push(n))
  await from.messages.send(to.id, Note, { n: 1 }, { retry: { maxRetries: 0 } })
  await from.messages.send(to.id, Note, { n: 2 }, { retry: { maxRetries: 0 }, replyTo: 'no peer' })
  await time.run(5_000)
  assert.deepEqual(got, [])
  const codes = (await from.messages.deadLetters.list()).map(({ code }) => code)
  assert.deepEqual(codes.toSorted(), ['APP001', 'MSG001'])
})

test('on a topic it is an event once it counts, tried again until it is published, also after a restart', async () => {
  const published: unknown[] = []
  let isDown = true
  const publish: DeliveryDeps['publish'] = async ({ topic, correlationId, requester, value }) => {
    if (isDown) throw new Error('nothing is published now')
    published.push([topic, correlationId, requester, value])
  }
  const store = createVolatileRowStore('b'.repeat(32))
  const { network, time, from, to } = await deliveryPair({}, { publish, store })
  await to.messages.receive(Note, ({ n }, { reply }) => reply(Order, { n }))
  const replyTo = 'topic:orders.done'
  const { id } = await from.messages.send(to.id, Note, { n: 1 }, { replyTo, guarantee: 'EXACTLY_ONCE' })
  await time.run(3_000)
  const kept = async (): Promise<number> => (await keysOf(store, TOPIC_ANSWERS)).length
  assert.deepEqual([published, await kept(), to.messages.figures().outbox], [[], 1, 1])
  to.node.kill()
  isDown = false
  const again = await startDelivery(network, 'b', { publish, store })
  await time.run(2_000)
  assert.deepEqual(published, [['orders.done', id, from.id, { n: 1 }]])
  assert.deepEqual(
    [await kept(), again.messages.figures().outbox, again.messages.figures().counts.topicAnswers],
    [0, 0, 1],
  )
})
