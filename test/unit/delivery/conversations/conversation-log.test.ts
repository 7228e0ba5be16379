/** What is remembered of conversations, and what is forgotten. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  ENTRY_OVERHEAD_BYTES,
  MAX_KEPT_BYTES,
} from '../../../../protocols/delivery/conversations/conversation-entry.ts'
import { createConversationLog } from '../../../../protocols/delivery/conversations/conversation-log.ts'
import type { DurableMessage } from '../../../../protocols/delivery/durable-message.ts'
import { encodePayload } from '../../../../protocols/wire/payload/payload.ts'
import { deliveryPair, Note } from '../../../support/delivery-pair.ts'

const message = (id: string, conversationId: string | undefined, data: unknown = id): DurableMessage => ({
  id,
  type: 'note',
  version: '1.0.0',
  payload: encodePayload('json', data),
  content: 'json',
  conversationId,
  correlationId: undefined,
  replyTo: undefined,
  headers: {},
  priority: 'normal',
  guarantee: 'AT_LEAST_ONCE',
  createdAt: 0,
  ttlMs: undefined,
  traceparent: undefined,
  destinations: [],
})

const start = (
  settings: { conversations?: number; conversationMessages?: number; conversationBytes?: number } = {},
) => {
  let now = 0
  let forgotten = 0
  const conversations = createConversationLog({
    port: { clock: { now: () => ++now, monotonic: () => now } },
    settings: { conversations: 1_000, conversationMessages: 1_000, conversationBytes: 16_777_216, ...settings },
    forgotten: (count) => {
      forgotten += count
    },
  })
  return { conversations, forgotten: () => forgotten }
}

test('both sides remember what was said, with how it ended, and nothing without a conversation', async () => {
  const { time, from, to } = await deliveryPair()
  let fails = 1
  await to.messages.receive(Note, async ({ n }, { message: got, tx }) => {
    if (n === 1 && fails-- > 0) throw new Error('a handler of a test')
    if (got.conversationId !== undefined) await tx.send(got.source, Note, { n: n + 10 }, { conversationId: 'c' })
  })
  await from.messages.receive(Note, () => {})
  for (const n of [0, 1]) await from.messages.send(to.id, Note, { n }, { conversationId: 'c' })
  await from.messages.send(to.id, Note, { n: 5 })
  await time.run(10_000)
  const shown = (of: typeof from) =>
    of.messages.conversations
      .get('c')
      .map(({ direction, status, data, attempts }) => [direction, status, data, attempts])
  assert.deepEqual(shown(from), [
    ['sent', 'delivered', { n: 0 }, 1],
    ['sent', 'delivered', { n: 1 }, 1],
    ['received', 'processed', { n: 10 }, 1],
    ['received', 'processed', { n: 11 }, 1],
  ])
  assert.deepEqual(shown(to), [
    ['received', 'processed', { n: 0 }, 1],
    ['sent', 'delivered', { n: 10 }, 1],
    ['received', 'processed', { n: 1 }, 2],
    ['sent', 'delivered', { n: 11 }, 1],
  ])
  const [facts, ...others] = from.messages.conversations.list()
  assert.deepEqual([facts?.id, facts?.messages, facts?.peers, others.length], ['c', 4, [to.id], 0])
})

test('a message that was given up is dead there, with its code', async () => {
  const { time, from, to } = await deliveryPair()
  await to.messages.receive(Note, () => {
    throw new Error('a handler of a test')
  })
  await from.messages.send(to.id, Note, { n: 1 }, { conversationId: 'c', retry: { maxRetries: 1 } })
  await time.run(1)
  assert.equal(from.messages.conversations.get('c')[0]?.status, 'sent')
  await time.run(10_000)
  const [sent] = from.messages.conversations.get('c')
  const [received] = to.messages.conversations.get('c')
  assert.deepEqual([sent?.status, sent?.code], ['dead', 'APP001'])
  assert.deepEqual([received?.status, received?.code, received?.attempts], ['failed', 'APP001', 2])
})

test('a conversation remembers its last messages, and counts the others', () => {
  const { conversations, forgotten } = start({ conversationMessages: 3 })
  for (const id of ['1', '2', '3']) conversations.recordSent(message(id, 'c'), 'p')
  assert.deepEqual([conversations.get('c').length, forgotten()], [3, 0])
  conversations.recordSent(message('4', 'c'), 'p')
  assert.deepEqual(
    conversations.get('c').map(({ id }) => id),
    ['2', '3', '4'],
  )
  assert.deepEqual([forgotten(), conversations.list()[0]?.forgotten], [1, 1])
})

test('beyond the conversations that are remembered the one that was used longest ago goes', () => {
  const { conversations, forgotten } = start({ conversations: 2 })
  conversations.recordSent(message('1', 'a'), 'p')
  conversations.recordSent(message('2', 'b'), 'p')
  conversations.recordReceived(message('3', 'a'), 'p')
  assert.deepEqual([conversations.size(), forgotten()], [2, 0])
  conversations.recordSent(message('4', 'c'), 'p')
  assert.deepEqual(
    conversations.list().map(({ id }) => id),
    ['c', 'a'],
  )
  assert.deepEqual([conversations.get('b'), forgotten()], [[], 1])
  assert.deepEqual(
    conversations.list({ limit: 1 }).map(({ id }) => id),
    ['c'],
  )
})

test('bytes of all are bounded: other conversations go first, then the oldest messages of the last one', () => {
  const size = ENTRY_OVERHEAD_BYTES + 3
  const { conversations, forgotten } = start({ conversationBytes: 3 * size })
  conversations.recordSent(message('1', 'a'), 'p')
  conversations.recordSent(message('2', 'b'), 'p')
  conversations.recordSent(message('3', 'b'), 'p')
  assert.deepEqual([conversations.bytes(), forgotten()], [3 * size, 0])
  conversations.recordSent(message('4', 'b'), 'p')
  assert.deepEqual([conversations.size(), conversations.bytes(), forgotten()], [1, 3 * size, 1])
  conversations.recordSent(message('5', 'b'), 'p')
  assert.deepEqual(
    conversations.get('b').map(({ id }) => id),
    ['3', '4', '5'],
  )
  const none = start({ conversationBytes: 0 })
  none.conversations.recordSent(message('1', 'a'), 'p')
  assert.deepEqual([none.conversations.bytes(), none.conversations.get('a')], [0, []])
  const off = start({ conversations: 0 })
  assert.equal(off.conversations.recordSent(message('1', 'a'), 'p'), undefined)
})

test('calls lie beside messages, in order, with how they ended', () => {
  const { conversations } = start()
  const said = { label: 'probe.echo', payload: encodePayload('json', { n: 1 }), conversationId: 'a', peer: 'p' }
  const call = { ...said, content: 'json', direction: 'sent' } as const
  const answered = conversations.recordCall(call)
  conversations.recordSent(message('1', 'a'), 'p')
  const failed = conversations.recordCall(call)
  conversations.recordCall({ ...call, direction: 'received' })
  answered?.()
  failed?.('COM001')
  assert.deepEqual(
    conversations.get('a').map(({ type, isCall, direction, status, code }) => [type, isCall, direction, status, code]),
    [
      ['call.probe.echo', true, 'sent', 'answered', undefined],
      ['note', false, 'sent', 'sent', undefined],
      ['call.probe.echo', true, 'sent', 'failed', 'COM001'],
      ['call.probe.echo', true, 'received', 'received', undefined],
    ],
  )
  assert.deepEqual(conversations.get('a')[0]?.data, { n: 1 })
  assert.equal(conversations.recordCall({ ...call, conversationId: undefined }), undefined)
  assert.equal(start({ conversations: 0 }).conversations.recordCall(call), undefined)
})

test('calls count against the same bounds as messages', () => {
  const { conversations, forgotten } = start({ conversationMessages: 2 })
  const call = { label: 'a.b', content: 'json', payload: new Uint8Array(0), conversationId: 'c', peer: 'p' } as const
  const first = conversations.recordCall({ ...call, direction: 'sent' })
  conversations.recordCall({ ...call, direction: 'sent' })
  assert.deepEqual([conversations.get('c').length, forgotten()], [2, 0])
  conversations.recordCall({ ...call, direction: 'sent' })
  assert.deepEqual([conversations.get('c').length, forgotten()], [2, 1])
  // What is forgotten may still end.
  first?.()
  assert.deepEqual(
    conversations.get('c').map(({ status }) => status),
    ['sent', 'sent'],
  )
})

test('of large data the beginning is kept', () => {
  const { conversations } = start()
  const whole = 'x'.repeat(MAX_KEPT_BYTES - 2)
  conversations.recordSent(message('1', 'a', whole), 'p')
  conversations.recordSent(message('2', 'a', `${whole}x`), 'p')
  conversations.recordSent(
    { ...message('3', 'a'), content: 'cbor', payload: encodePayload('cbor', `${whole}xxx`) },
    'p',
  )
  assert.deepEqual(
    conversations.get('a').map(({ data, isCut, bytes }) => [data, isCut, bytes]),
    [
      [whole, false, MAX_KEPT_BYTES],
      [`"${whole}x`, true, MAX_KEPT_BYTES + 1],
      [undefined, true, MAX_KEPT_BYTES + 4],
    ],
  )
})

test('one message to several peers is one entry for each; the same message again is the same entry', () => {
  const { conversations } = start()
  const note = conversations.recordSent(message('1', 'a'), 'p')
  conversations.recordSent(message('1', 'a'), 'q')
  if (note === undefined) return assert.fail()
  conversations.recordEnd(note, { code: 'APP001', isDead: true })
  assert.equal(conversations.recordSent(message('1', 'a'), 'p'), note)
  assert.deepEqual(
    conversations.get('a').map(({ peer, status, attempts }) => [peer, status, attempts]),
    [
      ['p', 'sent', 2],
      ['q', 'sent', 1],
    ],
  )
})

test('one conversation is forgotten, or all', () => {
  const { conversations } = start()
  for (const [n, id] of ['a', 'a', 'b', 'c'].entries()) conversations.recordSent(message(`${n}`, id), 'p')
  assert.deepEqual([conversations.clear('a'), conversations.clear('a'), conversations.size()], [2, 0, 2])
  assert.deepEqual([conversations.clear(), conversations.size(), conversations.bytes()], [2, 0, 0])
})
