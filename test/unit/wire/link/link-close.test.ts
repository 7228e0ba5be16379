import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { createCaller } from '../../../../protocols/wire/caller/caller.ts'
import { type Duplex, type DuplexListeners, duplexPair } from '../../../../protocols/wire/duplex.ts'
import { KIND } from '../../../../protocols/wire/frames/frame.ts'
import { createConcurrencyLimiter } from '../../../../protocols/wire/responder/concurrency-limiter.ts'
import { createDemo, demo } from '../../../support/demo-protocol.ts'
import { callByHand, hello, outCall, playByHand } from '../../../support/link-hand.ts'
import { createEnd, createPair, kinds, LIMITS, parleyErrorOf, serve, settle } from '../../../support/links.ts'
import { frameOf } from '../../../support/proto-oracle.ts'

describe('a caller that closes', () => {
  it('lets what is open end first, also what waits for a place, and refuses new calls', async () => {
    const { held, handlers } = createDemo()
    const pair = createPair(demo, handlers, { limits: { maxInFlight: 1 } })
    const answers = [pair.unary('hold', 1), pair.unary('hold', 2)]
    await settle(pair.time)
    let closed = false
    const closing = pair.caller.close(5000).then(() => {
      closed = true
    })
    const refused = await parleyErrorOf(pair.unary('echo', 1))
    assert.deepEqual([refused.code, refused.details.sent], ['COM002', false])
    await pair.time.run(100)
    assert.equal(closed, false)
    held[0]?.answer('a')
    await settle(pair.time)
    assert.equal(closed, false)
    held[1]?.answer('b')
    assert.deepEqual(await Promise.all(answers), ['a', 'b'])
    await settle(pair.time)
    await closing
    assert.equal(pair.responder.closed(), true)
  })

  it('waits no longer than it was told, and fails what is still open', async () => {
    const { handlers } = createDemo()
    const pair = createPair(demo, handlers)
    const answer = parleyErrorOf(pair.unary('hold', 1, { timeoutMs: 60_000 }))
    await settle(pair.time)
    const closing = pair.caller.close(300)
    await pair.time.run(299)
    assert.equal(pair.caller.inFlight(), 1)
    await pair.time.run(1)
    await closing
    await settle(pair.time)
    assert.deepEqual([(await answer).code, (await answer).details.sent], ['COM002', true])
  })

  it('closes at once when nothing is open, and may be told so twice', async () => {
    const pair = createPair(demo, createDemo().handlers)
    await pair.unary('echo', 1)
    await pair.time.settled(Promise.all([pair.caller.close(5000), pair.caller.close(5000)]), 0)
    await settle(pair.time)
    assert.deepEqual([pair.caller.closed(), pair.responder.closed()], [true, true])
    await pair.caller.close(5000)
  })

  it('ends all who wait for the close when the last call ends', async () => {
    const { held, handlers } = createDemo()
    const pair = createPair(demo, handlers)
    const answer = pair.unary('hold', 1)
    await settle(pair.time)
    const closings = Promise.all([pair.caller.close(60_000), pair.caller.close(60_000)])
    held[0]?.answer(1)
    await answer
    await pair.time.settled(closings, 1)
  })

  it('hands down what is still queued', async () => {
    const { notes, handlers } = createDemo()
    const pair = createPair(demo, handlers, { limits: { maxMessageBytes: 1_000_000, maxQueuedBytes: 2_000_000 } })
    await pair.unary('echo', 0)
    pair.below.responder.pause()
    const sent = pair.oneWay('note', 'x'.repeat(500_000), { timeoutMs: 60_000 })
    await settle(pair.time)
    assert.ok(pair.caller.queuedBytes() > 0)
    const closing = pair.caller.close(5000)
    await pair.time.run(1000)
    pair.below.responder.resume()
    await pair.time.settled(closing, 10)
    await sent
    await settle(pair.time)
    assert.equal(notes.length, 1)
  })
})

describe('a caller whose peer goes away', () => {
  it('fails what the peer did not take on as not sent, waits for the rest, and takes no more', async () => {
    const { hand, caller, time } = await callByHand({ limits: { maxInFlight: 3 } })
    const [first, second, third, waiting] = [1, 2, 3, 4].map(() => caller.unary(outCall('echo')))
    await settle(time)
    hand.send(frameOf({ kind: KIND.goaway, exchange: 1 }))
    for (const untaken of [second, third, waiting]) {
      const error = await parleyErrorOf(untaken ?? assert.fail())
      assert.deepEqual([error.code, error.details.sent], ['COM002', false])
    }
    assert.deepEqual([caller.closed(), caller.inFlight(), caller.waiting()], [true, 1, 0])
    const refused = await parleyErrorOf(caller.unary(outCall('echo')))
    assert.deepEqual([refused.code, refused.details.sent], ['COM002', false])
    hand.send(frameOf({ kind: KIND.response, exchange: 1, payload: new TextEncoder().encode('7') }))
    assert.deepEqual(await first, new TextEncoder().encode('7'))
  })

  it('may believe it twice, and a peer that took everything on changes nothing but that', async () => {
    const { hand, caller, time } = await callByHand()
    const answer = caller.unary(outCall('echo'))
    await settle(time)
    hand.send(frameOf({ kind: KIND.goaway, exchange: 9 }), frameOf({ kind: KIND.goaway, exchange: 9 }))
    await settle(time)
    assert.deepEqual([caller.closed(), caller.inFlight()], [true, 1])
    hand.send(frameOf({ kind: KIND.response, exchange: 1 }))
    assert.equal((await answer).length, 0)
  })
})

describe('a responder that closes', () => {
  it('lets what it has in work end, refuses new requests as not handled, and then closes', async () => {
    const { held, handlers } = createDemo()
    const pair = createPair(demo, handlers, { slots: createConcurrencyLimiter(1, 10) })
    const answers = [pair.unary('hold', 1), pair.unary('hold', 2)]
    await settle(pair.time)
    const closing = pair.responder.close(5000)
    const refused = await parleyErrorOf(pair.unary('echo', 1))
    assert.deepEqual([refused.code, refused.details.sent, refused.remote], ['COM002', false, true])
    held[0]?.answer('a')
    await settle(pair.time)
    held[1]?.answer('b')
    assert.deepEqual(await Promise.all(answers), ['a', 'b'])
    await pair.time.settled(closing, 1)
    await settle(pair.time)
    assert.equal(pair.caller.closed(), true)
  })

  it('tells those that did not end in time, and aborts their handlers', async () => {
    const { held, handlers, streamsEnded } = createDemo()
    const pair = createPair(demo, handlers)
    const unary = parleyErrorOf(pair.unary('hold', 1, { timeoutMs: 60_000 }))
    const stream = pair.caller.stream(pair.outCall('count', { items: 100 }))
    await stream.next()
    await settle(pair.time)
    const closing = pair.responder.close(300)
    await pair.time.settled(closing, 300)
    await settle(pair.time)
    const error = await unary
    assert.deepEqual([error.code, error.details.sent, error.remote], ['COM002', true, true])
    for (let i = 1; i < LIMITS.streamWindow; i += 1) await stream.next()
    assert.equal((await parleyErrorOf(stream.next())).remote, true)
    assert.equal(held[0]?.context.signal.aborted, true)
    assert.equal(streamsEnded(), 1)
  })

  it('says behind its last answer which request was the last that it took on', async () => {
    const { held, handlers } = createDemo()
    const pair = createPair(demo, handlers)
    const answers = [pair.unary('echo', 1), pair.unary('hold', 2)]
    await settle(pair.time)
    const closing = pair.responder.close(5000)
    const refused = await parleyErrorOf(pair.unary('echo', 3))
    assert.deepEqual([refused.code, refused.details.sent], ['COM002', false])
    held[0]?.answer('b')
    await pair.time.settled(closing, 1)
    // It is on its way while the responder closes, and is never read there.
    const late = await parleyErrorOf(pair.unary('echo', 4))
    assert.deepEqual([late.code, late.details.sent], ['COM002', false])
    assert.deepEqual(await Promise.all(answers), [1, 'b'])
    assert.deepEqual(kinds(pair.toCaller).at(-1), 'goaway')
    assert.equal(pair.toCaller.at(-1)?.exchange, 3)
  })

  it('does not answer a one-way message that did not end in time', async () => {
    const pair = createPair(demo, { ...createDemo().handlers, note: () => new Promise(() => {}) })
    await pair.oneWay('note', 1)
    await settle(pair.time)
    const closing = pair.responder.close(100)
    await pair.time.settled(closing, 100)
    assert.deepEqual(kinds(pair.toCaller), ['goaway'])
  })

  it('sends its last answers before it closes, on a stream that takes nothing after its close', async () => {
    const time = createVirtualTime()
    const { handlers, held } = createDemo()
    const [left, right] = duplexPair(queueMicrotask)
    // As a libp2p stream does: it is closed the moment it is told so, and says so at once.
    let open = true
    let on: DuplexListeners | undefined
    const abrupt: Duplex = {
      ...right,
      send: (bytes) => (open ? right.send(bytes) : undefined),
      listen(listeners) {
        on = listeners
        right.listen(listeners)
      },
      close() {
        if (!open) return
        open = false
        right.close()
        on?.close()
      },
    }
    const { responder } = serve(abrupt, demo, handlers, { time })
    const caller = createCaller(left, createEnd(time, LIMITS).deps, { version: '1.0.0', peer: 'bob', onClose() {} })
    const call = {
      label: 'demo.hold',
      method: 'hold',
      payload: new Uint8Array(0),
      content: 0,
      priority: 0,
      timeoutMs: 60_000,
    }
    const answers = [parleyErrorOf(caller.unary(call)), parleyErrorOf(caller.unary(call))]
    await settle(time)
    assert.equal(held.length, 2)
    const closing = responder.close(50)
    await time.run(50)
    await closing
    for (const error of await Promise.all(answers)) assert.deepEqual([error.code, error.remote], ['COM002', true])
  })

  it('waits for answers that the caller has not taken yet, and no longer than it was told', async () => {
    for (const takes of [true, false]) {
      const time = createVirtualTime()
      const { hand, other } = playByHand()
      const { responder } = serve(other, demo, createDemo().handlers, { time, limits: { maxQueuedBytes: 1_000_000 } })
      hand.send(hello)
      await settle(time)
      hand.duplex.pause()
      const payload = new TextEncoder().encode(JSON.stringify('x'.repeat(200_000)))
      for (let at = 0; at < payload.length; at += 16_384) {
        hand.send(
          frameOf({
            exchange: 1,
            method: at === 0 ? 'echo' : '',
            payload: payload.slice(at, at + 16_384),
            more: at + 16_384 < payload.length,
          }),
        )
      }
      await settle(time)
      assert.ok(responder.queuedBytes() > 0)
      assert.equal(responder.active(), 0)
      const closing = responder.close(400)
      await time.run(399)
      if (takes) hand.duplex.resume()
      await time.settled(closing, 1)
      await settle(time)
      const received = hand.received
        .filter((each) => each.exchange === 1)
        .reduce((sum, each) => sum + each.payload.length, 0)
      assert.equal(received === payload.length, takes)
      assert.notEqual(hand.closed(), takes ? undefined : null)
    }
  })

  it('closes at once when it is idle', async () => {
    const pair = createPair(demo, createDemo().handlers)
    await pair.unary('echo', 1)
    await pair.time.settled(pair.responder.close(60_000), 0)
    await settle(pair.time)
    assert.equal(pair.caller.closed(), true)
  })
})
