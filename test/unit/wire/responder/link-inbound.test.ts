import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { type Frame, frame, KIND } from '../../../../protocols/wire/frames/frame.ts'
import { createConcurrencyLimiter } from '../../../../protocols/wire/responder/concurrency-limiter.ts'
import { createDemo, demo } from '../../../support/demo-protocol.ts'
import { hello, playByHand, serveByHand } from '../../../support/link-hand.ts'
import { kinds, LIMITS, serve, settle } from '../../../support/links.ts'
import { frameOf } from '../../../support/proto-oracle.ts'

const part = (exchange: number, bytes: number, more: boolean): Frame => ({
  ...frame(KIND.request, exchange, new Uint8Array(bytes)),
  method: 'echo',
  more,
})

const faults = (frames: Frame[]): (string | undefined)[] =>
  frames.filter((each) => each.kind === KIND.error).map((each) => each.fault?.code)

describe('requests of a peer', () => {
  it('run and wait as far as the node has slots; one more is refused with COM003', async () => {
    const { time, hand, held, end, finished } = await serveByHand({
      greets: false,
      slots: createConcurrencyLimiter(2, 3),
    })
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
    const { time, hand, held, responder } = await serveByHand({
      greets: false,
      slots: createConcurrencyLimiter(1, 1000),
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
    const { time, hand, held } = await serveByHand({ greets: false })
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
    const { time, hand, contexts } = await serveByHand({ greets: false })
    hand.send(hello)
    for (let exchange = 1; exchange <= 4000; exchange += 1) hand.send(part(exchange, 4000, true))
    await time.run(200)
    const taken = Math.floor((LIMITS.maxMessageBytes * 4) / 4000)
    assert.deepEqual(faults(hand.received), Array(4000 - taken).fill('COM003'))
    assert.equal(contexts.length, 0)
    hand.send(part(5, 4000, false))
    await settle(time)
    assert.equal(hand.received.filter((each) => each.exchange === 5).length, 1, 'what was taken can still end')
  })

  it('of which only tiny first parts come break the link off at last', async () => {
    const { time, hand, end } = await serveByHand({ greets: false })
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
    const { time, hand } = await serveByHand({ greets: false })
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
    const { time, hand, responder } = await serveByHand({ greets: false, limits: { maxQueuedBytes: 50_000 } })
    hand.send(hello)
    await settle(time)
    hand.duplex.pause()
    for (let exchange = 1; exchange <= 5000; exchange += 1) hand.send(frameOf({ exchange, method: 'nothing' }))
    await settle(time)
    assert.ok(responder.queuedBytes() < 60_000, `${responder.queuedBytes()} bytes wait`)
    hand.duplex.resume()
    await time.run(200)
    assert.equal(faults(hand.received).length, 5000)
  })
})
