import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { EnvelopeSchema } from '../../../../protocols/wire/envelope.ts'
import { KIND } from '../../../../protocols/wire/frames/frame.ts'
import { createDemo, demo } from '../../../support/demo-protocol.ts'
import { createPair, kinds, LIMITS, START_MS, settle } from '../../../support/links.ts'

describe('a unary call', () => {
  it('is answered', async () => {
    const pair = createPair(demo, createDemo().handlers)
    assert.deepEqual(await pair.unary('echo', { a: [1, 'ü'] }), { a: [1, 'ü'] })
    assert.deepEqual(pair.finished, ['echo ok'])
    assert.equal(pair.caller.inFlight(), 0)
    assert.equal(pair.responder.active(), 0)
  })

  it('may be larger than a frame, in both directions', async () => {
    const pair = createPair(demo, createDemo().handlers)
    const text = 'x'.repeat(100_000)
    assert.equal(await pair.unary('echo', text), text)
    const parts = pair.toResponder.filter((each) => each.kind === KIND.request)
    assert.equal(parts.length, 7)
    assert.ok(parts.every((each) => each.payload.length <= LIMITS.partBytes))
    assert.equal(pair.toCaller.filter((each) => each.kind === KIND.response).length, 7)
  })

  it('gets its own answer among a thousand in flight, whatever the order of the answers', async () => {
    const { held, handlers } = createDemo()
    const pair = createPair(demo, handlers)
    const answers = Array.from({ length: 1000 }, (_, i) => pair.unary('hold', i))
    await settle(pair.time)
    assert.equal(held.length, 1000)
    assert.equal(pair.caller.inFlight(), 1000)
    for (const each of held.toReversed()) each.answer(Number(each.input) * 2)
    assert.deepEqual(
      await Promise.all(answers),
      Array.from({ length: 1000 }, (_, i) => i * 2),
    )
    assert.equal(pair.caller.inFlight(), 0)
  })

  it('made in one turn with others goes out together with them, not in a write of its own', async () => {
    const pair = createPair(demo, createDemo().handlers)
    await settle(pair.time)
    const before = pair.callerEnd.counts
    const framesBefore = before.framesOut
    let writes = 0
    const send = pair.below.caller.send
    pair.below.caller.send = (bytes) => {
      writes += 1
      send(bytes)
    }
    await Promise.all(Array.from({ length: 50 }, (_, i) => pair.unary('echo', i)))
    assert.equal(before.framesOut - framesBefore, 50)
    assert.ok(writes <= 5, `${writes} writes for 50 calls`)
  })

  it('tells the handler who calls, for how long, and with which envelope', async () => {
    const { contexts, handlers } = createDemo()
    const pair = createPair(demo, handlers)
    await pair.time.run(250)
    await pair.unary(
      'echo',
      { a: 1 },
      {
        timeoutMs: 700,
        ttlMs: 600,
        priority: 2,
        extra: {
          correlationId: 'c',
          conversationId: 'k',
          traceparent: '00-1-2-01',
          headers: { task_id: 't' },
          metadata: new TextEncoder().encode('{"m":1}'),
          chain: ['carol', 'alice/plan.make'],
        },
      },
    )
    const [context] = contexts
    assert.equal(context?.peer, 'alice')
    assert.equal(context?.remainingMs(), 700)
    const { id, payload, ...rest } = context?.envelope ?? assert.fail('no context')
    assert.deepEqual(rest, {
      timestamp: START_MS + 250,
      source: 'alice',
      destination: 'bob',
      type: 'REQUEST',
      contentType: 'application/json',
      headers: { task_id: 't' },
      priority: 'high',
      metadata: { m: 1 },
      ttl: 600,
      deadline: 700,
      correlationId: 'c',
      conversationId: 'k',
      traceparent: '00-1-2-01',
      chain: ['carol', 'alice/plan.make'],
    })
    assert.equal(new TextDecoder().decode(payload as Uint8Array), '{"a":1}')
    assert.ok(EnvelopeSchema.safeParse(context?.envelope).success)
    assert.match(id, /^[0-9a-f-]{36}$/)
  })

  it('tells the caller how busy the peer is and which version it speaks', async () => {
    const { held, handlers } = createDemo()
    const pair = createPair(demo, handlers)
    const pending = [pair.unary('hold', 1), pair.unary('hold', 2)]
    await settle(pair.time)
    await pair.unary('echo', 0)
    assert.equal(pair.caller.peerLoad(), 3)
    assert.equal(pair.caller.peerVersion(), '1.2.0')
    held[0]?.answer(0)
    await pending[0]
    assert.equal(pair.caller.peerLoad(), 2)
    held[1]?.answer(0)
    await pending[1]
    assert.equal(pair.caller.peerLoad(), 1)
  })
})

describe('a one-way message', () => {
  it('is handed down without an answer', async () => {
    const { notes, handlers } = createDemo()
    const pair = createPair(demo, handlers)
    await pair.oneWay('note', 'hi')
    await settle(pair.time)
    assert.deepEqual(notes, ['hi'])
    assert.deepEqual(kinds(pair.toResponder), ['oneWay'])
    assert.deepEqual(kinds(pair.toCaller), [])
    assert.equal(pair.caller.inFlight(), 0)
    assert.deepEqual(pair.finished, ['note ok'])
  })

  it("that fails is told to nobody but this node's own log and metrics", async () => {
    const pair = createPair(demo, {
      ...createDemo().handlers,
      note() {
        throw new Error('broken')
      },
    })
    await pair.oneWay('note', 'hi')
    await settle(pair.time)
    assert.deepEqual(kinds(pair.toCaller), [])
    assert.deepEqual(pair.finished, ['note APP001'])
    assert.equal(pair.responderEnd.logs.length, 1)
  })

  it('that is too large in parts is dropped without an answer', async () => {
    const { notes, handlers } = createDemo()
    const pair = createPair(demo, handlers, { responderLimits: { maxMessageBytes: 20_000 } })
    // Sent before the peer's hello told its bound.
    await pair.oneWay('note', 'x'.repeat(40_000))
    await settle(pair.time)
    assert.deepEqual(notes, [])
    assert.deepEqual(kinds(pair.toCaller), [])
    assert.equal(pair.callerEnd.counts.lateReplies, 0)
    assert.deepEqual(pair.finished, ['refused MSG001'])
  })
})
