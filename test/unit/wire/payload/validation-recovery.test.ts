/** A payload that the other side refused, checked once more. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as z from 'zod'
import { defineProtocol } from '../../../../protocols/define.ts'
import { fromFault, ParleyError, toFault } from '../../../../protocols/errors.ts'
import type { RunContext } from '../../../../protocols/wire/payload/contract.ts'
import { callerCodec, compile } from '../../../../protocols/wire/payload/contract.ts'

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
