/** Answers that the peer does not read. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { ParleyError } from '../../../../protocols/errors.ts'
import { createUnreadResponses, PAUSE_BYTES } from '../../../../protocols/wire/responder/unread-responses.ts'
import { createDemo, demo } from '../../../support/demo-protocol.ts'
import { createPair, errorOf, type PairOptions, parleyErrorOf, settle } from '../../../support/links.ts'

const MIB = 2 ** 20
const BIG = 'x'.repeat(200_000)
/** A peer whose small requests are answered with much, and that has stopped reading. */
const lazyPeer = async (options: PairOptions = {}, answer = BIG) => {
  const made = createDemo()
  const pair = createPair(demo, { ...made.handlers, echo: () => answer }, options)
  await pair.unary('echo', 0, { timeoutMs: 600_000 })
  pair.below.caller.pause()
  return { ...pair, ...made }
}

describe('a peer that does not read its answers', () => {
  it('has no more of its requests looked at than fill one outbox, in whatever chunk they came', async () => {
    const pair = await lazyPeer({ limits: { maxQueuedBytes: 100_000 } })
    const calls = Array.from({ length: 100 }, () => pair.unary('echo', 0, { timeoutMs: 600_000 }))
    await settle(pair.time)
    assert.ok(pair.responder.queuedBytes() <= 100_000 + 201_000, `${pair.responder.queuedBytes()} bytes wait`)
    pair.below.caller.resume()
    assert.deepEqual(new Set(await Promise.all(calls)), new Set([BIG]))
    assert.equal(pair.responder.queuedBytes(), 0)
  })

  it('gets, for what was at work by then, its share of bytes and for the rest an error', async () => {
    const unread = createUnreadResponses(10_000_000, 500_000)
    const pair = await lazyPeer({ unread })
    const calls = Array.from({ length: 10 }, (_, n) => pair.unary('hold', n, { timeoutMs: 600_000 }))
    const ends = Promise.allSettled(calls)
    await settle(pair.time)
    for (const one of pair.held) one.answer(BIG)
    await settle(pair.time)
    assert.ok(unread.total() <= 510_000, `${unread.total()} bytes wait`)
    pair.below.caller.resume()
    const failed = (await ends).flatMap((end) => (end.status === 'rejected' ? [end.reason] : []))
    assert.equal(unread.refused(), failed.length)
    assert.ok(failed.length >= 7 && failed.length < 10, `${failed.length} failed`)
    for (const error of failed) {
      assert.ok(error instanceof ParleyError)
      assert.deepEqual([error.code, error.details.sent, error.details.reason], ['COM002', true, 'unread'])
    }
    assert.equal(unread.total(), 0)
  })

  it('is not asked on its other links either, until it reads', async () => {
    const time = createVirtualTime()
    const unread = createUnreadResponses(512 * MIB, 128 * MIB)
    const limits = { maxQueuedBytes: 64 * MIB, maxMessageBytes: 8 * MIB }
    const lazy = await lazyPeer({ time, unread, limits }, 'x'.repeat(6 * MIB))
    const other = createPair(demo, createDemo().handlers, { time, unread, limits })
    await other.unary('echo', 0)
    const calls = [0, 1, 2].map((n) => lazy.unary('echo', n, { timeoutMs: 600_000 }))
    await settle(time)
    assert.ok(unread.total() > PAUSE_BYTES)
    let answered = 0
    const asked = [0, 1, 2].map(async (n) => {
      await other.unary('echo', n, { timeoutMs: 600_000 })
      answered += 1
    })
    await settle(time)
    // One is looked at before it is seen that there is no room.
    assert.equal(answered, 1)
    lazy.below.caller.resume()
    await Promise.all([...calls, ...asked])
    assert.deepEqual([answered, unread.total()], [3, 0])
  })

  it('leaves nothing behind when its links end, and what they waited for is over', async () => {
    const time = createVirtualTime()
    const unread = createUnreadResponses(512 * MIB, 128 * MIB)
    const limits = { maxQueuedBytes: 64 * MIB, maxMessageBytes: 8 * MIB }
    const lazy = await lazyPeer({ time, unread, limits }, 'x'.repeat(6 * MIB))
    const other = await lazyPeer({ time, unread, limits }, 'small')
    const calls = [0, 1, 2].map((n) => errorOf(lazy.unary('echo', n, { timeoutMs: 600_000 })))
    await settle(time)
    const stream = other.stream('count', { items: 10 })
    const first = errorOf(stream.next())
    await settle(time)
    assert.equal(other.slots.parked(), 1, 'the stream of the other link waits as well')
    const gone = new ParleyError('COM002', 'it went', { hint: 'so be it' })
    other.responder.abort(gone)
    other.below.caller.resume()
    await settle(time)
    assert.deepEqual([other.slots.parked(), other.slots.active(), other.produced()], [0, 0, 0])
    lazy.responder.abort(gone)
    lazy.below.caller.resume()
    await Promise.all([...calls, first])
    assert.equal(unread.total(), 0)
  })
})

describe('a stream', () => {
  it('whose item has no room any more ends with an error', async () => {
    const unread = createUnreadResponses(1_000_000, 30_000)
    const pair = await lazyPeer({ unread, limits: { streamWindow: 100, maxQueuedBytes: 1_000_000 } }, 'small')
    const stream = pair.stream('count', { items: 100, bytes: 8_000 })
    const first = stream.next()
    await settle(pair.time)
    pair.below.caller.resume()
    await first
    const rest = async (): Promise<void> => {
      for await (const _ of stream);
    }
    assert.equal((await parleyErrorOf(rest())).details.reason, 'unread')
    assert.equal(pair.streamsEnded(), 1)
  })
})
