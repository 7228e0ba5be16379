import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type Frame, frame, KIND } from '../../../../protocols/wire/frames/frame.ts'
import { createDemo, demo } from '../../../support/demo-protocol.ts'
import { callByHand, HELLO, hello, serveByHand } from '../../../support/link-hand.ts'
import { createPair, kinds, LIMITS, parleyErrorOf, settle } from '../../../support/links.ts'
import { frameOf, ownFrame } from '../../../support/proto-oracle.ts'

const part = (exchange: number, bytes: number, more: boolean): Frame => ({
  ...frame(KIND.request, exchange, new Uint8Array(bytes)),
  method: 'echo',
  more,
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
    const serving = await serveByHand({ greets: false })
    serving.hand.send(frameOf({ exchange: 1, method: 'echo' }))
    const calling = await callByHand({ greets: false })
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
    const { time, hand } = await serveByHand({ greets: false })
    hand.send(frame(KIND.hello, 0))
    await settle(time)
    assert.notEqual(hand.closed(), undefined)
  })

  it('ignores a second HELLO', async () => {
    const { time, hand } = await serveByHand({ greets: false })
    hand.send(
      hello,
      frameOf({ kind: KIND.hello, hello: { ...HELLO, version: '9.9.9' } }),
      frameOf({ exchange: 1, method: 'echo' }),
    )
    await settle(time)
    assert.deepEqual(kinds(hand.received), ['response'])
  })

  it('ignores and counts kinds of frames that it does not know, and those of the other role', async () => {
    const serving = await serveByHand({ greets: false })
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

    const calling = await callByHand({ greets: false })
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
    const at = await serveByHand({ greets: false, limits: { maxFrameBytes: least } })
    at.hand.send(hello, part(1, 1000, false))
    await settle(at.time)
    assert.equal(at.hand.closed(), undefined)
    const above = await serveByHand({ greets: false, limits: { maxFrameBytes: least - 1 } })
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
          const serving = await serveByHand({ greets: false })
          const calling = await callByHand({ greets: false })
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
