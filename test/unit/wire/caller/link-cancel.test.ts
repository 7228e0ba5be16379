import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { frame, KIND } from '../../../../protocols/wire/frames/frame.ts'
import { createConcurrencyLimiter } from '../../../../protocols/wire/responder/concurrency-limiter.ts'
import { createDemo, demo } from '../../../support/demo-protocol.ts'
import { hello, playByHand } from '../../../support/link-hand.ts'
import { createPair, errorOf, kinds, type Pair, serve, settle } from '../../../support/links.ts'
import { frameOf } from '../../../support/proto-oracle.ts'

/** The responder stops reading, as a peer does whose event loop stands still. */
const freeze = (pair: Pair): void => pair.below.responder.pause()
const thaw = (pair: Pair): void => pair.below.responder.resume()

describe("the caller's signal", () => {
  it('aborted before the call keeps it from being sent, whatever the kind', async () => {
    const pair = createPair(demo, createDemo().handlers)
    const reason = new Error('never mind')
    const signal = AbortSignal.abort(reason)
    assert.equal(await errorOf(pair.unary('echo', 1, { signal })), reason)
    assert.equal(await errorOf(pair.oneWay('note', 1, { signal })), reason)
    assert.equal(await errorOf(pair.stream('count', { items: 1 }, { signal }).next()), reason)
    await settle(pair.time)
    assert.deepEqual(kinds(pair.toResponder), [])
  })

  it("aborted during the call ends it with its reason, cancels it, and aborts the handler's signal", async () => {
    const { held, handlers } = createDemo()
    const pair = createPair(demo, handlers)
    const controller = new AbortController()
    const answer = errorOf(pair.unary('hold', 1, { signal: controller.signal }))
    await settle(pair.time)
    const reason = new Error('never mind')
    controller.abort(reason)
    assert.equal(await answer, reason)
    await settle(pair.time)
    assert.deepEqual(kinds(pair.toResponder), ['request', 'cancel'])
    assert.equal(held[0]?.context.signal.aborted, true)
    assert.equal(pair.caller.inFlight(), 0)
    held[0]?.answer(1)
    await settle(pair.time)
    assert.deepEqual(kinds(pair.toCaller), [], "the handler's answer is not sent any more")
    assert.deepEqual(pair.finished, ['hold canceled'])
  })

  it('aborted while the call waits for a place takes it out of the line', async () => {
    const { held, handlers } = createDemo()
    const pair = createPair(demo, handlers, { limits: { maxInFlight: 1 } })
    const first = pair.unary('hold', 1)
    const controller = new AbortController()
    const second = errorOf(pair.unary('hold', 2, { signal: controller.signal }))
    await settle(pair.time)
    controller.abort('enough')
    assert.equal(await second, 'enough')
    assert.equal(pair.caller.waiting(), 0)
    held[0]?.answer(0)
    await first
    assert.equal(held.length, 1)
  })

  it('is not listened to any more once the call has ended', async () => {
    const pair = createPair(demo, createDemo().handlers, { limits: { maxInFlight: 1 } })
    const signal = new AbortController().signal
    let listeners = 0
    const { addEventListener, removeEventListener } = signal
    signal.addEventListener = (...each: Parameters<typeof addEventListener>) => {
      listeners += 1
      addEventListener.apply(signal, each)
    }
    signal.removeEventListener = (...each: Parameters<typeof removeEventListener>) => {
      listeners -= 1
      removeEventListener.apply(signal, each)
    }
    await Promise.all([
      pair.unary('echo', 1, { signal }),
      pair.unary('echo', 2, { signal }),
      pair.oneWay('note', 1, { signal }),
    ])
    assert.equal(listeners, 0)
  })

  it('reaches a handler that looks at its own signal only after the call was canceled', async () => {
    const { held, handlers } = createDemo()
    const pair = createPair(demo, handlers)
    const answer = errorOf(pair.unary('hold', 1, { timeoutMs: 100 }))
    await pair.time.run(100)
    await answer
    const signal = held[0]?.context.signal
    assert.equal(signal?.aborted, true)
    assert.equal(signal?.reason instanceof Error, true)
  })
})

describe('a cancel', () => {
  it('of a request of low priority that was not sent yet keeps its handler from running', async () => {
    const { held, handlers } = createDemo()
    const pair = createPair(demo, handlers)
    const controller = new AbortController()
    const answer = errorOf(pair.unary('hold', 1, { signal: controller.signal, priority: 1 }))
    controller.abort('enough')
    await answer
    await settle(pair.time)
    assert.equal(held.length, 0)
    assert.equal(pair.responder.active(), 0)
  })

  it('in the middle of a large request leaves nothing of it behind at either end', async () => {
    const { contexts, handlers } = createDemo()
    const pair = createPair(demo, handlers)
    await pair.unary('echo', 0)
    freeze(pair)
    const controller = new AbortController()
    const answer = errorOf(pair.unary('echo', 'x'.repeat(200_000), { signal: controller.signal }))
    await settle(pair.time)
    const sentBefore = pair.toResponder.length
    assert.ok(pair.caller.queuedBytes() > 0, 'a part of it still waits')
    controller.abort('enough')
    await answer
    thaw(pair)
    await settle(pair.time)
    assert.deepEqual(kinds(pair.toResponder.slice(sentBefore)), ['cancel'])
    assert.deepEqual([pair.caller.queuedBytes(), pair.responder.active(), contexts.length], [0, 0, 1])
    assert.equal(await pair.unary('echo', 2), 2)
    assert.equal(pair.callerEnd.counts.lateReplies, 0)
  })

  it('of a request that waits for a slot takes nothing from those behind it', async () => {
    const { held, contexts, handlers } = createDemo()
    const pair = createPair(demo, handlers, { slots: createConcurrencyLimiter(1, 10) })
    const first = pair.unary('hold', 1)
    const controller = new AbortController()
    const second = errorOf(pair.unary('echo', 2, { signal: controller.signal }))
    const third = pair.unary('echo', 3)
    await settle(pair.time)
    controller.abort('enough')
    await second
    await settle(pair.time)
    held[0]?.answer(1)
    assert.deepEqual([await first, await third], [1, 3])
    assert.equal(contexts.length, 1)
    assert.deepEqual(pair.finished, ['hold ok', 'echo canceled', 'echo ok'])
  })

  it('of an exchange that is over, or never was, is ignored', async () => {
    const time = createVirtualTime()
    const { hand, other } = playByHand()
    const { end } = serve(other, demo, createDemo().handlers, { time })
    hand.send(
      hello,
      frame(KIND.cancel, 99),
      frameOf({ kind: KIND.credit, exchange: 98, credit: 5 }),
      frameOf({ exchange: 1, method: 'echo' }),
    )
    await settle(time)
    hand.send(frame(KIND.cancel, 1))
    await settle(time)
    assert.deepEqual(kinds(hand.received), ['response'])
    assert.equal(end.counts.refusedFrames, 0)
    assert.equal(hand.closed(), undefined)
  })
})
