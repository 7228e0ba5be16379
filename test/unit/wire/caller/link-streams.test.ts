import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { frame, KIND } from '../../../../protocols/wire/frames/frame.ts'
import { createDemo, demo } from '../../../support/demo-protocol.ts'
import { callByHand, outCall, serveByHand } from '../../../support/link-hand.ts'
import { createPair, kinds, LIMITS, parleyErrorOf, settle } from '../../../support/links.ts'
import { frameOf } from '../../../support/proto-oracle.ts'

const WINDOW = LIMITS.streamWindow
const encoder = new TextEncoder()

const allOf = async (stream: AsyncIterable<unknown>): Promise<unknown[]> => {
  const items: unknown[] = []
  for await (const item of stream) items.push(item)
  return items
}

/** A producer whose reader is played by hand. */
const countByHand = async (credit: number, input: { items: number; bytes?: number }) => {
  const serving = await serveByHand()
  const payload = encoder.encode(JSON.stringify(input))
  serving.hand.send(frameOf({ exchange: 1, method: 'count', payload, credit }))
  await settle(serving.time)
  return serving
}

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
    const { time, hand, caller } = await callByHand()
    const stream = caller.stream(outCall('count', new Uint8Array(0), 10_000))
    const first = stream.next()
    await assert.rejects(stream.next(), TypeError)
    await settle(time)
    hand.send(frame(KIND.item, 1, encoder.encode('a')))
    assert.deepEqual((await time.settled(first, 1)).value, encoder.encode('a'))
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
    const { time, hand, caller } = await callByHand()
    const stream = caller.stream(outCall('count', new Uint8Array(0), 10_000))
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
    const { time, hand, streamsEnded, responder } = await countByHand(1, { items: 100 })
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
