/** What one peer may take of a node by its requests: deadlines, streams that it does not read, bytes over all its links. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { KIND, writeFrame } from '../../../../protocols/wire/frames/frame.ts'
import { ProtobufWriter } from '../../../../protocols/wire/frames/protobuf.ts'
import { createConcurrencyLimiter } from '../../../../protocols/wire/responder/concurrency-limiter.ts'
import { createDemo, demo } from '../../../support/demo-protocol.ts'
import { HELLO, hello, playByHand, serveByHand } from '../../../support/link-hand.ts'
import { LIMITS, serve, settle } from '../../../support/links.ts'
import { frameOf } from '../../../support/proto-oracle.ts'

const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))
const count = (exchange: number, credit = 1, timeoutMs = 0) =>
  frameOf({ exchange, method: 'count', payload: json({ items: 5 }), credit, timeoutMs })

describe('a deadline that a caller asks for', () => {
  it('is lowered to the ceiling of the node, whatever number it is', async () => {
    for (const timeoutMs of [600_001, 24 * 24 * 3_600_000, 2 ** 31, 2 ** 53 - 1]) {
      const { time, hand, held } = await serveByHand()
      hand.send(frameOf({ exchange: 1, method: 'hold', timeoutMs }))
      await settle(time)
      assert.equal(held[0]?.context.remainingMs(), 600_000)
      await time.run(600_020)
      assert.equal(hand.received.at(-1)?.fault?.code, 'COM001')
    }
  })

  it('is kept at the ceiling and below it', async () => {
    for (const timeoutMs of [1, 600_000]) {
      const { time, hand, held } = await serveByHand()
      hand.send(frameOf({ exchange: 1, method: 'hold', timeoutMs }))
      await settle(time)
      assert.equal(held[0]?.context.remainingMs(), timeoutMs)
    }
  })

  it('is kept where the method declares as much itself', async () => {
    const { time, hand, held } = await serveByHand({ limits: { maxCallMs: 500 } })
    hand.send(frameOf({ exchange: 1, method: 'hold', timeoutMs: 5_000 }))
    await settle(time)
    assert.equal(held[0]?.context.remainingMs(), 1_000, 'the method says 1,000')
  })

  it('is not put off further than the ceiling by one report of progress', async () => {
    const { time, hand, held } = await serveByHand()
    hand.send(frameOf({ exchange: 1, method: 'hold', timeoutMs: 1_000, extra: { extendMs: 2 ** 40 } }))
    await settle(time)
    held[0]?.context.progress(0.1)
    await settle(time)
    assert.equal(held[0]?.context.remainingMs(), 600_000)
  })
})

describe('streams that wait for their reader', () => {
  it('hold no slot: what others ask for runs, and they go on when they are read', async () => {
    const slots = createConcurrencyLimiter(3, 100)
    const { time, hand, streamsEnded } = await serveByHand({ slots })
    for (let exchange = 1; exchange <= 50; exchange += 1) hand.send(count(exchange))
    await settle(time)
    assert.deepEqual([slots.active(), slots.parked(), slots.queued()], [0, 50, 0])
    hand.send(frameOf({ exchange: 99, method: 'echo', payload: json('hello') }))
    await settle(time)
    assert.equal(hand.received.at(-1)?.kind, KIND.response)
    for (let exchange = 1; exchange <= 50; exchange += 1) {
      hand.send(frameOf({ kind: KIND.credit, exchange, credit: 10 }))
    }
    await settle(time)
    assert.equal(hand.received.filter(({ kind }) => kind === KIND.item).length, 250)
    assert.deepEqual([streamsEnded(), slots.active(), slots.parked()], [50, 0, 0])
  })

  it('are bounded in number: one more ends with COM003, and its handler is told', async () => {
    const slots = createConcurrencyLimiter(4, 100, { maxParked: 3 })
    const { time, hand, streamsEnded } = await serveByHand({ slots })
    for (let exchange = 1; exchange <= 4; exchange += 1) hand.send(count(exchange))
    await settle(time)
    assert.deepEqual(
      hand.received.flatMap(({ fault, exchange }) => (fault === undefined ? [] : [[exchange, fault.code]])),
      [[4, 'COM003']],
    )
    assert.deepEqual([slots.parked(), slots.active(), streamsEnded()], [3, 0, 1])
  })

  it('end when nobody reads them for long, and give back what they held', async () => {
    const slots = createConcurrencyLimiter(4, 100)
    const { time, hand, streamsEnded } = await serveByHand({ slots, limits: { streamIdleMs: 3_000 } })
    hand.send(count(1, 1, 10_000), count(2, 1, 10_000))
    await time.run(2_900)
    hand.send(frameOf({ kind: KIND.credit, exchange: 2, credit: 1 }))
    await time.run(200)
    assert.deepEqual(
      hand.received.flatMap(({ fault, exchange }) => (fault === undefined ? [] : [[exchange, fault.code]])),
      [[1, 'COM001']],
    )
    assert.match(hand.received.at(-1)?.fault?.message ?? '', /nobody took an item/)
    assert.deepEqual([streamsEnded(), slots.parked()], [1, 1])
    await time.run(3_000)
    assert.deepEqual([streamsEnded(), slots.parked(), slots.top(1)], [2, 0, []])
  })

  it('are let go with their link', async () => {
    const slots = createConcurrencyLimiter(4, 100)
    const { time, hand } = await serveByHand({ slots })
    for (let exchange = 1; exchange <= 9; exchange += 1) hand.send(count(exchange))
    await settle(time)
    assert.equal(slots.parked(), 9)
    hand.duplex.abort(new Error('gone'))
    await settle(time)
    assert.deepEqual([slots.active(), slots.parked(), slots.queued(), slots.top(1)], [0, 0, 0, []])
  })
})

describe('bytes of one peer', () => {
  it('that are not whole yet count over all its links, and go with each', async () => {
    const time = createVirtualTime()
    const slots = createConcurrencyLimiter(4, 100, { maxBytes: 1_000_000, maxPeerBytes: 50_000 })
    const links = [1, 2, 3].map(() => {
      const { hand, other } = playByHand()
      serve(other, demo, createDemo().handlers, { time, slots, limits: LIMITS })
      hand.send(hello)
      return hand
    })
    for (const hand of links) {
      hand.send({ ...frameOf({ exchange: 1, method: 'echo', payload: new Uint8Array(15_000) }), more: true })
      hand.send({ ...frameOf({ exchange: 2, method: 'echo', payload: new Uint8Array(5_000) }), more: true })
    }
    await settle(time)
    assert.deepEqual(
      links.map(({ received }) => received.filter(({ fault }) => fault?.code === 'COM003').length),
      [0, 0, 1],
    )
    for (const hand of links) hand.duplex.abort(new Error('gone'))
    await settle(time)
    assert.deepEqual(slots.top(1), [])
  })
})

describe('frames that ask for nothing', () => {
  it('are taken as far as there may be work for them; one more breaks the link off', async () => {
    for (const kind of [KIND.credit, KIND.cancel, KIND.progress, KIND.hello, 77]) {
      const { time, hand, end } = await serveByHand()
      for (let i = 0; i < 1_000; i += 1) hand.send(frameOf({ kind, exchange: 9, credit: 1 }))
      await settle(time)
      assert.equal(hand.closed(), undefined)
      hand.send(frameOf({ kind, exchange: 9, credit: 1 }))
      await settle(time)
      assert.notEqual(hand.closed(), undefined)
      assert.equal(end.counts.refusedFrames, 1)
    }
  })

  it('are as many as a reader of streams sends that grants each item by itself, for as long as it likes', async () => {
    const { time, hand } = await serveByHand()
    hand.send(frameOf({ exchange: 1, method: 'count', payload: json({ items: 5_000 }), credit: 1 }))
    for (let i = 1; i < 5_000; i += 1) {
      hand.send(frameOf({ kind: KIND.credit, exchange: 1, credit: 1 }))
      if (i % 500 === 0) await settle(time)
    }
    await settle(time)
    assert.equal(hand.closed(), undefined)
    assert.equal(hand.received.filter(({ kind }) => kind === KIND.item).length, 5_000)
  })

  it('end the link where a HELLO would be kept at its full length', async () => {
    for (const [bytes, isOpen] of [
      [64, true],
      [65, false],
    ] as const) {
      const { time, hand } = await serveByHand({ greets: false })
      hand.send(frameOf({ kind: KIND.hello, hello: { ...HELLO, session: new Uint8Array(bytes) } }))
      await settle(time)
      assert.equal(hand.closed() === undefined, isOpen)
    }
  })
})

describe('requests that are refused', () => {
  it('give others their turn after some, come to an end by themselves, and are all answered', async () => {
    const { time, hand } = await serveByHand()
    const writer = new ProtobufWriter()
    for (let exchange = 1; exchange <= 1_000; exchange += 1) {
      writeFrame(writer, frameOf({ exchange, method: 'nothing' }))
    }
    hand.sendBytes(writer.finish())
    await settle(time)
    assert.equal(hand.received.filter(({ fault }) => fault?.code === 'MSG004').length, 64)
    await time.run(40)
    assert.equal(hand.received.filter(({ fault }) => fault?.code === 'MSG004').length, 1_000)
    assert.equal(hand.closed(), undefined)
  })

  it('are slowed when they come in a flood, and cut off when that goes on without a reason', async () => {
    const { time, hand, end } = await serveByHand()
    const writer = new ProtobufWriter()
    for (let exchange = 1; exchange <= 60_000; exchange += 1) {
      writeFrame(writer, frameOf({ exchange, method: 'nothing' }))
    }
    hand.sendBytes(writer.finish())
    await time.run(600)
    const early = hand.received.length
    assert.ok(early >= 10_000 && early <= 16_000, `${early} in the first half second`)
    for (let i = 0; i < 100 && hand.closed() === undefined; i += 1) await time.run(500)
    assert.notEqual(hand.closed(), undefined)
    assert.equal(end.counts.refusedFrames, 1)
  })
})
