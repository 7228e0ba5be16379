/** An outbox that is another one than before: what its rows hold, and what the peer says of which outbox, decide what is sent. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPortNetwork } from '../../../../../node/testing/virtual/port-network.ts'
import { deliveryProtocol } from '../../../../../protocols/delivery/contract.ts'
import { createDelivery } from '../../../../../protocols/delivery/delivery.ts'
import { decodeMessageFrame } from '../../../../../protocols/delivery/delivery-frames.ts'
import { decodeMessage, encodeMessage, type Guarantee } from '../../../../../protocols/delivery/durable-message.ts'
import { RetryPolicySchema } from '../../../../../protocols/delivery/options.ts'
import {
  encodeOutboxRow,
  encodePeerSenderRow,
  outboxKey,
  PEER_SENDERS,
} from '../../../../../protocols/delivery/store/delivery-rows.ts'
import type { RowStore } from '../../../../../protocols/delivery/store/row-storage.ts'
import { createVolatileRowStore } from '../../../../../protocols/delivery/store/volatile-row-store.ts'

const FIRST = '1'.repeat(32)
const SECOND = '2'.repeat(32)
const THIRD = '3'.repeat(32)
const LANE = 5

const idOf = (n: number): string => `01900000-0000-7000-8000-00000000000${n}`

const rowOf = (n: number, guarantee: Guarantee): Uint8Array =>
  encodeOutboxRow(
    encodeMessage({
      id: idOf(n),
      type: 'note',
      version: undefined,
      payload: new TextEncoder().encode('{}'),
      content: 'json',
      conversationId: 'c',
      correlationId: undefined,
      replyTo: undefined,
      headers: {},
      priority: 'normal',
      guarantee,
      createdAt: 0,
      ttlMs: undefined,
      traceparent: undefined,
      destinations: [],
    }),
    RetryPolicySchema.parse({}),
    undefined,
  )

interface Known {
  readonly epoch: string
  /** All up to this number were processed. */
  readonly upTo: number
}

/**
 * A store that took the place of others, with messages 1 to 4, of which 2 and 4 are EXACTLY_ONCE.
 * @param next of the row of numbers; undefined: it is lost
 */
const play = async (next: number | undefined, former: Known | undefined) => {
  const network = createPortNetwork({ seed: 1 })
  const [sender, receiver] = [network.start('sender'), network.start('receiver')]
  const sent: string[] = []
  await receiver.port.serve(deliveryProtocol, {
    hello: async () => ({
      window: 100,
      positions: [],
      ...(former !== undefined && {
        former: { epoch: former.epoch, positions: [{ lane: LANE, upTo: former.upTo, done: [] }] },
      }),
    }),
    messages(frame) {
      for (const { message } of decodeMessageFrame(frame).entries)
        if (message !== undefined) sent.push(decodeMessage(new Uint8Array(message)).id)
    },
    answers: () => {},
    fire: () => {},
  })
  const store: RowStore = { ...createVolatileRowStore(THIRD), formerIds: [FIRST] }
  await store.commit(
    [1, 2, 3, 4].map((n) => ({
      key: outboxKey(receiver.id, LANE, n),
      value: rowOf(n, n % 2 === 0 ? 'EXACTLY_ONCE' : 'AT_LEAST_ONCE'),
    })),
  )
  if (next !== undefined) {
    const row = encodePeerSenderRow({ epoch: FIRST, next: new Map([[LANE, next]]), frontier: undefined })
    await store.commit([{ key: PEER_SENDERS + receiver.id, value: row }])
  }
  const messages = await createDelivery({
    port: sender.port,
    store,
    isVolatile: false,
    choose: () => undefined,
    absentMs: () => 0,
    publish: async () => {},
    announce: async () => async () => {},
    chance: () => 0.5,
  })
  network.connect(sender, receiver)
  await network.time.run(2_000)
  const dead = await messages.deadLetters.list()
  return {
    sent: sent.map((id) => Number(id.at(-1))),
    dead: dead.map(({ messageId }) => Number(messageId.at(-1))),
    all: dead,
  }
}

test('what the peer processed of the former outbox is not sent again', async () => {
  const { sent, dead } = await play(5, { epoch: FIRST, upTo: 2 })
  assert.deepEqual([sent, dead], [[3, 4], []])
})

test('a row of numbers that is older than the messages, or lost, does not make the peer process anything twice', async () => {
  for (const next of [2, undefined]) {
    const { sent, dead } = await play(next, { epoch: FIRST, upTo: 3 })
    assert.deepEqual([sent, dead], [[4], []], `next ${next}`)
  }
})

test('a peer that knows none of the former outboxes gets all', async () => {
  const { sent, dead } = await play(5, undefined)
  assert.deepEqual([sent, dead], [[1, 2, 3, 4], []])
})

test('where the peer knows an outbox in between, EXACTLY_ONCE becomes a dead letter, and the rest comes again', async () => {
  const { sent, dead, all } = await play(5, { epoch: SECOND, upTo: 1 })
  assert.deepEqual(
    [sent, dead],
    [
      [1, 3],
      [2, 4],
    ],
  )
  assert.deepEqual([...new Set(all.map(({ code }) => code))], ['STA003'])
})
