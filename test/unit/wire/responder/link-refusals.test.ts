import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { createCaller } from '../../../../protocols/wire/caller/caller.ts'
import { frame, KIND } from '../../../../protocols/wire/frames/frame.ts'
import { createDemo, demo } from '../../../support/demo-protocol.ts'
import { HELLO, outCall, playByHand } from '../../../support/link-hand.ts'
import { createEnd, createPair, kinds, LIMITS, parleyErrorOf, settle } from '../../../support/links.ts'
import { frameOf } from '../../../support/proto-oracle.ts'

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
    await notUsable({ extra: { chain: ['p'.repeat(257)] } })
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
      chain: Array(32).fill(`alice/${'x'.repeat(127)}`),
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
    const caller = createCaller(other, createEnd(time, LIMITS).deps, { version: '1.0.0', peer: 'bob', onClose() {} })
    hand.send(frameOf({ kind: KIND.hello, hello: { ...HELLO, maxMessageBytes: 0 } }))
    await settle(time)
    const answer = caller.unary(outCall('echo', new Uint8Array(100)))
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
