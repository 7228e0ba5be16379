/** Messages to a capability that nobody offers yet: they wait, are bound once, expire, and survive a restart. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DurableMessage, encodeMessage } from '../../../../protocols/delivery/durable-message.ts'
import type { MessageDraft, StagedChanges } from '../../../../protocols/delivery/send/outbox.ts'
import { type UnroutedDeps, UnroutedMessages } from '../../../../protocols/delivery/send/unrouted.ts'
import { UNROUTED } from '../../../../protocols/delivery/store/delivery-rows.ts'
import { createVolatileRowStore } from '../../../../protocols/delivery/store/volatile-row-store.ts'
import { ParleyError } from '../../../../protocols/errors.ts'

const message: DurableMessage = {
  id: '018bcfe5-6800-7196-9a9a-000000000001',
  type: 'note',
  version: '1.0.0',
  payload: new Uint8Array(3),
  content: 'bytes',
  conversationId: 'c',
  correlationId: undefined,
  replyTo: undefined,
  headers: {},
  priority: 'high',
  guarantee: 'AT_LEAST_ONCE',
  createdAt: 1,
  ttlMs: undefined,
  traceparent: undefined,
  destinations: [],
}
const bytes = encodeMessage(message)
const policy = { maxRetries: 1, initialDelayMs: 1, maxDelayMs: 1 }
const draftOf = (expiresAt?: number): MessageDraft => ({
  bytes,
  conversationId: 'c',
  priority: 'high',
  policy,
  expiresAt,
})

const open = async (store = createVolatileRowStore('0'.repeat(32))) => {
  const bound: string[] = []
  const dropped: string[] = []
  const dead: string[] = []
  const outcomes: (string | undefined)[] = []
  const logs: string[] = []
  const world = {
    now: 0,
    offers: undefined as string | undefined,
    boundTo: undefined as string | undefined,
    isBusy: false,
    isStopped: false,
    size: 0,
    bytes: 0,
  }
  let makeReady = (): void => {}
  const outbox: UnroutedDeps['outbox'] = {
    isBusy: () => world.isBusy,
    ready: () =>
      new Promise((resolve) => {
        makeReady = resolve
      }),
    stage(peer): StagedChanges {
      if (world.isStopped) throw new ParleyError('COM002', 'this node is stopping')
      return {
        changes: [{ key: `o/${peer}`, value: new Uint8Array(1) }],
        launch: () => void bound.push(peer),
        drop: () => void dropped.push(peer),
      }
    },
    count(messages, more) {
      world.size += messages
      world.bytes += more
    },
  }
  const unrouted = await UnroutedMessages.open({
    port: {
      clock: { now: () => world.now, monotonic: () => world.now },
      log: { error() {}, warn() {}, info: (message) => void logs.push(message) },
    },
    store,
    outbox,
    bindings: { peerOf: () => world.boundTo, bind: () => [] },
    choose: () => world.offers,
    addDeadLetter: ({ destination, fault: { code } }) => ({
      id: 'd1',
      changes: [{ key: 'd/d1', value: new Uint8Array(1) }],
      done: () => void dead.push(`${destination} ${code}`),
    }),
    count() {},
  })
  const send = async (expiresAt?: number, more: Partial<MessageDraft> = {}): Promise<void> => {
    const { changes, launch } = unrouted.stage('note', { ...draftOf(expiresAt), ...more }, (error) =>
      outcomes.push(error?.code),
    )
    await store.commit(changes)
    launch()
  }
  const rows = async (): Promise<string[]> => {
    const keys: string[] = []
    for await (const { key } of store.rows(UNROUTED)) keys.push(key)
    return keys
  }
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  return { unrouted, store, world, send, rows, settled, bound, dropped, dead, outcomes, logs, wake: () => makeReady() }
}

test('it waits, counts in the outbox, and is bound once somebody offers the capability', async () => {
  const { unrouted, world, send, rows, settled, bound } = await open()
  await send()
  unrouted.tick()
  await settled()
  assert.deepEqual([unrouted.size(), world.size, world.bytes], [1, 1, bytes.length])
  world.offers = 'b'
  unrouted.tick()
  unrouted.tick()
  await settled()
  assert.deepEqual(bound, ['b'])
  assert.deepEqual([unrouted.size(), world.size, world.bytes], [0, 0, 0])
  assert.deepEqual(await rows(), [])
})

test('it expires at its time and not before, and is a dead letter then', async () => {
  const { unrouted, world, send, rows, settled, dead, outcomes } = await open()
  await send(100)
  world.now = 99
  unrouted.tick()
  await settled()
  assert.equal(unrouted.size(), 1)
  world.now = 100
  unrouted.tick()
  await settled()
  assert.deepEqual([dead, outcomes, world.size, await rows()], [['capability:note MSG005'], ['MSG005'], 0, []])
})

test('a restart finds it again, and numbers go on after it', async () => {
  const first = await open()
  await first.send()
  const { unrouted, world, send, rows, settled, bound } = await open(first.store)
  assert.deepEqual([unrouted.size(), world.size], [1, 1])
  await send()
  assert.equal((await rows()).length, 2)
  world.offers = 'b'
  unrouted.tick()
  await settled()
  assert.deepEqual(bound, ['b', 'b'])
})

test('where the node stops before it can be bound, it stays on the disk, and nothing is thrown at nobody', async () => {
  const { unrouted, world, send, rows, settled, bound, wake, logs } = await open()
  await send()
  world.offers = 'b'
  world.isBusy = true
  unrouted.tick()
  await settled()
  world.isBusy = false
  world.isStopped = true
  wake()
  await settled()
  assert.deepEqual([bound, logs.length, (await rows()).length], [[], 1, 1])
})

test('in an outbox that was set back, what must count once is a dead letter, since it may have been bound', async () => {
  const first = await open()
  await first.send(undefined, { bytes: encodeMessage({ ...message, guarantee: 'EXACTLY_ONCE' }) })
  await first.send()
  const setBack = createVolatileRowStore('1'.repeat(32))
  for await (const { key, value } of first.store.rows('')) setBack.later([{ key, value }])
  const { unrouted, world, settled, bound, dead } = await open(setBack)
  world.offers = 'b'
  unrouted.tick()
  await settled()
  assert.deepEqual([bound, dead, world.size], [['b'], ['capability:note STA003'], 0])
})

test('a conversation is told to be held until its last message has a peer, and goes to the one that it is bound to', async () => {
  const { unrouted, world, send, settled, bound } = await open()
  const of = { capability: 'note', conversationId: 'c' }
  assert.equal(unrouted.holds(of), false)
  await send()
  await send()
  assert.deepEqual([unrouted.holds(of), unrouted.holds({ ...of, conversationId: 'd' })], [true, false])
  assert.equal(unrouted.holds({ capability: 'note', conversationId: undefined }), false)
  world.offers = 'b'
  world.boundTo = 'z'
  unrouted.tick()
  await settled()
  assert.deepEqual([bound, unrouted.holds(of)], [['z', 'z'], false])
})
