import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { ParleyError } from '../../../protocols/errors.ts'
import { createCaller } from '../../../protocols/wire/caller.ts'
import { type Frame, frame, KIND } from '../../../protocols/wire/frame.ts'
import { createSlots } from '../../../protocols/wire/slots.ts'
import { createDemo, demo } from '../../support/demo-protocol.ts'
import {
  createEnd,
  createPair,
  HELLO,
  kinds,
  LIMITS,
  parleyErrorOf,
  playByHand,
  type ServeOptions,
  serve,
  settle,
} from '../../support/links.ts'
import { frameOf, ownFrame } from '../../support/proto-oracle.ts'
import { createVirtualTime } from '../../support/virtual-time.ts'

const hello = frameOf({ kind: KIND.hello, hello: HELLO })

const serveHand = (options: Omit<ServeOptions, 'time'> = {}) => {
  const time = createVirtualTime()
  const made = createDemo()
  const { hand, other } = playByHand()
  const serving = serve(other, demo, made.handlers, { time, ...options })
  return { time, hand, below: other, ...made, ...serving }
}

const callHand = () => {
  const time = createVirtualTime()
  const { hand, other } = playByHand()
  const end = createEnd(time, LIMITS)
  let closed: ParleyError | undefined
  const caller = createCaller(other, end.deps, {
    version: '1.0.0',
    onClose(error) {
      closed = error
    },
  })
  return { time, hand, end, caller, closed: () => closed }
}

const part = (exchange: number, bytes: number, more: boolean): Frame => ({
  ...frame(KIND.request, exchange, new Uint8Array(bytes)),
  method: 'echo',
  more,
})

const faults = (frames: Frame[]): (string | undefined)[] =>
  frames.filter((each) => each.kind === KIND.error).map((each) => each.fault?.code)

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

describe('requests of a peer', () => {
  it('run and wait as far as the node has slots; one more is refused with COM003', async () => {
    const { time, hand, held, end, finished } = serveHand({ slots: createSlots(2, 3) })
    hand.send(
      hello,
      ...Array.from({ length: 6 }, (_, i) => frameOf({ exchange: i + 1, method: 'hold', timeoutMs: 5000 })),
    )
    await settle(time)
    assert.equal(held.length, 2)
    assert.deepEqual(faults(hand.received), ['COM003'])
    assert.equal(hand.received.at(-1)?.exchange, 6)
    assert.equal(end.counts.overloaded, 1)
    assert.deepEqual(finished, ['refused COM003'])
    for (let i = 0; i < 5; i += 1) {
      held[i]?.answer(i)
      await settle(time)
    }
    assert.equal(kinds(hand.received).filter((each) => each === 'response').length, 5)
  })

  it('that wait for a slot hold a bounded number of bytes', async () => {
    const { time, hand, held, responder } = serveHand({
      slots: createSlots(1, 1000),
      limits: { maxQueuedBytes: 100_000 },
    })
    hand.send(hello, frameOf({ exchange: 1, method: 'hold', timeoutMs: 5000 }))
    const body = new TextEncoder().encode(JSON.stringify('x'.repeat(9_998)))
    for (let exchange = 2; exchange <= 20; exchange += 1) {
      hand.send(frameOf({ exchange, method: 'echo', payload: body, timeoutMs: 5000 }))
    }
    await settle(time)
    const refused = faults(hand.received)
    assert.deepEqual([...new Set(refused)], ['COM003'])
    assert.equal(refused.length, 19 - 11, 'ten fill the bound, the eleventh passes it, no other is taken')
    assert.equal(responder.active(), 12)
    held[0]?.answer(1)
    await settle(time)
    assert.equal(responder.active(), 0)
    hand.send(frameOf({ exchange: 30, method: 'echo', payload: body, timeoutMs: 5000 }))
    await settle(time)
    assert.equal(hand.received.at(-1)?.kind, KIND.response, 'the account is even again')
  })

  it('are refused when their number is open already, and the first one goes on', async () => {
    const { time, hand, held } = serveHand()
    const request = frameOf({ exchange: 1, method: 'hold', timeoutMs: 5000 })
    hand.send(hello, request, request)
    await settle(time)
    assert.equal(held.length, 1)
    assert.deepEqual(faults(hand.received), ['SEC003'])
    held[0]?.answer(1)
    await settle(time)
    assert.equal(kinds(hand.received).at(-1), 'response')
  })

  it('of which only first parts come are bounded in bytes', async () => {
    const { time, hand, contexts } = serveHand()
    hand.send(hello)
    for (let exchange = 1; exchange <= 4000; exchange += 1) hand.send(part(exchange, 4000, true))
    await settle(time)
    const taken = Math.floor((LIMITS.maxMessageBytes * 4) / 4000)
    assert.deepEqual(faults(hand.received), Array(4000 - taken).fill('COM003'))
    assert.equal(contexts.length, 0)
    hand.send(part(5, 4000, false))
    await settle(time)
    assert.equal(hand.received.filter((each) => each.exchange === 5).length, 1, 'what was taken can still end')
  })

  it('of which only tiny first parts come break the link off at last', async () => {
    const { time, hand, end } = serveHand()
    hand.send(hello)
    for (let exchange = 1; exchange <= 4096; exchange += 1) hand.send(part(exchange, 1, true))
    await settle(time)
    assert.equal(hand.closed(), undefined)
    hand.send(part(4097, 1, true))
    await settle(time)
    assert.notEqual(hand.closed(), undefined)
    assert.equal(end.counts.refusedFrames, 1)
  })

  it('that were left half way take their room with them when they are canceled', async () => {
    const { time, hand } = serveHand()
    hand.send(hello)
    for (let round = 1; round <= 50; round += 1) {
      for (let i = 0; i < 4; i += 1) hand.send(part(round * 4 + i, 60_000, true), part(round * 4 + i, 60_000, true))
      for (let i = 0; i < 4; i += 1) hand.send(frame(KIND.cancel, round * 4 + i))
      await settle(time)
    }
    assert.deepEqual(kinds(hand.received), [])
  })

  it('are not read any further while the answers are not taken, and then go on', async () => {
    const time = createVirtualTime()
    const made = createDemo()
    const { hand, other } = playByHand()
    const { end, responder } = serve(other, demo, made.handlers, { time, limits: { maxQueuedBytes: 100_000 } })
    hand.send(hello)
    await settle(time)
    hand.duplex.pause()
    const body = new TextEncoder().encode(JSON.stringify('x'.repeat(10_000)))
    for (let exchange = 1; exchange <= 200; exchange += 1) {
      hand.send(frameOf({ exchange, method: 'echo', payload: body, timeoutMs: 60_000 }))
      await settle(time)
    }
    assert.ok(responder.queuedBytes() < 200_000, `${responder.queuedBytes()} bytes of answers wait`)
    assert.ok(made.contexts.length < 40, `${made.contexts.length} of 200 were read`)
    hand.duplex.resume()
    await time.run(1000)
    assert.equal(kinds(hand.received).filter((each) => each === 'response').length, 200)
    assert.equal(end.counts.refusedFrames, 0)
  })

  it('that are refused by the thousand do not fill the outbox either', async () => {
    const { time, hand, responder } = serveHand({ limits: { maxQueuedBytes: 50_000 } })
    hand.send(hello)
    await settle(time)
    hand.duplex.pause()
    for (let exchange = 1; exchange <= 5000; exchange += 1) hand.send(frameOf({ exchange, method: 'nothing' }))
    await settle(time)
    assert.ok(responder.queuedBytes() < 60_000, `${responder.queuedBytes()} bytes wait`)
    hand.duplex.resume()
    await settle(time)
    assert.equal(faults(hand.received).length, 5000)
  })
})

describe('a link', () => {
  it('begins with HELLO on both sides, which says version, session, bound and encodings', async () => {
    const pair = createPair(demo, createDemo().handlers)
    await settle(pair.time)
    for (const frames of [pair.toResponder, pair.toCaller]) {
      assert.equal(frames[0]?.kind, KIND.hello)
      const { session, ...rest } = frames[0]?.hello ?? assert.fail('no hello')
      assert.equal(session.length, 8)
      assert.deepEqual(rest, {
        version: '1.2.0',
        encodings: [],
        maxMessageBytes: LIMITS.maxMessageBytes,
        startedAtMs: HELLO.startedAtMs,
      })
    }
  })

  it('is broken off when the first frame is anything else, and counted, on both sides', async () => {
    const serving = serveHand()
    serving.hand.send(frameOf({ exchange: 1, method: 'echo' }))
    const calling = callHand()
    const answer = parleyErrorOf(
      calling.caller.unary({
        label: 'x',
        method: 'echo',
        payload: new Uint8Array(0),
        content: 0,
        priority: 0,
        timeoutMs: 100,
      }),
    )
    calling.hand.send(frame(KIND.response, 1))
    await settle(serving.time)
    assert.notEqual(serving.hand.closed(), undefined)
    assert.notEqual(calling.hand.closed(), undefined)
    assert.deepEqual([serving.end.counts.refusedFrames, calling.end.counts.refusedFrames], [1, 1])
    assert.equal(serving.contexts.length, 0)
    assert.equal((await answer).code, 'COM002')
    assert.deepEqual(
      serving.end.logs.map(({ message }) => message),
      ['link broken off: the peer sent what this protocol does not allow'],
    )
  })

  it('is broken off when HELLO says nothing', async () => {
    const { time, hand } = serveHand()
    hand.send(frame(KIND.hello, 0))
    await settle(time)
    assert.notEqual(hand.closed(), undefined)
  })

  it('ignores a second HELLO', async () => {
    const { time, hand } = serveHand()
    hand.send(
      hello,
      frameOf({ kind: KIND.hello, hello: { ...HELLO, version: '9.9.9' } }),
      frameOf({ exchange: 1, method: 'echo' }),
    )
    await settle(time)
    assert.deepEqual(kinds(hand.received), ['response'])
  })

  it('ignores and counts kinds of frames that it does not know, and those of the other role', async () => {
    const serving = serveHand()
    serving.hand.send(
      hello,
      frameOf({ kind: 42, exchange: 1 }),
      frame(KIND.response, 1),
      frame(KIND.item, 2),
      frameOf({ exchange: 3, method: 'echo' }),
    )
    await settle(serving.time)
    assert.deepEqual(kinds(serving.hand.received), ['response'])
    assert.equal(serving.end.counts.unknownFrames, 3)

    const calling = callHand()
    calling.hand.send(hello)
    const answer = calling.caller.unary({
      label: 'x',
      method: 'echo',
      payload: new Uint8Array(0),
      content: 0,
      priority: 0,
      timeoutMs: 100,
    })
    await settle(calling.time)
    calling.hand.send(
      frameOf({ kind: 42, exchange: 1 }),
      frame(KIND.request, 1),
      frame(KIND.credit, 1),
      frameOf({ kind: 42, exchange: 9 }),
    )
    await settle(calling.time)
    assert.deepEqual(
      [calling.end.counts.unknownFrames, calling.end.counts.lateReplies, calling.caller.inFlight()],
      [4, 0, 1],
    )
    calling.hand.send(frame(KIND.response, 1))
    assert.equal((await calling.time.settled(answer, 1)).length, 0)
  })

  it('is broken off by a frame above the bound, and not by one at it', async () => {
    const least = ownFrame(part(1, 1000, true)).length - 2
    const at = serveHand({ limits: { maxFrameBytes: least } })
    at.hand.send(hello, part(1, 1000, false))
    await settle(at.time)
    assert.equal(at.hand.closed(), undefined)
    const above = serveHand({ limits: { maxFrameBytes: least - 1 } })
    above.hand.send(hello, part(1, 1000, true))
    await settle(above.time)
    assert.notEqual(above.hand.closed(), undefined)
    assert.equal(above.end.counts.refusedFrames, 1)
  })

  it('survives any garbage: it answers, ignores or breaks off, and nothing else happens', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 10 }),
        async (greets, chunks) => {
          const serving = serveHand()
          const calling = callHand()
          for (const { hand, time } of [serving, calling]) {
            if (greets) hand.send(hello)
            for (const chunk of chunks) hand.sendBytes(chunk)
            await settle(time)
          }
          if (calling.closed() === undefined) assert.equal(calling.caller.closed(), false)
          else assert.equal(calling.end.counts.refusedFrames, 1)
          assert.equal(serving.responder.closed(), serving.end.counts.refusedFrames === 1)
        },
      ),
      { numRuns: 200 },
    )
  })

  it('counts what travels', async () => {
    const pair = createPair(demo, createDemo().handlers)
    await pair.unary('echo', 'x'.repeat(20_000))
    const { callerEnd, responderEnd, toResponder, toCaller } = pair
    assert.deepEqual([toResponder.length, toCaller.length], [3, 3])
    assert.deepEqual([callerEnd.counts.framesOut, responderEnd.counts.framesIn], [3, 3])
    assert.deepEqual([responderEnd.counts.framesOut, callerEnd.counts.framesIn], [3, 3])
    assert.equal(callerEnd.counts.bytesOut, responderEnd.counts.bytesIn)
    assert.equal(responderEnd.counts.bytesOut, callerEnd.counts.bytesIn)
    assert.ok(callerEnd.counts.bytesOut > 20_000 && callerEnd.counts.bytesOut < 20_200)
  })

  it('lets an urgent call overtake a large one that still waits', async () => {
    const order: string[] = []
    const pair = createPair(demo, {
      ...createDemo().handlers,
      echo(input) {
        order.push(typeof input === 'string' ? 'large' : `${input}`)
        return 1
      },
    })
    await pair.unary('echo', 0)
    pair.below.responder.pause()
    const calls = [
      pair.unary('echo', 'x'.repeat(200_000)),
      pair.unary('echo', 1),
      pair.unary('echo', 2, { priority: 2 }),
    ]
    await settle(pair.time)
    const late = pair.unary('echo', 3, { priority: 3 })
    pair.below.responder.resume()
    await Promise.all([...calls, late])
    assert.deepEqual(order, ['0', '2', '3', 'large', '1'])
  })
})
