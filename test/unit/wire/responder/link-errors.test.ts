import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ParleyError } from '../../../../protocols/errors.ts'
import { frame, KIND } from '../../../../protocols/wire/frames/frame.ts'
import { createDemo, demo } from '../../../support/demo-protocol.ts'
import { callByHand, outCall } from '../../../support/link-hand.ts'
import { createPair, LIMITS, parleyErrorOf, settle } from '../../../support/links.ts'

describe('a failed call', () => {
  it("brings the handler's own error with hint and details", async () => {
    const pair = createPair(demo, {
      ...createDemo().handlers,
      echo() {
        throw new ParleyError('STA001', 'no such task', { hint: 'look at the list', details: { id: 't-7' } })
      },
    })
    const error = await parleyErrorOf(pair.unary('echo', 1))
    assert.deepEqual(
      [error.code, error.message, error.hint, error.details, error.remote],
      ['STA001', 'no such task', 'look at the list', { id: 't-7' }, true],
    )
    assert.deepEqual(pair.finished, ['echo STA001'])
  })

  it('brings one fixed text for any other error, and nothing of it crosses the wire', async () => {
    const pair = createPair(demo, {
      ...createDemo().handlers,
      echo() {
        throw new TypeError('swordfish', { cause: 'swordfish' })
      },
      async *count() {
        yield 'one'
        throw new Error('swordfish')
      },
    })
    const unary = await parleyErrorOf(pair.unary('echo', 1))
    assert.deepEqual(
      [unary.code, unary.message, unary.hint, unary.details],
      ['APP001', 'the handler failed', undefined, {}],
    )
    const items: unknown[] = []
    const stream = await parleyErrorOf(
      (async () => {
        for await (const item of pair.stream('count', { items: 1 })) items.push(item)
      })(),
    )
    assert.deepEqual([items, stream.code, stream.message], [['one'], 'APP001', 'the handler failed'])
    assert.doesNotMatch(JSON.stringify(pair.toCaller), /swordfish/)
    assert.deepEqual(
      pair.responderEnd.logs.map(({ message }) => message),
      ['demo.echo failed', 'demo.count failed'],
      'this node says it in its own log',
    )
    const { source, destination, correlationId, messageType } = pair.responderEnd.logs[0]?.fields ?? {}
    assert.deepEqual([typeof source, typeof destination, messageType], ['string', 'string', 'REQUEST'])
    assert.match(String(correlationId), /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-/)
  })

  it('keeps its code and text when its details cannot be written or are too large', async () => {
    for (const details of [{ n: 1n }, { text: 'x'.repeat(LIMITS.partBytes) }]) {
      const pair = createPair(demo, {
        ...createDemo().handlers,
        echo() {
          throw new ParleyError('STA003', 'conflict', { details })
        },
      })
      const error = await parleyErrorOf(pair.unary('echo', 1))
      assert.deepEqual([error.code, error.message, error.details], ['STA003', 'conflict', {}])
    }
  })

  it('keeps the first 2,000 characters of a text of megabytes, so that the link survives it', async () => {
    const pair = createPair(demo, {
      ...createDemo().handlers,
      echo() {
        throw new ParleyError('STA003', '日'.repeat(3_000_000), { hint: '本'.repeat(3_000_000) })
      },
    })
    const error = await parleyErrorOf(pair.unary('echo', 1))
    assert.deepEqual([error.message, error.hint], ['日'.repeat(2000), '本'.repeat(2000)])
  })

  it("ends even when the peer's details cannot be read", async () => {
    const { time, hand, caller } = await callByHand()
    const answer = caller.unary(outCall('echo'))
    await settle(time)
    const fault = { code: 'STA001', message: 'gone', hint: '', details: new TextEncoder().encode('{') }
    hand.send({ ...frame(KIND.error, 1), fault })
    const error = await parleyErrorOf(time.settled(answer, 1))
    assert.equal(error.code, 'STA001')
    assert.deepEqual(error.details, {})
    assert.equal(caller.inFlight(), 0)
  })

  it('of a peer that says error and nothing else is APP001', async () => {
    const { time, hand, caller } = await callByHand()
    const answer = caller.unary(outCall('echo'))
    await settle(time)
    hand.send(frame(KIND.error, 1))
    assert.equal((await parleyErrorOf(time.settled(answer, 1))).code, 'APP001')
  })

  it('that a handler passes on from another peer never looks like a failure of this link', async () => {
    const thrown = [
      new ParleyError('COM002', 'carol is gone', { details: { sent: false } }),
      new ParleyError('COM003', 'carol is busy', { remote: true }),
      new ParleyError('MSG004', 'carol does not know that', { remote: true }),
    ]
    const { handlers } = createDemo()
    const pair = createPair(demo, {
      ...handlers,
      echo(input) {
        throw thrown[Number(input)]
      },
    })
    const lost = await parleyErrorOf(pair.unary('echo', 0))
    assert.notEqual(lost.details.sent, false, 'the request was handled: it may not be sent again as if it had not')
    for (const index of [1, 2]) {
      const error = await parleyErrorOf(pair.unary('echo', index))
      assert.deepEqual(
        [error.code, error.details.code, error.message],
        ['APP001', thrown[index]?.code, thrown[index]?.message],
      )
    }
  })
})
