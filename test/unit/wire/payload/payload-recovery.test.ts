/** Payloads that become another one: refused by the other side, or not to be held by JSON. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import * as z from 'zod'
import { defineProtocol } from '../../../../protocols/define.ts'
import { fromFault, isParleyError, ParleyError, toFault } from '../../../../protocols/errors.ts'
import type { RunContext } from '../../../../protocols/wire/payload/contract.ts'
import { callerCodec, compile } from '../../../../protocols/wire/payload/contract.ts'
import {
  type CborFallback,
  decodeOpen,
  encodeOpen,
  encodeOrRewrite,
  revisePayload,
} from '../../../../protocols/wire/payload/payload-recovery.ts'

const newer = defineProtocol({
  name: 'shop',
  version: '1.1.0',
  methods: {
    buy: {
      request: z.object({
        item: z.string(),
        note: z.string().optional(),
        gift: z.object({ wrap: z.boolean(), card: z.string().optional() }).optional(),
      }),
      response: z.string(),
    },
  },
})
const older = defineProtocol({
  name: 'shop',
  version: '1.0.0',
  methods: {
    buy: {
      request: z.strictObject({ item: z.string(), gift: z.strictObject({ wrap: z.boolean() }).optional() }),
      response: z.string(),
    },
  },
})
const codec = callerCodec(newer, 'buy', newer.methods.buy)

/** What the older side says to a payload, as it arrives at the caller. */
const said = (payload: Uint8Array): ParleyError => {
  const endpoint = compile(older, { buy: ({ item }) => item }).methods.get('buy')
  try {
    endpoint?.run(payload, {} as RunContext)
  } catch (error) {
    return fromFault(JSON.parse(JSON.stringify(toFault(error))))
  }
  throw new Error('it was taken')
}
const read = (payload: Uint8Array | undefined): unknown =>
  payload === undefined ? undefined : JSON.parse(new TextDecoder().decode(payload))

test('fields that an older, strict side does not know are left out, at any depth', () => {
  const payload = codec.encode({ item: 'tea', note: 'soon', gift: { wrap: true, card: 'hello' } })
  const revised = codec.revise?.(payload, said(payload))
  assert.deepEqual(read(revised), { item: 'tea', gift: { wrap: true } })
})

test('a field that the own contract needs is never left out', () => {
  const payload = codec.encode({ item: 'tea' })
  const error = new ParleyError('MSG001', 'no', {
    details: { what: 'shop.buy request', issues: [{ at: [], keys: ['item'] }] },
    remote: true,
  })
  assert.equal(codec.revise?.(payload, error), undefined)
})

test('where nothing would change, nothing is sent again', () => {
  const payload = codec.encode({ item: 'tea' })
  for (const details of [
    { what: 'shop.buy request', issues: [{ path: 'item', message: 'too short' }] },
    { what: 'shop.buy request', issues: 'nonsense' },
    { what: 'shop.buy request', issues: [{ at: ['__proto__', 'x'], keys: ['toString'] }] },
    { what: 'shop.buy request' },
    {},
  ]) {
    const error = new ParleyError('MSG001', 'no', { details, remote: true })
    assert.equal(codec.revise?.(payload, error), undefined, JSON.stringify(details))
  }
})

test('what another method said, which the handler called, changes nothing here', () => {
  const payload = codec.encode({ item: 'tea', note: 'soon' })
  const details = { what: 'store.take request', issues: [{ at: [], keys: ['note'] }] }
  assert.equal(codec.revise?.(payload, new ParleyError('MSG001', 'no', { details, remote: true })), undefined)
})

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

test('what JSON can hold is written as JSON, and nobody is told', () => {
  const told: CborFallback[] = []
  for (const value of [null, 1, 'x', [], {}, { '0': 1 }, { a: { '0': 2, '1': 3 } }, { a: [1, { b: 'c' }] }]) {
    const bytes = encodeOpen(value, (rewriting) => told.push(rewriting))
    assert.equal(text(bytes), JSON.stringify(value))
    assert.deepEqual(decodeOpen(bytes), value)
  }
  assert.equal(encodeOpen(undefined).length, 0)
  assert.equal(decodeOpen(new Uint8Array(0)), undefined)
  assert.deepEqual(told, [])
})

test('a BigInt and bytes come back as they were, behind a mark with which no JSON begins', () => {
  const told: CborFallback[] = []
  const value = { n: 2n ** 60n, deep: [{ bytes: new Uint8Array([1, 2, 255]) }], text: 'x' }
  const bytes = encodeOpen(value, (rewriting) => told.push(rewriting))
  assert.deepEqual([...bytes.subarray(0, 3)], [0xd9, 0xd9, 0xf7])
  assert.deepEqual(decodeOpen(bytes), value)
  const onlyBytes = encodeOpen({ data: new Uint8Array([9]) }, (rewriting) => told.push(rewriting))
  assert.deepEqual(decodeOpen(onlyBytes), { data: new Uint8Array([9]) })
  assert.deepEqual(told, [{ outcome: 'recovered' }, { outcome: 'recovered' }])
})

test('what CBOR cannot hold either fails with MSG002, and both causes are told', () => {
  const told: CborFallback[] = []
  const cycle: Record<string, unknown> = { a: 1 }
  cycle.self = cycle
  assert.throws(
    () => encodeOpen(cycle, (rewriting) => told.push(rewriting)),
    (error) => isParleyError(error, 'MSG002') && /json/.test(error.message),
  )
  const [one] = told
  assert.ok(one?.outcome === 'failed')
  assert.equal(one.error.code, 'MSG002')
  assert.ok(isParleyError(one.recoveryError, 'MSG002'))
  assert.match(one.recoveryError.message, /cbor/)
})

test('bytes from a peer that are neither fail with MSG003, whatever they are', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.boolean(), (bytes, marked) => {
      const payload = marked ? new Uint8Array([0xd9, 0xd9, 0xf7, ...bytes]) : bytes
      try {
        decodeOpen(payload)
      } catch (error) {
        assert.ok(isParleyError(error, 'MSG003'))
      }
    }),
  )
})

test('every JSON value comes back as JSON would bring it back', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      assert.deepEqual(decodeOpen(encodeOpen(value)), JSON.parse(JSON.stringify(value)))
    }),
  )
})

test('where the content stands beside the payload, only what JSON cannot hold is written as CBOR, and only there', () => {
  let rewritten = 0
  const encode = (content: 'json' | 'cbor' | 'bytes', data: unknown) =>
    encodeOrRewrite(content, data, () => {
      rewritten += 1
    })
  assert.deepEqual([encode('json', { a: 1 }).content, rewritten], ['json', 0])
  assert.deepEqual([encode('json', { a: 1n }).content, rewritten], ['cbor', 1])
  for (const content of ['cbor', 'bytes'] as const)
    assert.throws(
      () => encode(content, { run: () => {} }),
      (error) => isParleyError(error, 'MSG002'),
    )
  assert.throws(
    () => encode('json', { n: 1n, run: () => {} }),
    (error) => isParleyError(error, 'MSG002') && /cbor/.test(error.message),
  )
  assert.equal(rewritten, 1)
})

test('fields are left out only where the other side named them, and what cannot be read is not revised', () => {
  const schema = z.looseObject({ item: z.string() })
  const codec = { read: decodeOpen, write: (value: unknown) => encodeOpen(value) }
  const payload = encodeOpen({ item: 'tea', note: 'x' })
  const issues = [{ at: [], keys: ['note'] }]
  const revised = revisePayload(schema, codec, payload, issues)
  assert.deepEqual(revised && decodeOpen(revised), { item: 'tea' })
  for (const none of [undefined, 'text', [{ at: ['item', 'deeper'], keys: ['note'] }], [{ at: [], keys: ['other'] }]])
    assert.equal(revisePayload(schema, codec, payload, none), undefined)
  assert.equal(revisePayload(schema, codec, new TextEncoder().encode('{"item":'), issues), undefined)
})
