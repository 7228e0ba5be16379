import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { createCaller } from '../../../protocols/wire/caller.ts'
import { frame, KIND } from '../../../protocols/wire/frame.ts'
import { unitsOf } from '../../../protocols/wire/link.ts'
import { createDemo, demo } from '../../support/demo-protocol.ts'
import {
  createEnd,
  createPair,
  HELLO,
  kinds,
  LIMITS,
  parleyErrorOf,
  playByHand,
  serve,
  settle,
} from '../../support/links.ts'
import { frameOf } from '../../support/proto-oracle.ts'
import { createVirtualTime } from '../../support/virtual-time.ts'

const WINDOW = LIMITS.streamWindow
const encoder = new TextEncoder()
const outCall = (timeoutMs = 10_000) => ({
  label: 'demo.count',
  method: 'count',
  payload: new Uint8Array(0),
  content: 0,
  priority: 0,
  timeoutMs,
})

const allOf = async (stream: AsyncIterable<unknown>): Promise<unknown[]> => {
  const items: unknown[] = []
  for await (const item of stream) items.push(item)
  return items
}

/** A reader whose peer is played by hand. */
const readFromHand = async (limits = LIMITS) => {
  const time = createVirtualTime()
  const { hand, other } = playByHand()
  const end = createEnd(time, limits)
  const caller = createCaller(other, end.deps, { version: '1.0.0', onClose() {} })
  hand.send(frameOf({ kind: KIND.hello, hello: HELLO }))
  await settle(time)
  return { time, hand, end, caller }
}

/** A producer whose reader is played by hand. */
const serveHand = async (credit: number, input: { items: number; bytes?: number }) => {
  const time = createVirtualTime()
  const produced = createDemo()
  const { hand, other } = playByHand()
  const serving = serve(other, demo, produced.handlers, { time })
  hand.send(
    frameOf({ kind: KIND.hello, hello: HELLO }),
    frameOf({ exchange: 1, method: 'count', payload: encoder.encode(JSON.stringify(input)), credit }),
  )
  await settle(time)
  return { time, hand, ...produced, ...serving }
}

describe('unitsOf', () => {
  it('is one for an item, and one for each started 4 KiB of it', () => {
    assert.deepEqual([0, 1, 4096, 4097, 8192, 8193].map(unitsOf), [1, 1, 1, 2, 2, 3])
  })
})

describe('a stream', () => {
  it('brings all items in order and ends', async () => {
    const { handlers, streamsEnded } = createDemo()
    const pair = createPair(demo, handlers)
    const items = await allOf(pair.stream('count', { items: 500 }))
    assert.deepEqual(
      items,
      Array.from({ length: 500 }, (_, i) => `${i}`),
    )
    assert.deepEqual([pair.caller.inFlight(), pair.responder.active(), streamsEnded()], [0, 0, 1])
    assert.deepEqual(pair.finished, ['count ok'])
  })

  it('without an item just ends', async () => {
    const pair = createPair(demo, createDemo().handlers)
    assert.deepEqual(await allOf(pair.stream('count', { items: 0 })), [])
  })

  it('brings items larger than a frame, in their order, however large the others are', async () => {
    const pair = createPair(demo, {
      ...createDemo().handlers,
      async *count() {
        for (const size of [10, 50_000, 10, 100_000, 10]) yield 'x'.repeat(size)
      },
    })
    const items = await allOf(pair.stream('count', { items: 0 }))
    assert.deepEqual(
      items.map((item) => String(item).length),
      [10, 50_000, 10, 100_000, 10],
    )
  })

  it('does not begin before its first item is asked for', async () => {
    const { contexts, handlers } = createDemo()
    const pair = createPair(demo, handlers)
    const stream = pair.caller.stream(pair.outCall('count', { items: 3 }))
    await settle(pair.time)
    assert.deepEqual([kinds(pair.toResponder), contexts.length], [[], 0])
    await stream.next()
    assert.equal(contexts.length, 1)
    await stream.return?.()
  })

  it('shares the link with others: a call is answered while a stream stands still', async () => {
    const pair = createPair(demo, createDemo().handlers)
    const stream = pair.stream('count', { items: 1000 })
    await stream.next()
    await settle(pair.time)
    assert.equal(await pair.unary('echo', 7), 7)
    await stream.return?.()
  })

  it('ends with the error of its deadline after what had come, and cancels the producer', async () => {
    const { handlers, streamsEnded } = createDemo()
    const pair = createPair(demo, handlers)
    const stream = pair.caller.stream(pair.outCall('count', { items: 1000 }, { timeoutMs: 300 }))
    await stream.next()
    await pair.time.run(300)
    for (let i = 1; i < WINDOW; i += 1) assert.equal((await stream.next()).done, false)
    assert.equal((await parleyErrorOf(stream.next())).code, 'COM001')
    assert.deepEqual(await stream.next(), { value: undefined, done: true })
    assert.deepEqual([streamsEnded(), pair.responder.active()], [1, 0])
  })

  it('refuses a next() before the last one was answered, and goes on', async () => {
    const { time, hand, caller } = await readFromHand()
    const stream = caller.stream(outCall())
    const first = stream.next()
    await assert.rejects(stream.next(), TypeError)
    await settle(time)
    hand.send(frame(KIND.item, 1, encoder.encode('a')))
    assert.deepEqual((await time.settled(first, 1)).value, encoder.encode('a'))
  })
})

describe('the window of a stream', () => {
  it('lets the producer run as far ahead as it says, and no item further', async () => {
    const { handlers, produced } = createDemo()
    const pair = createPair(demo, handlers)
    const stream = pair.caller.stream(pair.outCall('count', { items: 1000 }))
    const first = stream.next()
    await settle(pair.time)
    assert.equal(produced(), WINDOW)
    assert.equal((await first).done, false)
    for (let read = 2; read <= 100; read += 1) {
      await stream.next()
      await settle(pair.time)
      assert.ok(produced() <= read + WINDOW, `${produced()} were produced when ${read} were read`)
    }
    assert.ok(produced() > 100, 'it does not stand still either')
    await stream.return?.()
  })

  it('counts large items by their size', async () => {
    const { handlers, produced } = createDemo()
    const pair = createPair(demo, handlers)
    // 4,096 letters and the quotes: two units each, so half as many.
    const stream = pair.caller.stream(pair.outCall('count', { items: 1000, bytes: 4096 }))
    const first = stream.next()
    await settle(pair.time)
    assert.equal(produced(), WINDOW / 2)
    await first
    await stream.return?.()
    const whole = createPair(demo, createDemo().handlers)
    // An item larger than the window still goes through, one at a time.
    const items = await allOf(whole.stream('count', { items: 5, bytes: 4096 * WINDOW * 2 }))
    assert.equal(items.length, 5)
  })

  it('stays as it is while nobody reads, for any time', async () => {
    const { handlers, produced } = createDemo()
    const pair = createPair(demo, handlers)
    const stream = pair.caller.stream(
      pair.outCall('count', { items: 1_000_000, bytes: 1000 }, { timeoutMs: 3_600_000 }),
    )
    await stream.next()
    await pair.time.run(600_000)
    assert.ok(produced() <= WINDOW + 1)
    assert.ok(pair.toCaller.length <= WINDOW + 2)
    await stream.return?.()
  })

  it('is granted again in halves, so that a grant does not follow each item', async () => {
    const pair = createPair(demo, createDemo().handlers)
    await allOf(pair.stream('count', { items: 80 }))
    const grants = pair.toResponder.filter((each) => each.kind === KIND.credit)
    assert.ok(grants.length >= 80 / WINDOW && grants.length <= 80 / (WINDOW / 2), `${grants.length} grants`)
    assert.ok(grants.every((grant) => grant.credit >= WINDOW / 2))
  })

  it('works at its smallest', async () => {
    const { handlers, produced } = createDemo()
    const pair = createPair(demo, handlers, { limits: { streamWindow: 1 } })
    const stream = pair.stream('count', { items: 20 })
    await stream.next()
    await settle(pair.time)
    assert.ok(produced() <= 2)
    assert.equal((await allOf(stream)).length, 19)
  })

  it('binds the producer: it sends what it has credit for and waits for more, without polling', async () => {
    const { time, hand, produced } = await serveHand(3, { items: 100 })
    assert.deepEqual(kinds(hand.received), ['item', 'item', 'item'])
    await time.run(9_000)
    assert.equal(hand.received.length, 4, 'hello and three items')
    hand.send(frameOf({ kind: KIND.credit, exchange: 1, credit: 2 }))
    await settle(time)
    assert.equal(kinds(hand.received).length, 5)
    assert.equal(produced(), 5)
  })

  it('binds the producer also when it went below zero with a large item', async () => {
    const { time, hand } = await serveHand(2, { items: 100, bytes: 4096 * 4 })
    assert.equal(kinds(hand.received).length, 2, 'one item, in two parts')
    hand.send(frameOf({ kind: KIND.credit, exchange: 1, credit: 3 }))
    await settle(time)
    assert.equal(kinds(hand.received).length, 2, '2 - 5 + 3 is nothing yet')
    hand.send(frameOf({ kind: KIND.credit, exchange: 1, credit: 1 }))
    await settle(time)
    assert.equal(kinds(hand.received).length, 4)
  })

  it('cannot be made so large that the counting goes wrong', async () => {
    const { time, hand, produced } = await serveHand(1, { items: 10 })
    for (let i = 0; i < 5; i += 1) hand.send(frameOf({ kind: KIND.credit, exchange: 1, credit: 2 ** 53 - 1 }))
    await settle(time)
    assert.equal(produced(), 10)
    assert.deepEqual(kinds(hand.received).at(-1), 'end')
  })

  it('is enforced by the reader: a peer that sends more is given up, and what waits stays bounded', async () => {
    const { time, hand, caller } = await readFromHand()
    const stream = caller.stream(outCall())
    const first = stream.next()
    await settle(time)
    for (let i = 0; i < WINDOW; i += 1) hand.send(frame(KIND.item, 1, encoder.encode('x')))
    await settle(time)
    assert.equal((await first).done, false)
    assert.equal(kinds(hand.received).includes('cancel'), false, 'the window may be used')
    hand.send(frame(KIND.item, 1, encoder.encode('x')))
    await settle(time)
    assert.ok(kinds(hand.received).includes('cancel'), 'and not one item more')
    for (let i = 0; i < 5000; i += 1) hand.send(frame(KIND.item, 1, encoder.encode('x')))
    await settle(time)
    let read = 0
    const error = await parleyErrorOf(
      (async () => {
        for (;;) {
          if ((await stream.next()).done) return
          read += 1
        }
      })(),
    )
    assert.equal(error.code, 'MSG003')
    assert.equal(read, WINDOW - 1, 'what came in the window is still read')
  })

  it('is kept whatever the sizes of the items and the pace of the reader', async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1, maxLength: 40 })
    await fc.assert(
      fc.asyncProperty(
        sizes,
        fc.integer({ min: 1, max: 12 }),
        fc.array(fc.boolean(), { minLength: 1 }),
        async (items, streamWindow, pauses) => {
          let ahead = 0
          let most = 0
          const pair = createPair(
            demo,
            {
              ...createDemo().handlers,
              async *count() {
                for (const size of items) {
                  most = Math.max(most, ahead)
                  ahead += unitsOf(size + 2)
                  yield 'x'.repeat(size)
                }
              },
            },
            { limits: { streamWindow } },
          )
          const got: number[] = []
          for await (const item of pair.stream('count', { items: 0 })) {
            got.push(String(item).length)
            ahead -= unitsOf(String(item).length + 2)
            if (pauses[got.length % pauses.length]) await settle(pair.time)
          }
          assert.deepEqual(got, items)
          // The first item after next() is counted as read only here, one step later.
          assert.ok(most < streamWindow + unitsOf(20_002), `${most} units ahead with a window of ${streamWindow}`)
        },
      ),
      { numRuns: 30 },
    )
  })
})

describe('a stream that the reader leaves', () => {
  it('is canceled at the peer, whose generator is ended', async () => {
    const { contexts, handlers, streamsEnded, produced } = createDemo()
    const pair = createPair(demo, handlers)
    for await (const _ of pair.stream('count', { items: 1_000_000 })) break
    await settle(pair.time)
    assert.equal(contexts[0]?.signal.aborted, true)
    assert.deepEqual([streamsEnded(), pair.responder.active(), pair.caller.inFlight()], [1, 0, 0])
    assert.ok(produced() <= WINDOW + 1)
    assert.equal(kinds(pair.toResponder).at(-1), 'cancel')
    assert.deepEqual(pair.finished, ['count canceled'])
  })

  it('answers a next() that waits, and every later one, with the end', async () => {
    const { time, hand, caller } = await readFromHand()
    const stream = caller.stream(outCall())
    const waiting = stream.next()
    await settle(time)
    await stream.return?.()
    const end = { value: undefined, done: true }
    assert.deepEqual([await waiting, await stream.next(), await stream.return?.()], [end, end, end])
    hand.send(frame(KIND.item, 1, encoder.encode('late')), frame(KIND.error, 1))
    await settle(time)
    assert.deepEqual(await stream.next(), end)
  })

  it('before it began is never opened', async () => {
    const pair = createPair(demo, createDemo().handlers)
    const stream = pair.caller.stream(pair.outCall('count', { items: 3 }))
    await stream.return?.()
    assert.equal((await stream.next()).done, true)
    await settle(pair.time)
    assert.deepEqual(kinds(pair.toResponder), [])
  })

  it("while it waits for a place on the link is never opened, and its deadline is nobody's error any more", async () => {
    const { held, handlers } = createDemo()
    const pair = createPair(demo, handlers, { limits: { maxInFlight: 1 } })
    const first = pair.unary('hold', 1, { timeoutMs: 60_000 })
    const stream = pair.caller.stream(pair.outCall('count', { items: 3 }, { timeoutMs: 100 }))
    const waiting = stream.next()
    await settle(pair.time)
    await stream.return?.()
    assert.equal((await waiting).done, true)
    assert.equal(pair.caller.waiting(), 0, 'it leaves the line at once')
    await pair.time.run(200)
    assert.equal((await stream.next()).done, true)
    held[0]?.answer(1)
    await first
    await settle(pair.time)
    assert.deepEqual(kinds(pair.toResponder), ['request'])
  })
})

describe('a producer', () => {
  it('that is canceled while it waits for credit is ended', async () => {
    const { time, hand, streamsEnded, responder } = await serveHand(1, { items: 100 })
    hand.send(frame(KIND.cancel, 1))
    await settle(time)
    assert.deepEqual([streamsEnded(), responder.active()], [1, 0])
    assert.deepEqual(kinds(hand.received), ['item'])
  })

  it('waits for room on the link as well as for credit', async () => {
    const { handlers, produced } = createDemo()
    const pair = createPair(demo, handlers, {
      limits: { streamWindow: 10_000, maxQueuedBytes: 100_000, maxMessageBytes: 65_536 },
    })
    const stream = pair.caller.stream(pair.outCall('count', { items: 1000, bytes: 10_000 }))
    pair.below.caller.pause()
    const first = stream.next()
    await settle(pair.time)
    assert.ok(pair.responder.queuedBytes() <= 100_000 + 10_100, `${pair.responder.queuedBytes()} bytes wait`)
    assert.ok(produced() < 40, `${produced()} items of 10 kB were made`)
    pair.below.caller.resume()
    await first
    await stream.return?.()
  })

  it('that is no async iterable is a failure of its agent', async () => {
    const pair = createPair(demo, { ...createDemo().handlers, count: () => 5 as never })
    assert.equal((await parleyErrorOf(pair.stream('count', { items: 1 }).next())).code, 'APP001')
  })
})
