import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import * as zlib from 'node:zlib'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import type { Compression } from '../../../../protocols/port.ts'
import { createCaller } from '../../../../protocols/wire/caller/caller.ts'
import { frame, KIND } from '../../../../protocols/wire/frames/frame.ts'
import { createDemo, demo } from '../../../support/demo-protocol.ts'
import { HELLO, hello, playByHand } from '../../../support/link-hand.ts'
import {
  compression,
  createEnd,
  createPair,
  kinds,
  LIMITS,
  type Pair,
  type PairOptions,
  parleyErrorOf,
  serve,
  settle,
} from '../../../support/links.ts'
import { frameOf } from '../../../support/proto-oracle.ts'

const IDENTITY = 0
const GZIP = 1
const ZSTD = 2
const text = 'all work and no play makes jack a dull boy. '.repeat(500)
const limits = { compressMinBytes: 1000 }

/** A pair that has exchanged its hellos: encodings are known only then. */
const met = async (options: PairOptions): Promise<Pair> => {
  const pair = createPair(demo, createDemo().handlers, { limits, ...options })
  await settle(pair.time)
  return pair
}

const encodingOf = (pair: Pair): { request: number | undefined; response: number | undefined } => ({
  request: pair.toResponder.find((each) => each.kind === KIND.request)?.encoding,
  response: pair.toCaller.find((each) => each.kind === KIND.response)?.encoding,
})

describe('compression', () => {
  it('is zstd when both have it, and shrinks both directions', async () => {
    const pair = await met({ callerCan: compression('zstd', 'gzip'), responderCan: compression('zstd', 'gzip') })
    assert.equal(await pair.unary('echo', text), text)
    assert.deepEqual(encodingOf(pair), { request: ZSTD, response: ZSTD })
    assert.ok(pair.callerEnd.counts.bytesOut < text.length / 10)
    assert.ok(pair.responderEnd.counts.bytesOut < text.length / 10)
    assert.equal(pair.toResponder.find((each) => each.kind === KIND.request)?.rawBytes, text.length + 2)
  })

  it('is gzip when one has no zstd, each side by its own preference', async () => {
    const pair = await met({ callerCan: compression('gzip'), responderCan: compression('zstd', 'gzip') })
    assert.equal(await pair.unary('echo', text), text)
    assert.deepEqual(encodingOf(pair), { request: GZIP, response: GZIP })
    const apart = await met({ callerCan: compression('gzip', 'zstd'), responderCan: compression('zstd', 'gzip') })
    assert.equal(await apart.unary('echo', text), text)
    assert.deepEqual(encodingOf(apart), { request: GZIP, response: ZSTD })
  })

  it('is none when the peer can none, or has not said yet', async () => {
    for (const options of [
      { callerCan: compression('zstd'), responderCan: compression() },
      { callerCan: compression(), responderCan: compression('zstd') },
      { callerCan: compression('zstd'), responderCan: compression('gzip') },
    ]) {
      const pair = await met(options)
      assert.equal(await pair.unary('echo', text), text)
      assert.deepEqual(encodingOf(pair), { request: IDENTITY, response: IDENTITY })
    }
    const early = createPair(demo, createDemo().handlers, {
      limits,
      callerCan: compression('zstd'),
      responderCan: compression('zstd'),
    })
    assert.equal(await early.unary('echo', text), text)
    assert.deepEqual(encodingOf(early), { request: IDENTITY, response: ZSTD })
  })

  it('ignores encodings that it does not know in a hello', async () => {
    const time = createVirtualTime()
    const { hand, other } = playByHand()
    const end = createEnd(time, { ...LIMITS, ...limits }, compression('zstd', 'gzip'))
    const caller = createCaller(other, end.deps, { version: '1.0.0', peer: 'bob', onClose() {} })
    hand.send(frameOf({ kind: KIND.hello, hello: { ...HELLO, encodings: [9, 77, GZIP] } }))
    await settle(time)
    const payload = new TextEncoder().encode(text)
    const answer = caller.unary({ label: 'x', method: 'm', payload, content: 0, priority: 0, timeoutMs: 100 })
    await settle(time)
    assert.equal(hand.received.at(-1)?.encoding, GZIP)
    hand.send(frame(KIND.response, 1))
    await time.settled(answer, 1)
  })

  it('begins at its threshold', async () => {
    const both = { callerCan: compression('zstd'), responderCan: compression('zstd') }
    const at = await met(both)
    await at.unary('echo', 'x'.repeat(998))
    assert.equal(encodingOf(at).request, ZSTD)
    const below = await met(both)
    await below.unary('echo', 'x'.repeat(997))
    assert.equal(encodingOf(below).request, IDENTITY)
  })

  it('is off with a threshold of 0', async () => {
    const pair = await met({
      callerCan: compression('zstd'),
      responderCan: compression('zstd'),
      limits: { compressMinBytes: 0 },
    })
    await pair.unary('echo', text)
    assert.deepEqual(encodingOf(pair), { request: IDENTITY, response: IDENTITY })
  })

  it('is left out where it saves less than a tenth', async () => {
    const pair = await met({ callerCan: compression('zstd'), responderCan: compression('zstd') })
    const noise = randomBytes(15_000).toString('latin1')
    assert.equal(await pair.unary('echo', noise), noise)
    const random = {
      ...compression('zstd'),
      compress: async (_: string, bytes: Uint8Array) => bytes.subarray(0, bytes.length * 0.9),
    }
    const spared = await met({ callerCan: random, responderCan: compression('zstd') })
    await spared.unary('echo', 'x'.repeat(1998))
    assert.equal(encodingOf(spared).request, IDENTITY, 'exactly a tenth is not enough')
  })

  it('that fails is logged, and the payload goes as it is', async () => {
    const failing: Compression = { ...compression('zstd'), compress: () => Promise.reject(new Error('no memory')) }
    const pair = await met({ callerCan: failing, responderCan: failing })
    assert.equal(await pair.unary('echo', text), text)
    assert.deepEqual(encodingOf(pair), { request: IDENTITY, response: IDENTITY })
    assert.deepEqual([pair.callerEnd.logs.length, pair.responderEnd.logs.length], [1, 1])
  })

  it('shows the handler the payload as it was before', async () => {
    const { contexts, handlers } = createDemo()
    const pair = createPair(demo, handlers, {
      limits,
      callerCan: compression('zstd'),
      responderCan: compression('zstd'),
    })
    await settle(pair.time)
    await pair.unary('echo', text)
    assert.equal(new TextDecoder().decode(contexts[0]?.envelope.payload as Uint8Array), JSON.stringify(text))
  })

  it('bounds the message by its size before, whatever is left of it', async () => {
    const pair = await met({
      callerCan: compression('zstd'),
      responderCan: compression('zstd'),
      limits: { ...limits, maxMessageBytes: 50_000 },
    })
    const most = 'x'.repeat(49_998)
    assert.equal(await pair.unary('echo', most), most)
    assert.equal((await parleyErrorOf(pair.unary('echo', `${most}x`))).code, 'MSG001')
  })
})

describe('a compressed payload that lies', () => {
  const bomb = zlib.zstdCompressSync(new Uint8Array(50_000_000))

  const serveHand = () => {
    const time = createVirtualTime()
    const made = createDemo()
    const { hand, other } = playByHand()
    const sizes: number[] = []
    const can = compression('zstd', 'gzip')
    const watched: Compression = {
      ...can,
      decompress(encoding, bytes, maxBytes) {
        sizes.push(maxBytes)
        return can.decompress(encoding, bytes, maxBytes)
      },
    }
    serve(other, demo, made.handlers, { time, can: watched })
    hand.send(hello)
    return { time, hand, sizes, ...made }
  }

  it('about its size is refused after that size, not after its real one', async () => {
    const { time, hand, sizes, contexts } = serveHand()
    hand.send(frameOf({ exchange: 1, method: 'echo', payload: bomb, encoding: ZSTD, rawBytes: 1000 }))
    await settle(time)
    assert.deepEqual([hand.received.at(-1)?.fault?.code, sizes, contexts.length], ['MSG003', [1000], 0])
  })

  it('by a size above the bound is not decompressed at all; at the bound it is', async () => {
    const { time, hand, sizes } = serveHand()
    const most = LIMITS.maxMessageBytes
    hand.send(frameOf({ exchange: 1, method: 'echo', payload: bomb, encoding: ZSTD, rawBytes: most + 1 }))
    await settle(time)
    assert.deepEqual([hand.received.at(-1)?.fault?.code, sizes], ['MSG001', []])
    hand.send(frameOf({ exchange: 2, method: 'echo', payload: bomb, encoding: ZSTD, rawBytes: most }))
    await settle(time)
    assert.deepEqual([hand.received.at(-1)?.fault?.code, sizes], ['MSG003', [most]])
  })

  it('about its encoding, or with an encoding that nobody knows, is refused, and the link goes on', async () => {
    const { time, hand } = serveHand()
    const payload = new TextEncoder().encode('"plain"')
    hand.send(
      frameOf({ exchange: 1, method: 'echo', payload, encoding: ZSTD, rawBytes: 7 }),
      frameOf({ exchange: 2, method: 'echo', payload, encoding: GZIP, rawBytes: 7 }),
      frameOf({ exchange: 3, method: 'echo', payload, encoding: 3, rawBytes: 7 }),
      frameOf({ exchange: 4, method: 'echo', payload: zlib.zstdCompressSync(payload), encoding: ZSTD, rawBytes: 0 }),
      frameOf({ exchange: 5, method: 'echo', payload: zlib.zstdCompressSync(payload), encoding: ZSTD, rawBytes: 7 }),
    )
    await settle(time)
    assert.deepEqual(
      hand.received
        .filter((each) => each.exchange > 0)
        .sort((a, b) => a.exchange - b.exchange)
        .map((each) => each.fault?.code),
      ['MSG003', 'MSG003', 'MSG003', 'MSG003', undefined],
    )
  })

  it('ends the call when it is the answer, and the peer is told', async () => {
    const time = createVirtualTime()
    const { hand, other } = playByHand()
    const caller = createCaller(other, createEnd(time, LIMITS, compression('zstd')).deps, {
      version: '1.0.0',
      peer: 'bob',
      onClose() {},
    })
    hand.send(hello)
    const call = { label: 'x', method: 'm', payload: new Uint8Array(0), content: 0, priority: 0, timeoutMs: 100 }
    const answer = parleyErrorOf(caller.unary(call))
    await settle(time)
    hand.send(frameOf({ kind: KIND.response, exchange: 1, payload: bomb, encoding: ZSTD, rawBytes: 1000 }))
    assert.equal((await time.settled(answer, 1)).code, 'MSG003')
    await settle(time)
    assert.deepEqual(kinds(hand.received), ['request', 'cancel'])
  })
})
