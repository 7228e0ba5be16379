import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as z from 'zod'
import { defineProtocol } from '../../../../protocols/define.ts'
import { ParleyError } from '../../../../protocols/errors.ts'
import { exchangeId } from '../../../../protocols/wire/message-id.ts'
import { decodePayload } from '../../../../protocols/wire/payload/payload.ts'
import { createDemo, demo } from '../../../support/demo-protocol.ts'
import { createPair, kinds, type Pair, parleyErrorOf, settle } from '../../../support/links.ts'

const extra = { replyTo: 'carol', correlationId: 'c-1' }

/** A call whose answer goes elsewhere; resolves to the id that the peer acknowledged. */
const accepted = async (pair: Pair, method: string, input: unknown, settings = {}): Promise<unknown> =>
  decodePayload('json', await pair.caller.unary(pair.outCall(method, input, { extra, ...settings })))

describe('a call with replyTo', () => {
  it('is acknowledged when its handler runs, and its answer goes to the third party', async () => {
    const { held, handlers } = createDemo()
    const pair = createPair(demo, handlers)
    const id = await accepted(pair, 'hold', { a: 1 })
    assert.deepEqual(kinds(pair.toCaller), ['ack'])
    assert.deepEqual([pair.caller.inFlight(), pair.responder.active(), pair.replies.length], [0, 1, 0])
    held[0]?.answer({ b: 2 })
    await settle(pair.time)
    const [reply] = pair.replies
    assert.equal(reply?.replyTo, 'carol')
    assert.deepEqual(decodePayload('json', reply?.payload ?? assert.fail('no payload')), { b: 2 })
    assert.deepEqual([reply?.envelope.id, reply?.envelope.source, reply?.envelope.correlationId], [id, 'alice', 'c-1'])
    assert.deepEqual(kinds(pair.toCaller), ['ack'], 'the caller hears no more of it')
    assert.equal(pair.callerEnd.counts.lateReplies, 0)
  })

  it('has the id on both sides that the envelope shows, each call its own', async () => {
    const { held, handlers } = createDemo()
    const pair = createPair(demo, handlers)
    const ids = await Promise.all([accepted(pair, 'hold', 1), accepted(pair, 'hold', 2)])
    assert.deepEqual(
      held.map(({ context }) => context.envelope.id),
      ids,
    )
    assert.equal(new Set(ids).size, 2)
    const hello = pair.toResponder[0]?.hello ?? assert.fail('no hello')
    assert.deepEqual(
      ids,
      [1, 2].map((exchange) => exchangeId(hello.session, hello.startedAtMs, exchange)),
      'and the caller can make it itself',
    )
  })

  it('whose handler fails sends the third party the error, with nothing of an unexpected one', async () => {
    const { held, handlers } = createDemo()
    const pair = createPair(demo, handlers)
    await Promise.all([accepted(pair, 'hold', 1), accepted(pair, 'hold', 2)])
    held[0]?.fail(new ParleyError('STA001', 'no such task', { hint: 'look' }))
    held[1]?.fail(new Error('swordfish'))
    await settle(pair.time)
    assert.deepEqual(
      pair.replies.map(({ fault, payload }) => [fault, payload]),
      [
        [{ code: 'STA001', message: 'no such task', hint: 'look' }, undefined],
        [{ code: 'APP001', message: 'the handler failed' }, undefined],
      ],
    )
    assert.deepEqual(kinds(pair.toCaller), ['ack', 'ack'])
    assert.equal(pair.responder.active(), 0)
  })

  it('whose answer does not reach the third party is logged, since nobody else hears of it', async () => {
    const pair = createPair(demo, createDemo().handlers, {
      reply: () => Promise.reject(new ParleyError('COM002', 'carol is gone')),
    })
    await accepted(pair, 'echo', 1)
    await settle(pair.time)
    assert.equal(pair.responderEnd.logs.length, 1)
    assert.deepEqual(kinds(pair.toCaller), ['ack'])
    assert.equal(pair.callerEnd.counts.lateReplies, 0)
    assert.deepEqual(pair.finished, ['echo COM002'])
  })

  it('whose time passes after it was taken on aborts the handler, and the caller hears no more', async () => {
    const { held, handlers } = createDemo()
    const pair = createPair(demo, handlers)
    await accepted(pair, 'hold', 1, { timeoutMs: 200 })
    await pair.time.run(200)
    assert.equal(held[0]?.context.signal.aborted, true)
    assert.deepEqual(kinds(pair.toCaller), ['ack'])
    held[0]?.fail(new Error('aborted'))
    await settle(pair.time)
    assert.equal(pair.replies[0]?.fault?.code, 'APP001', 'the third party is told')
  })

  it('that does not fit the contract is refused to the third party', async () => {
    const methods = (request: z.ZodType) => ({ once: { request, response: z.unknown() } })
    const strict = defineProtocol({ name: 'strict', version: '1.0.0', methods: methods(z.string()) })
    const loose = defineProtocol({ name: 'strict', version: '1.0.0', methods: methods(z.unknown()) })
    const pair = createPair(strict, { once: () => assert.fail('the handler ran') }, { callerContract: loose })
    const id = await accepted(pair, 'once', 5)
    await settle(pair.time)
    assert.deepEqual([pair.replies[0]?.envelope.id, pair.replies[0]?.fault?.code], [id, 'MSG001'])
  })

  it('of a stream or an unknown method is refused to the caller', async () => {
    const pair = createPair(demo, createDemo().handlers)
    const call = pair.outCall('echo', 1, { extra })
    for (const method of ['count', 'nothing']) {
      assert.equal((await parleyErrorOf(pair.caller.unary({ ...call, method }))).code, 'MSG004', method)
    }
    assert.deepEqual(pair.replies, [])
  })

  it('that is stopped with the node after it was taken on is not told to the caller again', async () => {
    const { held, handlers } = createDemo()
    const pair = createPair(demo, handlers)
    await accepted(pair, 'hold', 1)
    await pair.time.settled(pair.responder.close(100), 100)
    await settle(pair.time)
    assert.equal(held[0]?.context.signal.aborted, true)
    assert.deepEqual(kinds(pair.toCaller), ['ack', 'goaway'])
  })
})
