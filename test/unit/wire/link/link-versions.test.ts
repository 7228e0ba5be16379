import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as z from 'zod'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { defineProtocol, wireId } from '../../../../protocols/define.ts'
import { frame, KIND } from '../../../../protocols/wire/frames/frame.ts'
import { HELLO, playByHand } from '../../../support/link-hand.ts'
import { createPair, kinds, parleyErrorOf, serve, settle } from '../../../support/links.ts'
import { frameOf, ownFrame } from '../../../support/proto-oracle.ts'

/** Version 1.0.0 of a protocol, and 1.1.0 with an optional field more on each side, an item's too, and a new method. */
const old = defineProtocol({
  name: 'shop',
  version: '1.0.0',
  methods: {
    order: { request: z.object({ item: z.string() }), response: z.object({ price: z.number() }) },
    watch: { request: z.object({ item: z.string() }), stream: z.object({ stock: z.number() }) },
  },
})
const newer = defineProtocol({
  name: 'shop',
  version: '1.1.0',
  methods: {
    order: {
      request: z.object({ item: z.string(), count: z.number().default(1) }),
      response: z.object({ price: z.number(), currency: z.string().optional() }),
    },
    watch: {
      request: z.object({ item: z.string(), every: z.number().optional() }),
      stream: z.object({ stock: z.number(), reserved: z.number().optional() }),
    },
    cancel: { request: z.object({ item: z.string() }), response: z.object({}) },
  },
})

const oldSeen: unknown[] = []
const oldHandlers = {
  order(input: { item: string }) {
    oldSeen.push(input)
    return { price: 5 }
  },
  async *watch() {
    yield { stock: 1 }
  },
}
const newHandlers = {
  order: ({ count }: { count: number }) => ({ price: 5 * count, currency: 'EUR' }),
  async *watch() {
    yield { stock: 1, reserved: 2 }
  },
  cancel: () => ({}),
}

describe('minor versions of a protocol', () => {
  it('share the wire id', () => {
    assert.equal(wireId(old), wireId(newer))
  })

  it('meet: an old client and a newer server', async () => {
    const pair = createPair(newer, newHandlers, { callerContract: old })
    assert.deepEqual(await pair.unary('order', { item: 'tea' }), { price: 5 }, 'the new field is ignored')
    assert.deepEqual((await pair.stream('watch', { item: 'tea' }).next()).value, { stock: 1 })
    assert.equal(pair.caller.peerVersion(), '1.1.0')
  })

  it('meet: a newer client and an old server, except for what the old one does not have', async () => {
    const pair = createPair(old, oldHandlers, { callerContract: newer })
    assert.deepEqual(await pair.unary('order', { item: 'tea', count: 3 }), { price: 5 })
    assert.deepEqual(oldSeen, [{ item: 'tea' }], 'the handler does not see what its contract does not have')
    assert.deepEqual((await pair.stream('watch', { item: 'tea', every: 5 }).next()).value, { stock: 1 })
    const error = await parleyErrorOf(pair.unary('cancel', { item: 'tea' }))
    assert.deepEqual([error.code, error.remote], ['MSG004', true])
    assert.equal(pair.caller.peerVersion(), '1.0.0')
    assert.deepEqual(await pair.unary('order', { item: 'tea' }), { price: 5 }, 'and the link goes on')
  })
})

describe('versions of the wire format', () => {
  it('meet: frames and hellos with fields of a later one are understood', async () => {
    const time = createVirtualTime()
    const { hand, other } = playByHand()
    serve(other, newer, newHandlers, { time })
    const later = [0xa2, 0x06, 0x03, 1, 2, 3] // field 100, three bytes
    const withField = (bytes: Uint8Array): Uint8Array =>
      new Uint8Array([(bytes[0] ?? 0) + later.length, ...bytes.subarray(1), ...later])
    hand.sendBytes(withField(ownFrame(frameOf({ kind: KIND.hello, hello: HELLO }))))
    const payload = new TextEncoder().encode('{"item":"tea"}')
    hand.sendBytes(withField(ownFrame(frameOf({ exchange: 1, method: 'order', payload }))))
    hand.send({ ...frame(KIND.request, 2), kind: 200 })
    await settle(time)
    assert.deepEqual(kinds(hand.received), ['response'])
  })
})
