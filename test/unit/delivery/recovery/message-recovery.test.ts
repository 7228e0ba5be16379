import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { defineMessage } from '../../../../protocols/delivery/define-message.ts'
import { type DurableMessage, decodeMessage, encodeMessage } from '../../../../protocols/delivery/durable-message.ts'
import { createMessageRevisions } from '../../../../protocols/delivery/recovery/message-recovery.ts'
import { decodePayload, encodePayload } from '../../../../protocols/wire/payload/payload.ts'

const Order = defineMessage({
  type: 'order.placed',
  version: '1.1.0',
  schema: z.object({ item: z.string(), count: z.int().default(1) }),
})
const misfit = { code: 'MSG001', message: 'order.placed does not fit its schema' }

const written = (data: unknown, type = Order.type): Uint8Array => {
  const message: DurableMessage = {
    id: '018bcfe5-6800-7b07-8784-6a35bccbbc1a',
    type,
    version: '1.1.0',
    payload: encodePayload('json', data),
    content: 'json',
    conversationId: 'ada',
    correlationId: undefined,
    replyTo: undefined,
    headers: { a: 'b' },
    priority: 'high',
    guarantee: 'EXACTLY_ONCE',
    createdAt: 5,
    ttlMs: undefined,
    traceparent: undefined,
    destinations: [],
  }
  return encodeMessage(message)
}

test('data that a receiver refused is sent as the schema makes it, and all else stays', () => {
  const revisions = createMessageRevisions()
  revisions.know(Order)
  const revised = revisions.revise(written({ item: 'tea', note: 'unknown to the receiver' }), misfit)
  assert.ok(revised)
  const { payload, ...rest } = decodeMessage(revised)
  const { payload: _, ...before } = decodeMessage(written({ item: 'tea' }))
  assert.deepEqual(decodePayload('json', payload), { item: 'tea', count: 1 })
  assert.deepEqual(rest, before)
})

test('there is nothing to revise where the schema changes nothing, fits nothing, or is not known', () => {
  const revisions = createMessageRevisions()
  revisions.know(Order)
  assert.equal(revisions.revise(written({ item: 'tea', count: 2 }), misfit), undefined)
  assert.equal(revisions.revise(written({ item: 7 }), misfit), undefined)
  assert.equal(revisions.revise(written({ item: 'tea', x: 1 }, 'other.type'), misfit), undefined)
  assert.equal(revisions.revise(written({ item: 'tea', x: 1 }), { code: 'APP001', message: 'no' }), undefined)
})

test('the last 256 definitions are known', () => {
  const revisions = createMessageRevisions()
  revisions.know(Order)
  for (let i = 0; i < 255; i += 1) revisions.know({ ...Order, type: `t.${i}` })
  assert.ok(revisions.revise(written({ item: 'tea', x: 1 }), misfit))
  revisions.know({ ...Order, type: 't.255' })
  assert.equal(revisions.revise(written({ item: 'tea', x: 1 }), misfit), undefined)
})
