/** Messages to a capability whose peer stays away, between nodes in virtual time: they move, die, wait, and are answered once. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPortNetwork } from '../../../../node/testing/virtual/port-network.ts'
import type { MessageHandler, SendOptions } from '../../../../protocols/delivery/api.ts'
import type { DeliveryOptions } from '../../../../protocols/delivery/options.ts'
import { ABSENCES, BINDINGS, OUTBOX } from '../../../../protocols/delivery/store/delivery-rows.ts'
import type { RowStore } from '../../../../protocols/delivery/store/row-storage.ts'
import { createVolatileRowStore } from '../../../../protocols/delivery/store/volatile-row-store.ts'
import { isParleyError } from '../../../../protocols/errors.ts'
import { type DeliveryNode, keysOf, Note, Order, startDelivery } from '../../../support/delivery-pair.ts'

const AFTER_MS = 20_000
const SLACK_MS = 5_000

/** A sender `s`, and takers that can be killed and come back; `p` is chosen before `q`. */
const meshOf = async (settings: DeliveryOptions = {}) => {
  const network = createPortNetwork()
  const { time } = network
  const up = new Map<string, DeliveryNode>()
  const stores = new Map<string, RowStore>()
  const left = new Set<string>()
  /** They are there, and offer nothing. */
  const idle = new Set<string>()
  const taken: string[] = []
  const idOf = new Map<string, string>()

  const choose = (_: string, except: (peer: string) => boolean = () => false): string | undefined =>
    ['p', 'q', 'r'].flatMap((name) => up.get(name)?.id ?? []).find((id) => !except(id) && !idle.has(id))

  const start = async (name: string): Promise<DeliveryNode> => {
    const store = stores.get(name) ?? createVolatileRowStore(name.charCodeAt(0).toString(16).repeat(16))
    stores.set(name, store)
    const node = await startDelivery(network, name, {
      store,
      settings: { rebindAfterMs: AFTER_MS, ...settings },
      choose,
      absentMs: (peer, capability) =>
        left.has(peer) || (capability !== undefined && idle.has(peer)) ? Number.POSITIVE_INFINITY : 0,
    })
    for (const other of up.values()) network.connect(node.node, other.node)
    up.set(name, node)
    idOf.set(name, node.id)
    return node
  }
  const kill = (name: string): void => {
    up.get(name)?.node.kill()
    up.delete(name)
  }
  const receive = async (name: string, handler: MessageHandler<{ n: number }> = () => {}): Promise<DeliveryNode> => {
    const node = up.get(name) ?? (await start(name))
    await node.messages.receive(Note, async (data, context) => {
      await handler(data, context)
      taken.push(`${name}${data.n}`)
    })
    return node
  }
  const sender = (): DeliveryNode => up.get('s') ?? assert.fail('the sender runs')
  const send = async (n: number, options: SendOptions = {}) =>
    sender().messages.send({ capability: 'note' }, Note, { n }, options)
  const rows = (prefix: string): Promise<string[]> => keysOf(stores.get('s') ?? assert.fail(), prefix)
  await start('s')
  await time.run(20_000)
  return { network, time, start, kill, receive, sender, send, taken, left, idle, idOf, rows }
}

test('a conversation goes to one agent, and to another one, in its order, when that stays away as long as is set', async () => {
  const { time, kill, receive, send, sender, taken, rows, idOf } = await meshOf()
  await receive('p')
  await receive('q')
  for (const n of [1, 2]) await send(n, { conversationId: 'c' })
  await time.run(1_000)
  assert.deepEqual(taken, ['p1', 'p2'])
  kill('p')
  const receipts = []
  for (const n of [3, 4, 5]) receipts.push(await send(n, { conversationId: 'c' }))
  assert.deepEqual(receipts[0]?.destinations, [idOf.get('p')])
  await time.run(AFTER_MS - 1_000)
  assert.deepEqual(taken, ['p1', 'p2'], 'it may come back')
  assert.ok(
    (sender()
      .messages.figures()
      .destinations.find(({ peer }) => peer === idOf.get('p'))?.awayMs ?? 0) > 0,
  )
  await time.run(1_000 + SLACK_MS)
  receipts.push(await send(6, { conversationId: 'c' }))
  await time.settled(Promise.all(receipts.map((receipt) => receipt.delivered())), 2_000)
  assert.deepEqual(taken, ['p1', 'p2', 'q3', 'q4', 'q5', 'q6'])
  const { counts, outbox, deadLetters } = sender().messages.figures()
  assert.deepEqual([counts.moved, outbox, deadLetters], [3, 0, 0])
  await time.run(1_000)
  assert.deepEqual([await rows(OUTBOX), await rows(ABSENCES), (await rows(BINDINGS)).length], [[], [], 1])
  const notes = sender().messages.conversations.get('c')
  assert.deepEqual(
    notes.filter(({ status }) => status === 'moved').map(({ peer, data }) => [peer, data]),
    [3, 4, 5].map((n) => [idOf.get('p'), { n }]),
  )
  assert.equal(notes.filter(({ status, peer }) => status === 'delivered' && peer === idOf.get('q')).length, 4)
})

test('exactly once becomes a dead letter with the reason; where the sender allowed it, it goes to another one', async () => {
  const { time, kill, receive, send, sender, taken, idOf } = await meshOf()
  await receive('p')
  await receive('q')
  await send(0, { conversationId: 'c' })
  await time.run(1_000)
  kill('p')
  const guarantee = 'EXACTLY_ONCE'
  const dies = await send(1, { conversationId: 'c', guarantee })
  const moves = await send(2, { conversationId: 'c', guarantee, rebind: 'allowed' })
  await send(3, { conversationId: 'c' })
  const failed = assert.rejects(
    time.settled(dies.delivered(), AFTER_MS + SLACK_MS),
    (error) => isParleyError(error, 'COM001') && error.details.reason === 'receiver-gone',
  )
  await time.settled(moves.delivered(), AFTER_MS + SLACK_MS)
  await failed
  await time.run(1_000)
  assert.deepEqual(taken, ['p0', 'q2', 'q3'])
  const [letter, ...others] = await sender().messages.deadLetters.list()
  assert.deepEqual(
    [letter?.code, letter?.destination, letter?.capability, letter?.messageId, others.length],
    ['COM002', idOf.get('p'), 'note', dies.id, 0],
  )
  assert.match(letter?.reason ?? '', /^receiver-gone: /)
  assert.equal(sender().messages.figures().counts.receiverGone, 1)
  await sender().messages.deadLetters.retry(letter?.id ?? '')
  await time.run(1_000)
  assert.deepEqual(taken, ['p0', 'q2', 'q3', 'q1'], 'a retry goes to whoever offers it')
})

test('without another taker they wait, and go as soon as there is one', async () => {
  const { time, kill, receive, start, send, sender, taken } = await meshOf()
  await start('x')
  await receive('p')
  await send(1, { conversationId: 'c' })
  await time.run(1_000)
  kill('p')
  for (const guarantee of ['AT_LEAST_ONCE', 'EXACTLY_ONCE'] as const) await send(2, { conversationId: 'c', guarantee })
  await time.run(3 * AFTER_MS)
  const { messages } = sender()
  assert.deepEqual([taken, messages.figures().outbox, messages.figures().deadLetters], [['p1'], 2, 0])
  await receive('q')
  await time.run(SLACK_MS)
  assert.deepEqual([taken, messages.figures().outbox, messages.figures().deadLetters], [['p1', 'q2'], 0, 1])
})

test('a peer that is back in time keeps its messages, and one that said that it does not come back loses them at once', async () => {
  const { time, kill, receive, send, taken, left, idOf } = await meshOf()
  await receive('p')
  await receive('q')
  await send(1, { conversationId: 'c' })
  await time.run(1_000)
  kill('p')
  await send(2, { conversationId: 'c' })
  await time.run(AFTER_MS - 2_000)
  await receive('p')
  await time.run(2 * AFTER_MS)
  assert.deepEqual(taken, ['p1', 'p2'])
  kill('p')
  await send(3, { conversationId: 'c' })
  left.add(idOf.get('p') ?? '')
  await time.run(SLACK_MS)
  assert.deepEqual(taken, ['p1', 'p2', 'q3'])
  // The conversation was moved just now: not again within the time.
  await receive('r')
  kill('q')
  await send(4, { conversationId: 'c' })
  left.add(idOf.get('q') ?? '')
  await time.run(AFTER_MS - 2 * SLACK_MS)
  assert.deepEqual(taken, ['p1', 'p2', 'q3'])
  await time.run(2 * SLACK_MS)
  assert.deepEqual(taken, ['p1', 'p2', 'q3', 'r4'])
})

test('the time goes on after a restart of the sender, and time in which it is connected with nobody does not count', async () => {
  const { time, kill, receive, start, send, taken } = await meshOf()
  await receive('p')
  await receive('q')
  await send(1, { conversationId: 'c' })
  await time.run(1_000)
  kill('p')
  await send(2, { conversationId: 'c' })
  await time.run(AFTER_MS - 4_000)
  kill('s')
  await time.run(10 * AFTER_MS)
  assert.deepEqual(taken, ['p1'])
  const sender = await start('s')
  await time.until(() => taken.includes('q2'), 12_000)
  await receive('p')
  await time.run(1_000)
  kill('p')
  kill('q')
  await sender.messages.send({ capability: 'note' }, Note, { n: 3 }, { conversationId: 'c' })
  await time.run(10 * AFTER_MS)
  await receive('p')
  await time.run(AFTER_MS / 2)
  assert.deepEqual(taken, ['p1', 'q2'], 'its own network may have been away')
  await time.run(AFTER_MS)
  assert.deepEqual(taken, ['p1', 'q2', 'p3'])
})

test('a conversation without messages on their way takes another agent at once where its own is gone or offers it no more', async () => {
  const { time, kill, receive, send, taken, left, idle, idOf } = await meshOf()
  await receive('p')
  await receive('q')
  await send(1, { conversationId: 'c' })
  await time.run(1_000)
  kill('p')
  left.add(idOf.get('p') ?? '')
  const receipt = await send(2, { conversationId: 'c' })
  assert.deepEqual(receipt.destinations, [idOf.get('q')])
  await time.run(1_000)
  await receive('r')
  idle.add(idOf.get('q') ?? '')
  assert.deepEqual((await send(3, { conversationId: 'c' })).destinations, [idOf.get('r')])
  idle.add(idOf.get('r') ?? '')
  await time.run(1_000)
  assert.deepEqual((await send(4, { conversationId: 'c' })).destinations, [idOf.get('r')], 'nobody else does')
  assert.deepEqual(taken, ['p1', 'q2', 'r3'])
})

test('of two answers to a message that was moved the first counts, and the other one is late', async () => {
  const { network, time, kill, receive, start, send, sender, taken, idOf } = await meshOf()
  const answered: string[] = []
  const nameOf = (peer: string): string => [...idOf].find(([, id]) => id === peer)?.[0] ?? peer
  await sender().messages.receive(Order, ({ n }, { message }) => {
    answered.push(`${nameOf(message.source)}${n} ${message.correlationId === first.id}`)
  })
  const p = await receive('p', async ({ n }, { reply }) => {
    await reply(Order, { n })
    // Cut off before it is acknowledged and its answer is sent.
    network.disconnect(p.node, sender().node)
  })
  await receive('q', ({ n }, { reply }) => reply(Order, { n }))
  const first = await send(1, { conversationId: 'c', replyTo: sender().id })
  await time.until(() => taken.includes('q1'), AFTER_MS + SLACK_MS)
  await time.run(1_000)
  assert.deepEqual([taken, answered], [['p1', 'q1'], ['q1 true']])
  kill('p')
  const back = await start('p')
  assert.equal(back.messages.figures().outbox, 1, 'its answer is kept')
  await time.run(2_000)
  assert.deepEqual(answered, ['q1 true'])
  const { counts } = sender().messages.figures()
  assert.deepEqual([counts.lateAnswers, back.messages.figures().outbox], [1, 0])
})

test('a third party hears both answers, the second from another source with the same correlationId', async () => {
  const { network, time, receive, start, send, sender, taken, idOf } = await meshOf()
  const third = await start('t')
  const heard: [source: string, correlationId: string | undefined][] = []
  await third.messages.receive(Order, (_, { message }) => {
    heard.push([message.source, message.correlationId])
  })
  const p = await receive('p', async ({ n }, { reply }) => {
    await reply(Order, { n })
    // Its answer goes out, and its acknowledgement does not.
    network.disconnect(p.node, sender().node)
  })
  await receive('q', ({ n }, { reply }) => reply(Order, { n }))
  const { id } = await send(1, { replyTo: third.id })
  await time.until(() => taken.includes('q1'), AFTER_MS + SLACK_MS)
  await time.until(() => heard.length > 1, 30_000)
  assert.deepEqual(
    heard.toSorted(),
    [
      [idOf.get('p'), id],
      [idOf.get('q'), id],
    ].toSorted(),
  )
})

test('an option that cannot be meant is refused', async () => {
  const { sender, idOf } = await meshOf()
  const { messages } = sender()
  const refusal = (error: unknown): boolean => isParleyError(error, 'MSG001')
  // What no type would let through.
  const never = { rebind: 'never' } as unknown as SendOptions
  await assert.rejects(messages.send({ capability: 'note' }, Note, { n: 1 }, never), refusal)
  await assert.rejects(messages.send(idOf.get('s') ?? '', Note, { n: 1 }, { rebind: 'allowed' }), refusal)
})

test('many conversations move at once, each in its order, while more is sent to them', async () => {
  const { time, kill, receive, send, sender, taken } = await meshOf({ window: 5 })
  const conversations = 20
  await receive('p')
  await receive('q')
  let turn = 0
  const sendAll = (): void => {
    turn += 1
    for (let c = 0; c < conversations; c += 1) void send(turn * 100 + c, { conversationId: `c${c}` })
    void send(-turn)
  }
  sendAll()
  await time.run(2_000)
  kill('p')
  const stop = time.every(200, sendAll)
  await time.run(AFTER_MS + SLACK_MS)
  stop()
  await time.until(() => sender().messages.figures().outbox === 0, 30_000)
  assert.equal(sender().messages.figures().deadLetters, 0)
  assert.equal(taken.length, turn * (conversations + 1))
  assert.equal(new Set(taken).size, taken.length, 'nothing twice')
  for (let c = 0; c < conversations; c += 1) {
    const mine = taken.map((one) => Number(one.slice(1))).filter((n) => n > 0 && n % 100 === c)
    assert.deepEqual(
      mine,
      mine.toSorted((one, other) => one - other),
      `conversation ${c}`,
    )
  }
})
