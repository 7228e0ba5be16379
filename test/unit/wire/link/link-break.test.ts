import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ParleyError } from '../../../../protocols/errors.ts'
import { createConcurrencyLimiter } from '../../../../protocols/wire/responder/concurrency-limiter.ts'
import { createDemo, demo } from '../../../support/demo-protocol.ts'
import { createPair, kinds, LIMITS, parleyErrorOf, settle } from '../../../support/links.ts'

const broken = new Error('connection reset')

describe('a link that breaks', () => {
  it('fails the calls that are open with COM002, which says whether they had been sent', async () => {
    const { held, handlers } = createDemo()
    const pair = createPair(demo, handlers, { limits: { maxInFlight: 2 } })
    const sent = parleyErrorOf(pair.unary('hold', 1))
    await settle(pair.time)
    pair.below.responder.pause()
    const large = parleyErrorOf(pair.unary('hold', 'x'.repeat(200_000)))
    const waiting = parleyErrorOf(pair.unary('hold', 3))
    await settle(pair.time)
    pair.below.caller.abort(broken)
    const errors = await Promise.all([sent, large, waiting])
    assert.deepEqual(
      errors.map((error) => [error.code, error.details.sent, error.remote]),
      [
        ['COM002', true, false],
        ['COM002', false, false],
        ['COM002', false, false],
      ],
    )
    assert.match(errors[0]?.message ?? '', /connection reset/)
    assert.deepEqual([pair.caller.inFlight(), pair.caller.waiting(), pair.caller.closed()], [0, 0, true])
    await settle(pair.time)
    assert.equal(held[0]?.context.signal.aborted, true, 'the handler is told')
    assert.equal(pair.responder.closed(), true)
  })

  it('fails a stream after what had come of it', async () => {
    const { handlers, streamsEnded } = createDemo()
    const pair = createPair(demo, handlers)
    const stream = pair.caller.stream(pair.outCall('count', { items: 100 }))
    await stream.next()
    await settle(pair.time)
    pair.below.responder.abort(broken)
    await settle(pair.time)
    for (let i = 1; i < LIMITS.streamWindow; i += 1) assert.equal((await stream.next()).done, false)
    const error = await parleyErrorOf(stream.next())
    assert.deepEqual([error.code, error.details.sent], ['COM002', true])
    assert.equal(streamsEnded(), 1, 'the producer, which waited for credit, is ended')
    assert.equal(pair.responder.active(), 0)
  })

  it('fails new calls at once, as not sent', async () => {
    const pair = createPair(demo, createDemo().handlers)
    pair.below.caller.abort(broken)
    for (const answer of [pair.unary('echo', 1), pair.oneWay('note', 1), pair.stream('count', { items: 1 }).next()]) {
      const error = await parleyErrorOf(answer)
      assert.deepEqual([error.code, error.details.sent], ['COM002', false])
    }
  })

  it('closes without an error when the peer just goes, and fails what is open all the same', async () => {
    const { handlers } = createDemo()
    const pair = createPair(demo, handlers)
    const answer = parleyErrorOf(pair.unary('hold', 1))
    await settle(pair.time)
    pair.below.responder.close()
    assert.deepEqual([(await answer).code, (await answer).details.sent], ['COM002', true])
  })

  it('sends nothing of what a handler answers afterwards, and lets it end', async () => {
    const { held, handlers } = createDemo()
    const pair = createPair(demo, handlers, { slots: createConcurrencyLimiter(1, 10) })
    const first = parleyErrorOf(pair.unary('hold', 1))
    const second = parleyErrorOf(pair.unary('hold', 2))
    await settle(pair.time)
    pair.below.caller.abort(broken)
    await Promise.all([first, second])
    await settle(pair.time)
    assert.equal(pair.responder.active(), 2, 'the slot is taken until the handler returns')
    held[0]?.answer(1)
    await settle(pair.time)
    assert.deepEqual([pair.responder.active(), pair.slots.active(), held.length], [0, 0, 1])
    assert.deepEqual(kinds(pair.toCaller), [])
  })
})

describe('aborting a link', () => {
  it('breaks it off at once, with its reason on this side and no reason on the other', async () => {
    const { handlers } = createDemo()
    const pair = createPair(demo, handlers)
    const answer = parleyErrorOf(pair.unary('hold', 1))
    await settle(pair.time)
    pair.caller.abort(new ParleyError('SEC001', 'not admitted'))
    const error = await answer
    assert.equal(error.code, 'COM002')
    assert.match(error.message, /not admitted/)
    await settle(pair.time)
    assert.equal(pair.responder.closed(), true)
    pair.caller.abort(new ParleyError('SEC001', 'again'))
  })
})
