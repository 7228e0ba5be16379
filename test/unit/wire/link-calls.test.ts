import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as z from 'zod'
import { defineProtocol } from '../../../protocols/define.ts'
import { ParleyError } from '../../../protocols/errors.ts'
import { createCaller } from '../../../protocols/wire/caller.ts'
import { EnvelopeSchema } from '../../../protocols/wire/envelope.ts'
import { frame, KIND } from '../../../protocols/wire/frame.ts'
import { createDemo, demo } from '../../support/demo-protocol.ts'
import {
  createEnd,
  createPair,
  HELLO,
  kinds,
  LIMITS,
  parleyErrorOf,
  playByHand,
  START_MS,
  settle,
} from '../../support/links.ts'
import { frameOf } from '../../support/proto-oracle.ts'
import { createVirtualTime } from '../../support/virtual-time.ts'

const call = (method: string, payload = new Uint8Array(0)) => ({
  label: `demo.${method}`,
  method,
  payload,
  content: 0,
  priority: 0,
  timeoutMs: 1000,
})

/** A caller whose peer is played by hand; the peer has said hello. */
const callHand = async () => {
  const time = createVirtualTime()
  const { hand, other } = playByHand()
  const end = createEnd(time, LIMITS)
  const caller = createCaller(other, end.deps, { version: '1.0.0', onClose() {} })
  hand.send(frameOf({ kind: KIND.hello, hello: HELLO }))
  await settle(time)
  return { time, hand, end, caller }
}

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
          chain: ['carol'],
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
      chain: ['carol'],
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
    const { time, hand, caller } = await callHand()
    const answer = caller.unary(call('echo'))
    await settle(time)
    const fault = { code: 'STA001', message: 'gone', hint: '', details: new TextEncoder().encode('{') }
    hand.send({ ...frame(KIND.error, 1), fault })
    const error = await parleyErrorOf(time.settled(answer, 1))
    assert.equal(error.code, 'STA001')
    assert.deepEqual(error.details, {})
    assert.equal(caller.inFlight(), 0)
  })

  it('of a peer that says error and nothing else is APP001', async () => {
    const { time, hand, caller } = await callHand()
    const answer = caller.unary(call('echo'))
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

describe('what does not fit the contract', () => {
  const Strict = z.object({ n: z.number() })
  const strict = defineProtocol({
    name: 'strict',
    version: '1.0.0',
    methods: {
      once: { request: Strict, response: Strict },
      live: { request: Strict, stream: Strict },
    },
  })
  const loose = defineProtocol({
    name: 'strict',
    version: '1.0.0',
    methods: {
      once: { request: z.unknown(), response: z.unknown() },
      live: { request: z.unknown(), stream: z.unknown() },
      other: { request: z.unknown(), response: z.unknown() },
    },
  })
  const handlers = {
    once: ({ n }: { n: number }) => ({ n }),
    async *live({ n }: { n: number }) {
      yield { n }
    },
  }

  it('is refused by the caller itself before anything is sent', async () => {
    const pair = createPair(strict, handlers)
    assert.equal((await parleyErrorOf(pair.unary('once', { n: 'x' }))).code, 'MSG001')
    assert.deepEqual(kinds(pair.toResponder), [])
  })

  it('is refused by the peer when the caller did not look', async () => {
    const pair = createPair(strict, handlers, { callerContract: loose })
    for (const answer of [pair.unary('once', { n: 'x' }), pair.stream('live', { n: 'x' }).next()]) {
      const error = await parleyErrorOf(answer)
      assert.deepEqual([error.code, error.remote], ['MSG001', true])
      assert.ok(Array.isArray(error.details.issues))
    }
    assert.deepEqual(pair.finished.sort(), ['live MSG001', 'once MSG001'])
  })

  it('is refused by the peer in its own answers, as its own fault', async () => {
    const broken = {
      once: () => ({ n: 'x' }) as never,
      async *live() {
        yield { n: 1 }
        yield { n: 'x' } as never
      },
    }
    const pair = createPair(strict, broken)
    assert.equal((await parleyErrorOf(pair.unary('once', { n: 1 }))).code, 'APP001')
    const stream = pair.stream('live', { n: 1 })
    assert.deepEqual((await stream.next()).value, { n: 1 })
    assert.equal((await parleyErrorOf(stream.next())).code, 'APP001')
  })

  it('is refused by the caller in answers of a peer that does not look', async () => {
    const pair = createPair(
      loose,
      {
        once: () => ({ n: 'x' }),
        async *live() {
          yield 5
        },
        other: () => 1,
      },
      { callerContract: strict },
    )
    const error = await parleyErrorOf(pair.unary('once', { n: 1 }))
    assert.deepEqual([error.code, error.remote], ['MSG001', false])
    assert.equal((await parleyErrorOf(pair.stream('live', { n: 1 }).next())).code, 'MSG001')
    await settle(pair.time)
    assert.equal(pair.responder.active(), 0)
  })

  it('as a method that the peer does not have is MSG004, and the link goes on', async () => {
    const pair = createPair(strict, handlers, { callerContract: loose })
    assert.equal((await parleyErrorOf(pair.unary('other', 1))).code, 'MSG004')
    assert.deepEqual(await pair.unary('once', { n: 1 }), { n: 1 })
  })

  it('as a method of another kind is MSG004 at once, whichever the two kinds', async () => {
    const kindsOf = (method: 'unary' | 'stream' | 'one-way') =>
      defineProtocol({
        name: 'kind',
        version: '1.0.0',
        methods: {
          m:
            method === 'unary'
              ? { request: z.unknown(), response: z.unknown() }
              : method === 'stream'
                ? { request: z.unknown(), stream: z.unknown() }
                : { request: z.unknown(), oneWay: true },
        },
      })
    const handlersOf = {
      unary: () => 1,
      async *stream() {
        yield 1
      },
      'one-way'() {},
    }
    for (const served of ['unary', 'stream', 'one-way'] as const) {
      for (const used of ['unary', 'stream'] as const) {
        if (served === used) continue
        const pair = createPair(kindsOf(served), { m: handlersOf[served] } as never, { callerContract: kindsOf(used) })
        const answer = used === 'stream' ? pair.stream('m', 1).next() : pair.unary('m', 1)
        const error = await parleyErrorOf(pair.time.settled(answer as Promise<unknown>, 10))
        assert.deepEqual([error.code, error.remote], ['MSG004', true], `${used} call of a ${served} method`)
      }
    }
  })

  it('as an answer of another kind ends the call at once', async () => {
    const { time, hand, caller } = await callHand()
    const wrong: [Promise<unknown>, number][] = [
      [caller.unary(call('echo')), KIND.item],
      [caller.unary(call('echo')), KIND.end],
      [caller.unary(call('echo')), KIND.ack],
      [caller.unary({ ...call('echo'), extra: { replyTo: 'carol' } }), KIND.response],
      [caller.stream(call('count')).next(), KIND.response],
      [caller.stream(call('count')).next(), KIND.ack],
    ]
    const errors = wrong.map(([answer]) => parleyErrorOf(answer))
    await settle(time)
    for (const [i, [, kind]] of wrong.entries()) hand.send({ ...frame(KIND.response, i + 1), kind })
    for (const error of await time.settled(Promise.all(errors), 1)) assert.equal(error.code, 'MSG004')
    await settle(time)
    assert.deepEqual(kinds(hand.received).sort(), [...Array(6).fill('cancel'), ...Array(6).fill('request')])
    assert.equal(caller.inFlight(), 0)
  })
})

describe('what cannot be sent', () => {
  const notUsable = async (settings: Record<string, unknown>): Promise<void> => {
    const pair = createPair(demo, createDemo().handlers)
    const error = await parleyErrorOf(pair.time.settled(pair.unary('echo', 1, settings), 1))
    assert.deepEqual([error.code, error.remote], ['MSG001', false], JSON.stringify(settings))
    assert.deepEqual(kinds(pair.toResponder), [])
    assert.equal(await pair.unary('echo', 2), 2, 'the link is as it was')
  }

  it('is refused: a time that no timer takes', async () => {
    for (const timeoutMs of [0, -1, 0.5, Number.NaN, 2 ** 31, Number.POSITIVE_INFINITY]) await notUsable({ timeoutMs })
    for (const ttlMs of [0, -1, Number.NaN, 2 ** 31]) await notUsable({ ttlMs })
  })

  it('is refused: a priority that is none', async () => {
    for (const priority of [-1, 4, 1.5]) await notUsable({ priority })
  })

  it('is refused: envelope fields that would break the link off at the peer', async () => {
    await notUsable({ extra: { conversationId: 'x'.repeat(129) } })
    await notUsable({ extra: { replyTo: 'x'.repeat(129) } })
    await notUsable({ extra: { traceparent: 'x'.repeat(65) } })
    await notUsable({ extra: { headers: Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`h${i}`, ''])) } })
    await notUsable({ extra: { headers: { h: 'x'.repeat(4096) } } })
    await notUsable({ extra: { chain: Array(33).fill('p') } })
    await notUsable({ extra: { metadata: new Uint8Array(8193) } })
  })

  it('is sent at each of these bounds', async () => {
    const { handlers, contexts } = createDemo()
    const pair = createPair(demo, handlers)
    const text = new TextEncoder().encode(JSON.stringify('m'.repeat(8190)))
    const extra = {
      conversationId: 'x'.repeat(128),
      traceparent: 'x'.repeat(64),
      headers: {
        ...Object.fromEntries(Array.from({ length: 31 }, (_, i) => [`${100 + i}`, ''])),
        big: 'x'.repeat(4000),
      },
      chain: Array(32).fill('日'.repeat(128)),
      metadata: text,
    }
    assert.equal(text.length, 8192)
    assert.equal(await pair.unary('echo', 1, { extra, timeoutMs: 2 ** 31 - 1 }), 1)
    assert.equal(contexts[0]?.envelope.chain?.length, 32)
  })

  it("is refused: a message above the peer's bound, once that is known", async () => {
    const pair = createPair(demo, createDemo().handlers, { responderLimits: { maxMessageBytes: 1000 } })
    await pair.unary('echo', 1)
    const before = kinds(pair.toResponder).length
    assert.equal(await pair.unary('echo', 'x'.repeat(998)), 'x'.repeat(998))
    const error = await parleyErrorOf(pair.unary('echo', 'x'.repeat(999)))
    assert.deepEqual([error.code, error.remote, error.details.maxBytes], ['MSG001', false, 1000])
    assert.equal(kinds(pair.toResponder).length, before + 1)
  })

  it('is refused by the peer when its bound was not known yet, and the link goes on', async () => {
    const pair = createPair(demo, createDemo().handlers, { responderLimits: { maxMessageBytes: 1000 } })
    const error = await parleyErrorOf(pair.unary('echo', 'x'.repeat(40_000)))
    assert.deepEqual([error.code, error.remote], ['MSG001', true])
    assert.equal(await pair.unary('echo', 1), 1)
  })

  it('is measured by our own bound when the peer tells none', async () => {
    const time = createVirtualTime()
    const { hand, other } = playByHand()
    const caller = createCaller(other, createEnd(time, LIMITS).deps, { version: '1.0.0', onClose() {} })
    hand.send(frameOf({ kind: KIND.hello, hello: { ...HELLO, maxMessageBytes: 0 } }))
    await settle(time)
    const answer = caller.unary(call('echo', new Uint8Array(100)))
    await settle(time)
    hand.send(frame(KIND.response, 1))
    assert.equal((await time.settled(answer, 1)).length, 0)
  })

  it('is an answer above the bound: the caller is told that the agent has to be mended', async () => {
    const handlers = {
      ...createDemo().handlers,
      echo: () => 'x'.repeat(1000),
      async *count() {
        yield 'x'.repeat(1000)
      },
    }
    const pair = createPair(demo, handlers, { responderLimits: { maxMessageBytes: 1001 } })
    assert.equal((await parleyErrorOf(pair.unary('echo', 1))).code, 'APP001')
    assert.equal((await parleyErrorOf(pair.stream('count', { items: 1 }).next())).code, 'APP001')
    const enough = createPair(demo, handlers, { responderLimits: { maxMessageBytes: 1002 } })
    assert.equal(await enough.unary('echo', 1), 'x'.repeat(1000))
    assert.equal((await enough.stream('count', { items: 1 }).next()).value, 'x'.repeat(1000))
  })
})
