import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createCaller } from '../../../protocols/wire/caller.ts'
import { duplexPair } from '../../../protocols/wire/duplex.ts'
import { frame, KIND } from '../../../protocols/wire/frame.ts'
import { createSlots } from '../../../protocols/wire/slots.ts'
import { createDemo, demo } from '../../support/demo-protocol.ts'
import {
  createEnd,
  createPair,
  errorOf,
  HELLO,
  kinds,
  LIMITS,
  type Pair,
  parleyErrorOf,
  playByHand,
  serve,
  settle,
} from '../../support/links.ts'
import { frameOf } from '../../support/proto-oracle.ts'
import { createVirtualTime } from '../../support/virtual-time.ts'

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
    hand.send(
      frameOf({ kind: KIND.hello, hello: HELLO }),
      frameOf({ exchange: 1, method: 'hold', payload: encoder.encode('1'), timeoutMs: 250 }),
    )
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
    hand.send(frameOf({ kind: KIND.hello, hello: HELLO }), frameOf({ exchange: 1, method: 'hold' }))
    await settle(time)
    assert.equal(held[0]?.context.remainingMs(), 1000)
  })

  it('that passes while the request waits for its turn keeps the handler from running at all', async () => {
    const time = createVirtualTime()
    const { held, notes, contexts, handlers } = createDemo()
    const { hand, other } = playByHand()
    const { end, finished } = serve(other, demo, handlers, { time, slots: createSlots(1, 10) })
    hand.send(
      frameOf({ kind: KIND.hello, hello: HELLO }),
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
      const { end } = serve(other, demo, handlers, { time, slots: createSlots(1, 10) })
      hand.send(
        frameOf({ kind: KIND.hello, hello: HELLO }),
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
    const pair = createPair(demo, handlers, { slots: createSlots(1, 10) })
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
      frameOf({ kind: KIND.hello, hello: HELLO }),
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

describe('a late reply', () => {
  it('is quarantined and counted, and never given to another call', async () => {
    const time = createVirtualTime()
    const { hand, other } = playByHand()
    const end = createEnd(time, LIMITS)
    const caller = createCaller(other, end.deps, { version: '1.0.0', onClose() {} })
    hand.send(frameOf({ kind: KIND.hello, hello: HELLO }))
    const call = (label: string) => ({
      label,
      method: 'm',
      payload: new Uint8Array(0),
      content: 0,
      priority: 0,
      timeoutMs: 100,
    })
    const first = parleyErrorOf(caller.unary(call('demo.first')))
    await time.run(100)
    assert.equal((await first).code, 'COM001')
    const second = caller.unary({ ...call('demo.second'), timeoutMs: 1000 })
    await settle(time)
    hand.send(frame(KIND.response, 1, encoder.encode('late')))
    await time.run(5)
    assert.equal(caller.inFlight(), 1, 'the second still waits for its own answer')
    assert.equal(end.counts.lateReplies, 1)
    assert.deepEqual(
      caller.late().map(({ atMs: _, ...rest }) => rest),
      [{ exchange: 1, label: 'demo.first', kind: KIND.response, bytes: 4 }],
    )
    hand.send(frame(KIND.response, 2, encoder.encode('own')))
    assert.deepEqual(await time.settled(second, 1), encoder.encode('own'))
    hand.send(frame(KIND.response, 2, encoder.encode('again')))
    await settle(time)
    assert.equal(end.counts.lateReplies, 2)
    assert.deepEqual(caller.late()[1]?.label, 'unknown')
  })

  it('is remembered for the last 32, and counted for all', async () => {
    const time = createVirtualTime()
    const { hand, other } = playByHand()
    const end = createEnd(time, LIMITS)
    const caller = createCaller(other, end.deps, { version: '1.0.0', onClose() {} })
    hand.send(frameOf({ kind: KIND.hello, hello: HELLO }))
    const call = { label: 'demo.m', method: 'm', payload: new Uint8Array(0), content: 0, priority: 0, timeoutMs: 10 }
    const answers = Array.from({ length: 1000 }, () => errorOf(caller.unary(call)))
    await time.run(10)
    await Promise.all(answers)
    for (let exchange = 1; exchange <= 1000; exchange += 1) hand.send(frame(KIND.response, exchange))
    await settle(time)
    assert.equal(end.counts.lateReplies, 1000)
    assert.deepEqual(
      caller.late().map((each) => each.exchange),
      Array.from({ length: 32 }, (_, i) => 969 + i),
    )
  })

  it('of which only the first part came takes no room for ever', async () => {
    const time = createVirtualTime()
    const { hand, other } = playByHand()
    const caller = createCaller(other, createEnd(time, { ...LIMITS, maxInFlight: 5000 }).deps, {
      version: '1.0.0',
      onClose() {},
    })
    hand.send(frameOf({ kind: KIND.hello, hello: HELLO }))
    const call = { label: 'demo.m', method: 'm', payload: new Uint8Array(0), content: 0, priority: 0, timeoutMs: 10 }
    for (let round = 0; round < 2; round += 1) {
      const answers = Array.from({ length: 4000 }, () => errorOf(caller.unary(call)))
      await settle(time)
      for (let i = 1; i <= 4000; i += 1) {
        hand.send({ ...frame(KIND.response, round * 4000 + i, encoder.encode('a')), more: true })
      }
      await time.run(10)
      await Promise.all(answers)
    }
    const last = caller.unary(call)
    await settle(time)
    hand.send(
      { ...frame(KIND.response, 8001, encoder.encode('a')), more: true },
      frame(KIND.response, 8001, encoder.encode('b')),
    )
    assert.deepEqual(await time.settled(last, 1), encoder.encode('ab'))
  })

  it('is not what answers an exchange that was never opened: that is an unknown frame', async () => {
    const time = createVirtualTime()
    const { hand, other } = playByHand()
    const end = createEnd(time, LIMITS)
    const caller = createCaller(other, end.deps, { version: '1.0.0', onClose() {} })
    hand.send(frameOf({ kind: KIND.hello, hello: HELLO }), frame(KIND.response, 0), frame(KIND.response, 7))
    await settle(time)
    assert.deepEqual([end.counts.lateReplies, end.counts.unknownFrames, caller.late().length], [0, 2, 0])
    assert.equal(caller.closed(), false)
  })
})

describe('a duplex in memory', () => {
  it('delivers in order, also what came before anyone listened, and tells both ends of the close', async () => {
    const [left, right] = duplexPair(queueMicrotask)
    const heard: number[] = []
    const events: string[] = []
    left.send(new Uint8Array([1]))
    left.send(new Uint8Array([2]))
    assert.equal(left.buffered(), 2)
    right.listen({ data: (bytes) => heard.push(...bytes), writable() {}, close: () => events.push('right') })
    left.listen({ data() {}, writable: () => events.push('writable'), close: () => events.push('left') })
    await settle(createVirtualTime())
    assert.deepEqual([heard, left.buffered()], [[1, 2], 0])
    right.pause()
    left.send(new Uint8Array([3]))
    await settle(createVirtualTime())
    assert.deepEqual(heard, [1, 2])
    right.resume()
    left.send(new Uint8Array([4]))
    left.close()
    await settle(createVirtualTime())
    assert.deepEqual(heard, [1, 2, 3, 4])
    left.send(new Uint8Array([5]))
    await settle(createVirtualTime())
    assert.deepEqual([heard.length, events.filter((each) => each !== 'writable').sort()], [4, ['left', 'right']])
    assert.ok(events.includes('writable'))
  })
})
