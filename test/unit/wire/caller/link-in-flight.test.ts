import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createDemo, demo } from '../../../support/demo-protocol.ts'
import { createPair, kinds, parleyErrorOf, settle } from '../../../support/links.ts'

describe('calls in flight', () => {
  it('are as many as they may be; one more waits, and goes when one has ended', async () => {
    const { held, handlers } = createDemo()
    const pair = createPair(demo, handlers, { limits: { maxInFlight: 3 } })
    const answers = [1, 2, 3, 4, 5].map((n) => pair.unary('hold', n))
    await settle(pair.time)
    assert.deepEqual([pair.caller.inFlight(), pair.caller.waiting(), held.length], [3, 2, 3])
    held[1]?.answer('b')
    assert.equal(await answers[1], 'b')
    await settle(pair.time)
    assert.deepEqual([pair.caller.inFlight(), pair.caller.waiting(), held.length], [3, 1, 4])
    for (let i = 0; i < 5; i += 1) {
      held[i]?.answer(i)
      await settle(pair.time)
    }
    assert.deepEqual(await Promise.all(answers), [0, 'b', 2, 3, 4])
  })

  it('wait in a line of bounded length; one more is refused at once with the time to come back', async () => {
    const { held, handlers } = createDemo()
    const pair = createPair(demo, handlers, { limits: { maxInFlight: 1, maxQueuedCalls: 2 } })
    const answers = [1, 2, 3].map((n) => pair.unary('hold', n))
    const error = await parleyErrorOf(pair.unary('hold', 4))
    assert.deepEqual([error.code, error.details.retryAfterMs, error.remote], ['COM003', 100, false])
    assert.equal((await parleyErrorOf(pair.stream('count', { items: 1 }).next())).code, 'COM003')
    assert.equal((await parleyErrorOf(pair.oneWay('note', 1))).code, 'COM003')
    assert.equal(pair.callerEnd.counts.overloaded, 3)
    for (let i = 0; i < 3; i += 1) {
      await settle(pair.time)
      held[i]?.answer(i)
    }
    assert.deepEqual(await Promise.all(answers), [0, 1, 2])
  })

  it('leave the line in the order in which they came, streams and one-way messages too', async () => {
    const { held, notes, handlers } = createDemo()
    const pair = createPair(demo, handlers, { limits: { maxInFlight: 1 } })
    const order: string[] = []
    const first = pair.unary('hold', 1)
    const rest = [
      pair.oneWay('note', 'a').then(() => order.push('note')),
      pair
        .stream('count', { items: 1 })
        .next()
        .then(() => order.push('stream')),
    ]
    await settle(pair.time)
    assert.deepEqual([pair.caller.waiting(), notes.length], [2, 0])
    held[0]?.answer(1)
    await first
    await settle(pair.time)
    await Promise.all(rest)
    assert.deepEqual(order, ['note', 'stream'])
  })

  it('wait also when the outbox is full, and go when there is room', async () => {
    const pair = createPair(demo, createDemo().handlers, {
      limits: { maxQueuedBytes: 100_000, maxUnsentBytes: 65_536 },
    })
    await pair.unary('echo', 0)
    pair.below.responder.pause()
    const big = 'x'.repeat(250_000)
    const first = pair.unary('echo', big)
    await settle(pair.time)
    assert.ok(pair.caller.queuedBytes() > 100_000)
    const second = pair.unary('echo', 2)
    assert.deepEqual([pair.caller.inFlight(), pair.caller.waiting()], [1, 1])
    await settle(pair.time)
    assert.equal(pair.caller.waiting(), 1)
    pair.below.responder.resume()
    assert.deepEqual([await first, await second], [big, 2])
  })

  it('that give up while the outbox is full leave nothing behind', async () => {
    const pair = createPair(demo, createDemo().handlers, { limits: { maxQueuedBytes: 65_536 } })
    await pair.unary('echo', 0)
    pair.below.responder.pause()
    const big = 'x'.repeat(250_000)
    const blocker = pair.unary('echo', big, { timeoutMs: 100_000 })
    await settle(pair.time)
    const before = pair.caller.queuedBytes()
    for (let round = 0; round < 20; round += 1) {
      const waiting = Array.from({ length: 20 }, () => parleyErrorOf(pair.unary('echo', 1, { timeoutMs: 10 })))
      await pair.time.run(10)
      for (const error of await Promise.all(waiting)) assert.equal(error.code, 'COM001')
    }
    assert.deepEqual([pair.caller.waiting(), pair.caller.queuedBytes()], [0, before])
    pair.below.responder.resume()
    assert.equal(await blocker, big)
    assert.equal(await pair.unary('echo', 2), 2)
    assert.equal(kinds(pair.toResponder).includes('cancel'), false, 'the peer never heard of them')
  })
})
