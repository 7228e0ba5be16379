/** The inbox: what it takes, what it refuses, how a program works it off. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { InboxItem, InboxNextOptions } from '../../../../protocols/delivery/inbox/inbox-api.ts'
import { isParleyError } from '../../../../protocols/errors.ts'
import { type DeliveryNode, deliveryPair, Note, Order, startDelivery } from '../../../support/delivery-pair.ts'
import { failureOf } from '../../../support/until.ts'

const numberOf = ({ message }: InboxItem): unknown => (message.data as { n: number }).n

const send = async (from: DeliveryNode, to: DeliveryNode, count: number, fill = '', first = 0) => {
  const receipts = []
  for (let n = first; n < first + count; n += 1)
    receipts.push(
      await from.messages.send(to.id, Note, { n, fill }, { conversationId: 'c', guarantee: 'EXACTLY_ONCE' }),
    )
  return receipts
}

test('a message without a handler lies in an inbox that is open, once, in order, and counts as delivered', async () => {
  const { time, from, to } = await deliveryPair()
  await to.messages.inbox.open()
  const receipts = await send(from, to, 5)
  await time.settled(Promise.all(receipts.map((receipt) => receipt.delivered())), 1_000)
  const entries = await to.messages.inbox.list()
  assert.deepEqual(
    entries.map(({ messageId, type, source }) => [messageId, type, source]),
    receipts.map(({ id }) => [id, 'note', from.id]),
  )
  assert.equal(to.messages.figures().inbox, 5)
  assert.equal(to.node.metric('delivery_inbox_messages'), 5)
  assert.equal(
    to.node.metric('delivery_inbox_bytes'),
    entries.reduce((sum, { bytes }) => sum + bytes, 0),
  )
})

test('a handler comes before the inbox', async () => {
  const { time, from, to } = await deliveryPair()
  const handled: number[] = []
  await to.messages.inbox.open()
  const { stop } = await to.messages.receive(Note, ({ n }) => void handled.push(n))
  await send(from, to, 1)
  await time.run(100)
  stop()
  await send(from, to, 1, '', 1)
  await time.run(100)
  assert.deepEqual([handled, (await to.messages.inbox.list()).length], [[0], 1])
})

test('an inbox takes the types that were named, and is closed by what open() gave', async () => {
  const { time, from, to } = await deliveryPair()
  const once = { retry: { maxRetries: 0 } }
  const { stop } = await to.messages.inbox.open({ types: ['order'] })
  await from.messages.send(to.id, Order, { n: 1 })
  const other = await from.messages.send(to.id, Note, { n: 2 }, once)
  const error = await time.settled(failureOf(other.delivered()), 5_000)
  assert.ok(isParleyError(error))
  assert.equal(error.details.code, 'MSG004')
  assert.deepEqual(to.messages.inbox.types(), ['order'])
  stop()
  stop()
  const late = await from.messages.send(to.id, Order, { n: 3 }, once)
  assert.ok(isParleyError(await time.settled(failureOf(late.delivered()), 5_000)))
  assert.equal(to.messages.inbox.size(), 1)
})

test('the directory tells of types that were named, once, until nobody here takes them', async () => {
  const { to } = await deliveryPair()
  const { inbox } = to.messages
  const { stop: one } = await inbox.open({ types: [Order, 'note'] })
  const { stop: two } = await inbox.open({ types: ['order'] })
  const { stop: three } = await to.messages.receive(Order, () => {})
  const { stop: all } = await inbox.open()
  assert.deepEqual(to.told, ['+order@2.1.0', '+note@1.0.0'])
  one()
  two()
  all()
  assert.deepEqual(to.told.slice(2), ['-note@1.0.0'])
  three()
  assert.deepEqual(to.told.slice(3), ['-order@2.1.0'])
})

test('a full inbox takes nothing more, and what it did not take stays with its sender until there is room', async () => {
  const { time, from, to } = await deliveryPair({}, { settings: { inboxMessages: 3 } })
  const { inbox } = to.messages
  await inbox.open()
  await send(from, to, 3)
  await time.run(100)
  assert.equal(to.messages.figures().counts.inboxFull, undefined)
  const [receipt] = await send(from, to, 1, '', 3)
  await time.run(60_000)
  // Far more often than its attempts.
  assert.ok((to.messages.figures().counts.inboxFull ?? 0) > 10)
  assert.deepEqual([inbox.size(), from.messages.figures().outbox, from.messages.figures().deadLetters], [3, 1, 0])
  await (await inbox.next()).done()
  await time.settled(receipt?.delivered() ?? assert.fail(), 5_000)
  const items = [await inbox.next(), await inbox.next(), await inbox.next()]
  assert.deepEqual(items.map(numberOf), [1, 2, 3])
})

test('an inbox is bounded by bytes too; a message that is larger than all of it may lie there alone', async () => {
  const probe = await deliveryPair()
  await probe.to.messages.inbox.open()
  const fill = 'x'.repeat(1_000)
  await send(probe.from, probe.to, 1, fill)
  await probe.time.run(100)
  const one = probe.to.messages.inbox.bytes()

  for (const [inboxBytes, fits] of [
    [3 * one, 3],
    [3 * one - 1, 2],
  ] as const) {
    const { time, from, to } = await deliveryPair({}, { settings: { inboxBytes } })
    await to.messages.inbox.open()
    await send(from, to, 4, fill)
    await time.run(1_000)
    assert.deepEqual([to.messages.inbox.size(), to.messages.inbox.bytes()], [fits, fits * one], `${inboxBytes}`)
  }
  const { time, from, to } = await deliveryPair({}, { settings: { inboxBytes: 1_024 } })
  await to.messages.inbox.open()
  await send(from, to, 2, 'x'.repeat(5_000))
  await time.run(1_000)
  assert.equal(to.messages.inbox.size(), 1)
})

test('who asks for the next message waits for one of that type, until the signal is aborted', async () => {
  const { time, from, to } = await deliveryPair()
  const { inbox } = to.messages
  await inbox.open()
  const abort = new AbortController()
  const never = inbox.next({ type: 'never', signal: abort.signal })
  const order = inbox.next({ type: 'order' })
  const any = inbox.next()
  await send(from, to, 2)
  assert.equal(numberOf(await time.settled(any, 1_000)), 0)
  await from.messages.send(to.id, Order, { n: 7 })
  const item = await time.settled(order, 1_000)
  assert.deepEqual([item.type, item.message.version, numberOf(item)], ['order', '2.1.0', 7])
  const reason = new Error('enough')
  abort.abort(reason)
  assert.equal(await failureOf(never), reason)
  assert.equal(await failureOf(inbox.next({ signal: AbortSignal.abort(reason) })), reason)
  assert.equal(numberOf(await inbox.next()), 1)
})

test('a message is handed to one of those who ask, and again once it is released; done twice is harmless', async () => {
  const { time, from, to } = await deliveryPair()
  const { inbox } = to.messages
  await inbox.open()
  await send(from, to, 2)
  await time.run(100)
  const [first, second] = [await inbox.next(), await inbox.next()]
  assert.deepEqual([numberOf(first), numberOf(second)], [0, 1])
  const waiting = inbox.next()
  first.release()
  const again = await waiting
  assert.equal(again.id, first.id)
  first.release()
  await again.done()
  await again.done()
  await first.done()
  await second.done()
  assert.equal(inbox.size(), 0)
})

test('a loop over the inbox takes what comes; what it leaves undone is there for the next one', async () => {
  const { time, from, to } = await deliveryPair()
  const { inbox } = to.messages
  await inbox.open()
  await send(from, to, 4)
  const seen: unknown[] = []
  const work = async (options: InboxNextOptions, most: number): Promise<void> => {
    let count = 0
    for await (const item of inbox.items(options)) {
      seen.push(numberOf(item))
      count += 1
      if (count === most) break
      if (count % 2 === 1) await item.done()
    }
  }
  await time.settled(work({}, 4), 1_000)
  assert.deepEqual([seen, inbox.size()], [[0, 1, 2, 3], 2])
  seen.length = 0
  await time.settled(work({}, 2), 1_000)
  assert.deepEqual(seen, [1, 3])

  const loop = work({ type: 'order' }, 100)
  await time.run(10)
  await to.messages.stop()
  await loop
  const error = await failureOf(inbox.next())
  assert.ok(isParleyError(error, 'COM002'))
})

test('1000 may wait for a message and not one more', async () => {
  const { to } = await deliveryPair()
  const { inbox } = to.messages
  await inbox.open()
  const waiting = Array.from({ length: 1_000 }, () => inbox.next())
  assert.ok(isParleyError(await failureOf(inbox.next()), 'COM003'))
  await to.messages.stop()
  for (const one of waiting) assert.ok(isParleyError(await failureOf(one), 'COM002'))
})

test('entries are listed by page and filter, read, removed and cleared', async () => {
  const { time, from, to } = await deliveryPair()
  const { inbox } = to.messages
  await inbox.open()
  await send(from, to, 3)
  await from.messages.send(to.id, Order, { n: 9 })
  await time.run(100)
  const all = await inbox.list()
  const [first, second, third] = all.filter(({ type }) => type === 'note')
  if (first === undefined || second === undefined || third === undefined) return assert.fail()
  assert.equal(all.length, 4)
  assert.deepEqual(await inbox.list({ type: 'note', limit: 1, after: first.id }), [second])
  assert.deepEqual(await inbox.list({ type: 'note', after: second.id }), [third])
  assert.deepEqual((await inbox.list({ conversationId: 'c' })).length, 3)
  assert.deepEqual(await inbox.list({ source: to.id }), [])
  const item = await inbox.read(second.id)
  assert.deepEqual(
    [item.message.data, item.message.source, item.message.id],
    [{ n: 1, fill: '' }, from.id, second.messageId],
  )
  await inbox.remove(second.id)
  for (const gone of [inbox.read(second.id), inbox.remove(second.id)])
    assert.ok(isParleyError(await failureOf(gone), 'STA001'))
  assert.deepEqual([await inbox.clear(), await inbox.clear(), inbox.size(), inbox.bytes()], [3, 0, 0, 0])
})

test('listeners are told once a message is kept, and one that throws does no harm', async () => {
  const { time, from, to } = await deliveryPair()
  const heard: string[] = []
  await to.messages.inbox.open()
  to.messages.inbox.onMessage(() => {
    throw new Error('a listener of a test')
  })
  const { stop } = to.messages.inbox.onMessage(({ messageId }) => heard.push(messageId))
  const [receipt] = await send(from, to, 1)
  await time.settled(receipt?.delivered() ?? assert.fail(), 1_000)
  stop()
  await send(from, to, 1)
  await time.run(100)
  assert.deepEqual([heard, to.messages.inbox.size()], [[receipt?.id], 2])
})

test('a message AT_MOST_ONCE is taken too', async () => {
  const { time, from, to } = await deliveryPair()
  await to.messages.inbox.open({ types: [Note] })
  await from.messages.send(to.id, Note, { n: 1 }, { guarantee: 'AT_MOST_ONCE' })
  await time.run(100)
  assert.deepEqual(
    (await to.messages.inbox.list()).map(({ guarantee }) => guarantee),
    ['AT_MOST_ONCE'],
  )
})

test('what lies in the inbox is there after a restart, and was not processed for anybody else', async () => {
  const { network, time, from, to } = await deliveryPair()
  await to.messages.inbox.open()
  await send(from, to, 2)
  await time.run(100)
  const before = await to.messages.inbox.list()
  to.node.kill()
  const again = await startDelivery(network, 'b', { store: to.store })
  network.connect(from.node, again.node)
  assert.deepEqual(await again.messages.inbox.list(), before)
  await again.messages.inbox.clear()
  await again.messages.inbox.open()
  await send(from, again, 1, '', 2)
  await time.run(2_000)
  const [fresh] = await again.messages.inbox.list()
  assert.ok(fresh !== undefined && fresh.id > (before.at(-1)?.id ?? ''), 'ids go on')
})

test('an inbox for all does not take what a handler of before the restart may take yet; one that names the type does', async () => {
  const { network, time, from, to } = await deliveryPair()
  await to.messages.receive(Note, () => {})
  await to.messages.receive(Order, () => {})
  to.node.kill()
  const again = await startDelivery(network, 'b', { store: to.store })
  network.connect(from.node, again.node)
  await again.messages.inbox.open()
  await again.messages.inbox.open({ types: ['order'] })
  await from.messages.send(to.id, Note, { n: 1 })
  await from.messages.send(to.id, Order, { n: 2 })
  await time.run(3_000)
  assert.deepEqual(
    (await again.messages.inbox.list()).map(({ type }) => type),
    ['order'],
  )
  const handled: number[] = []
  await again.messages.receive(Note, ({ n }) => void handled.push(n))
  await time.run(5_000)
  assert.deepEqual(handled, [1])
})

test('a node that keeps nothing has no inbox, and types are checked', async () => {
  const { to } = await deliveryPair({}, { isVolatile: true })
  assert.ok(isParleyError(await failureOf(to.messages.inbox.open()), 'STA003'))
  const { from } = await deliveryPair()
  assert.ok(isParleyError(await failureOf(from.messages.inbox.open({ types: ['Not A Type'] })), 'MSG001'))
  const types = Array.from({ length: 64 }, (_, n) => `type-${n}`)
  await from.messages.inbox.open({ types })
  await from.messages.inbox.open({ types })
  assert.ok(isParleyError(await failureOf(from.messages.inbox.open({ types: ['one-more'] })), 'COM003'))
  assert.equal(from.messages.inbox.types().length, 64)
})
