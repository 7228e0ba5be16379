/** The outbox as programs meet it: its bounds, who waits, in which order, and a peer that does not answer. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MessagesFeature } from '../../../../protocols/delivery/api.ts'
import { isParleyError } from '../../../../protocols/errors.ts'
import { deliveryPair, Note } from '../../../support/delivery-pair.ts'

const inFlight = (messages: MessagesFeature) => messages.figures().inFlight

test('as many messages as it holds are kept at once, others wait and go in, in order, as there is room', async () => {
  const { time, from, to } = await deliveryPair({ settings: { outboxMessages: 3, roomTimeoutMs: 60_000 } })
  const got: number[] = []
  let most = 0
  await to.messages.receive(Note, ({ n }) => {
    got.push(n)
    most = Math.max(most, from.messages.figures().outbox)
  })
  const sends = Array.from({ length: 20 }, (_, n) => from.messages.send(to.id, Note, { n }, { conversationId: 'c' }))
  assert.equal(from.messages.figures().outbox, 3)
  const receipts = await time.settled(Promise.all(sends), 60_000)
  await time.settled(Promise.all(receipts.map((receipt) => receipt.delivered())), 60_000)
  assert.equal(most, 3, 'and never one more')
  assert.deepEqual(
    got,
    Array.from({ length: 20 }, (_, n) => n),
  )
  assert.equal(from.messages.figures().outbox, 0)
  assert.equal(from.messages.figures().outboxBytes, 0)
})

test('who waited too long for room gets COM003, and takes none', async () => {
  const { time, from } = await deliveryPair({ settings: { outboxMessages: 2, roomTimeoutMs: 1_000 } })
  const away = 'nobody'
  const sends = [1, 2, 3].map((n) => from.messages.send(away, Note, { n }))
  const ends = Promise.allSettled(sends)
  const [first, second, third] = await time.settled(ends, 5_000)
  assert.deepEqual([first?.status, second?.status, third?.status], ['fulfilled', 'fulfilled', 'rejected'])
  assert.ok(third?.status === 'rejected' && isParleyError(third.reason, 'COM003'))
  assert.equal(from.messages.figures().outbox, 2)
})

test('changes that send take room when they do, and give it back where they do not count', async () => {
  const { time, from } = await deliveryPair({ settings: { outboxMessages: 4, roomTimeoutMs: 500 } })
  const change = (isGood: boolean) =>
    from.messages.change(async (tx) => {
      await tx.send('nobody', Note, { n: 1 })
      await new Promise<void>((resolve) => time.after(100, resolve))
      await tx.send('nobody', Note, { n: 2 })
      if (!isGood) throw new Error('not this one')
    })
  const ends = await time.settled(Promise.allSettled([change(false), change(true)]), 5_000)
  assert.deepEqual(
    ends.map(({ status }) => status),
    ['rejected', 'fulfilled'],
  )
  assert.equal(from.messages.figures().outbox, 2)
  const more = await time.settled(Promise.allSettled([change(true), change(true)]), 5_000)
  assert.deepEqual(
    more.map(({ status }) => status).sort(),
    ['fulfilled', 'rejected'],
    'each has one of the two places, until one gives its place back',
  )
  assert.equal(from.messages.figures().outbox, 4)
})

test('a peer that gives no sign is left alone for a while, then probed with one message', async () => {
  const settings = { window: 10, ackTimeoutMs: 100, retry: { maxRetries: 100, initialDelayMs: 10, maxDelayMs: 10 } }
  const { time, from, to } = await deliveryPair({ settings: { ...settings, breaker: { failures: 3 } } })
  let isSilent = true
  let waiting: (() => void)[] = []
  await to.messages.receive(Note, async () => {
    if (isSilent) await new Promise<void>((resolve) => waiting.push(resolve))
  })
  for (let n = 0; n < 5; n += 1) await from.messages.send(to.id, Note, { n })
  const breaker = () => from.messages.figures().destinations[0]?.breaker
  await time.until(() => breaker() === 'open', 30_000)
  assert.equal(from.messages.figures().counts.breakerOpened, 1)
  isSilent = false
  for (const wake of waiting) wake()
  waiting = []
  await time.until(() => from.messages.figures().outbox === 0, 120_000)
  assert.equal(breaker(), 'closed')
  assert.equal(inFlight(from.messages), 0)
})
