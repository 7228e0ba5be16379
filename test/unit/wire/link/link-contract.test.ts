import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as z from 'zod'
import { defineProtocol } from '../../../../protocols/define.ts'
import { frame, KIND } from '../../../../protocols/wire/frames/frame.ts'
import { callByHand, outCall } from '../../../support/link-hand.ts'
import { createPair, kinds, parleyErrorOf, settle } from '../../../support/links.ts'

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
    const { time, hand, caller } = await callByHand()
    const wrong: [Promise<unknown>, number][] = [
      [caller.unary(outCall('echo')), KIND.item],
      [caller.unary(outCall('echo')), KIND.end],
      [caller.unary(outCall('echo')), KIND.ack],
      [caller.unary({ ...outCall('echo'), extra: { replyTo: 'carol' } }), KIND.response],
      [caller.stream(outCall('count')).next(), KIND.response],
      [caller.stream(outCall('count')).next(), KIND.ack],
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
