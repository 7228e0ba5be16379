import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { KIND } from '../../../../protocols/wire/frames/frame.ts'
import { createConcurrencyLimiter } from '../../../../protocols/wire/responder/concurrency-limiter.ts'
import { createDemo, demo } from '../../../support/demo-protocol.ts'
import { hello, playByHand } from '../../../support/link-hand.ts'
import { createPair, kinds, type Pair, parleyErrorOf, serve, settle } from '../../../support/links.ts'
import { frameOf } from '../../../support/proto-oracle.ts'

const encoder = new TextEncoder()

/** The responder stops reading, as a peer does whose event loop stands still. */
const freeze = (pair: Pair): void => pair.below.responder.pause()
const thaw = (pair: Pair): void => pair.below.responder.resume()

describe('a deadline', () => {
  it("ends the call with COM001, cancels it at the peer, and aborts the handler's signal", async () => {
    const { held, handlers } = createDemo()
    const pair = createPair(demo, handlers)
    const answer = parleyErrorOf(pair.unary('hold', 1, { timeoutMs: 300 }))
    await pair.time.run(299)
    assert.equal(pair.caller.inFlight(), 1)
    assert.equal(held[0]?.context.signal.aborted, false)
    await pair.time.run(1)
    const error = await pair.time.settled(answer, 0)
    assert.deepEqual([error.code, error.details.timeoutMs, error.remote], ['COM001', 300, false])
    assert.match(error.message, /demo\.hold/)
    assert.deepEqual(kinds(pair.toResponder), ['request', 'cancel'])
    assert.equal(held[0]?.context.signal.aborted, true)
    assert.equal(pair.caller.inFlight(), 0)
  })

  it('travels as the time that remains, less what was spent waiting for the link', async () => {
    const { contexts, handlers } = createDemo()
    const pair = createPair(demo, handlers, { limits: { maxUnsentBytes: 65_536, maxQueuedBytes: 300_000 } })
    await pair.unary('echo', 0)
    freeze(pair)
    const blocker = pair.oneWay('note', 'x'.repeat(200_000))
    await settle(pair.time)
    const answer = pair.unary('echo', 1, { timeoutMs: 1000 })
    await pair.time.run(400)
    thaw(pair)
    assert.equal(await pair.time.settled(answer, 1), 1)
    await blocker
    const request = pair.toResponder.findLast((each) => each.method === 'echo')
    assert.equal(request?.timeoutMs, 600)
    assert.equal(contexts.at(-1)?.remainingMs(), 600)
  })

  it('is kept by the peer as well when the caller stands still: the handler is told and the answer is an error', async () => {
    const time = createVirtualTime()
    const { held, handlers } = createDemo()
    const { hand, other } = playByHand()
    const { responder, finished } = serve(other, demo, handlers, { time })
    hand.send(hello, frameOf({ exchange: 1, method: 'hold', payload: encoder.encode('1'), timeoutMs: 250 }))
    await time.run(249)
    assert.deepEqual(kinds(hand.received), [])
    await time.run(1)
    assert.deepEqual(kinds(hand.received), ['error'])
    assert.equal(hand.received.at(-1)?.fault?.code, 'COM001')
    assert.equal(held[0]?.context.signal.aborted, true)
    assert.equal(held[0]?.context.remainingMs(), 0)
    assert.equal(responder.active(), 1, 'its slot stays taken until the handler returns')
    held[0]?.answer(5)
    await settle(time)
    assert.equal(responder.active(), 0)
    assert.deepEqual(kinds(hand.received), ['error'], 'and its answer is not sent any more')
    assert.deepEqual(finished, ['hold canceled'])
  })

  it("is the method's own where the caller sends none", async () => {
    const time = createVirtualTime()
    const { held, handlers } = createDemo()
    const { hand, other } = playByHand()
    serve(other, demo, handlers, { time })
    hand.send(hello, frameOf({ exchange: 1, method: 'hold' }))
    await settle(time)
    assert.equal(held[0]?.context.remainingMs(), 1000)
  })

  it('that passes while the request waits for its turn keeps the handler from running at all', async () => {
    const time = createVirtualTime()
    const { held, notes, contexts, handlers } = createDemo()
    const { hand, other } = playByHand()
    const { end, finished } = serve(other, demo, handlers, { time, slots: createConcurrencyLimiter(1, 10) })
    hand.send(
      hello,
      frameOf({ exchange: 1, method: 'hold', timeoutMs: 5000 }),
      frameOf({ exchange: 2, method: 'echo', timeoutMs: 100 }),
      frameOf({ kind: KIND.oneWay, exchange: 3, method: 'note', timeoutMs: 100 }),
      frameOf({ exchange: 4, method: 'echo', payload: encoder.encode('4'), timeoutMs: 101 }),
    )
    await time.run(100)
    held[0]?.answer(1)
    await settle(time)
    assert.deepEqual(
      hand.received.filter((each) => each.exchange > 0).map((each) => [each.exchange, each.fault?.code]),
      [
        [1, undefined],
        [2, 'COM001'],
        [4, undefined],
      ],
    )
    assert.deepEqual([notes.length, contexts.length], [0, 1])
    assert.equal(end.counts.expired, 2)
    assert.deepEqual(finished, ['hold ok', 'echo COM001', 'note COM001', 'echo ok'])
  })

  it('passes for a call that still waits for a place on the link, too', async () => {
    const { handlers } = createDemo()
    const pair = createPair(demo, handlers, { limits: { maxInFlight: 1 } })
    const first = parleyErrorOf(pair.unary('hold', 1, { timeoutMs: 5000 }))
    const second = parleyErrorOf(pair.unary('echo', 2, { timeoutMs: 100 }))
    await pair.time.run(100)
    const error = await pair.time.settled(second, 0)
    assert.equal(error.code, 'COM001')
    assert.deepEqual([pair.caller.inFlight(), pair.caller.waiting()], [1, 0])
    await pair.time.run(4900)
    assert.equal((await first).code, 'COM001')
    assert.deepEqual(kinds(pair.toResponder), ['request', 'cancel'], 'the second was never sent')
  })
})

describe('a ttl', () => {
  it('travels as what is left of it', async () => {
    const { contexts, handlers } = createDemo()
    const pair = createPair(demo, handlers)
    await pair.unary('echo', 1, { ttlMs: 500 })
    assert.equal(contexts[0]?.envelope.ttl, 500)
  })

  it('travels with a request of several parts as well', async () => {
    const { contexts, handlers } = createDemo()
    const pair = createPair(demo, handlers)
    await pair.unary('echo', 'x'.repeat(50_000), { ttlMs: 500 })
    assert.equal(contexts[0]?.envelope.ttl, 500)
  })

  it("that passes in the caller's queue drops the request, says MSG005, and counts", async () => {
    for (const size of [1, 50_000]) {
      const { contexts, handlers } = createDemo()
      const pair = createPair(demo, handlers, { limits: { maxQueuedBytes: 500_000 } })
      await pair.unary('echo', 0)
      freeze(pair)
      const blocker = pair.oneWay('note', 'y'.repeat(200_000), { timeoutMs: 60_000 })
      await settle(pair.time)
      const answer = parleyErrorOf(pair.unary('echo', 'x'.repeat(size), { ttlMs: 200, timeoutMs: 5000 }))
      await pair.time.run(200)
      thaw(pair)
      const error = await pair.time.settled(answer, 1)
      assert.deepEqual([error.code, error.remote], ['MSG005', false])
      await blocker
      await settle(pair.time)
      assert.equal(pair.callerEnd.counts.expired, 1)
      assert.equal(contexts.length, 2, 'echo once, note once')
      assert.equal(pair.caller.queuedBytes(), 0)
      assert.equal(await pair.unary('echo', 3), 3)
    }
  })

  it('that passes at the peer, before the handler ran, is MSG005 there and counts; a moment earlier it runs', async () => {
    for (const [waitMs, code] of [
      [199, undefined],
      [200, 'MSG005'],
    ] as const) {
      const time = createVirtualTime()
      const { held, handlers } = createDemo()
      const { hand, other } = playByHand()
      const { end } = serve(other, demo, handlers, { time, slots: createConcurrencyLimiter(1, 10) })
      hand.send(
        hello,
        frameOf({ exchange: 1, method: 'hold', timeoutMs: 5000 }),
        frameOf({ exchange: 2, method: 'echo', timeoutMs: 5000, ttlMs: 200 }),
      )
      await time.run(waitMs)
      held[0]?.answer(1)
      await settle(time)
      assert.equal(hand.received.find((each) => each.exchange === 2)?.fault?.code, code)
      assert.equal(end.counts.expired, code === undefined ? 0 : 1)
    }
  })
})
