/** A cursor that a program keeps itself: what is published after it was taken comes from there, on any node. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EventCursor } from '../../../../protocols/events/api.ts'
import { createLedger } from '../../../support/event-ledger.ts'
import { type Net, node, SEEDS } from '../listeners.ts'
import { createPorts } from '../ports.ts'

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i)
/** What the ports' clock shows at the beginning. */
const START_MS = 1_700_000_000_000

const read = async (net: Net, { events }: Pick<ReturnType<typeof node>, 'events'>, cursor: EventCursor) => {
  const ledger = createLedger('reader')
  await net.until(events.subscribe('tasks.#', ledger.hear, { from: { cursor }, onMissed: ledger.miss }))
  return ledger
}

test('another node goes on from it, also long after', async () => {
  for (const seed of SEEDS) {
    const net = createPorts(seed)
    const [a, b, c] = [node(net, 'a'), node(net, 'b'), node(net, 'c')]
    for (const n of numbers(1, 10)) await a.publish(n)
    for (const [one, other] of [
      [a, b],
      [a, c],
      [b, c],
    ] as const)
      net.connect(one.peer, other.peer)
    await net.run(100)
    // It has never heard the topic.
    const cursor = await net.until(b.events.cursor('tasks.done'))
    for (const n of numbers(11, 20)) await a.publish(n)
    await net.run(60_000)
    const late = await read(net, c, JSON.parse(JSON.stringify(cursor)) as EventCursor)
    for (const n of numbers(21, 25)) await a.publish(n)
    await net.run(5_000)
    assert.deepEqual([late.came('a', 1000), late.missed('a', 1000)], [numbers(11, 25), []], `seed ${seed}`)
  }
})

test('what is gone behind it is told as missed', async () => {
  const net = createPorts()
  const a = node(net, 'a', { history: [{ topic: '#', store: 'memory', maxEvents: 5 }] })
  const b = node(net, 'b')
  for (const n of numbers(1, 30)) await a.publish(n)
  net.connect(a.peer, b.peer)
  await net.run(100)
  const positions = [{ publisher: 'a', word: 'tasks', epoch: 1000, next: 3 }]
  const ledger = await read(net, b, { createdAt: START_MS, positions })
  await net.run(60_000)
  const [[from = 0, to = 0] = []] = ledger.missed('a', 1000)
  assert.equal(from, 3)
  assert.ok(to >= 24 && to < 30)
  assert.deepEqual(ledger.came('a', 1000), numbers(to + 1, 30))
})

test('of a publisher that it does not name, what is gone since it was taken is told as missed, and nothing before', async () => {
  const net = createPorts()
  const a = node(net, 'a', { history: [{ topic: '#', store: 'memory', maxEvents: 5 }] })
  const [b, c] = [node(net, 'b'), node(net, 'c')]
  for (const n of numbers(1, 30)) await a.publish(n)
  net.connect(a.peer, b.peer)
  net.connect(a.peer, c.peer)
  await net.run(100)
  const early = await read(net, b, { createdAt: START_MS, positions: [] })
  await net.run(60_000)
  const [[from = 0, to = 0] = []] = early.missed('a', 1000)
  assert.equal(from, 1)
  assert.ok(to >= 24 && to < 30)
  assert.deepEqual(early.came('a', 1000), numbers(to + 1, 30))
  // Some of what is held is from before it: nothing since then is gone.
  const createdAt = START_MS + 30_000
  await a.publish(31)
  const late = await read(net, c, { createdAt, positions: [] })
  await net.run(60_000)
  assert.deepEqual([late.came('a', 1000), late.missed('a', 1000)], [[31], []])
})

test('what is no cursor, or has no first word, is refused', async () => {
  const net = createPorts()
  const { events } = node(net, 'a')
  for (const cursor of [
    {},
    { createdAt: 1 },
    { createdAt: 1, positions: [{ publisher: 'a', word: 'w', epoch: -1, next: 1 }] },
  ])
    await assert.rejects(
      events.subscribe('tasks.#', () => {}, { from: { cursor: cursor as EventCursor } }),
      { code: 'MSG001' },
    )
  for (const topic of ['#', '*.done', '']) await assert.rejects(events.cursor(topic), { code: 'MSG001' }, topic)
})

test('a subscription says how far it is, and another one goes on from there', async () => {
  const net = createPorts()
  const [a, b] = [node(net, 'a'), node(net, 'b')]
  for (const n of numbers(1, 5)) await a.publish(n)
  net.connect(a.peer, b.peer)
  await net.run(100)
  const first = createLedger('first')
  const live = await net.until(b.events.subscribe('tasks.#', () => {}))
  assert.equal(live.cursor(), undefined)
  const subscription = await net.until(b.events.subscribe('tasks.#', first.hear, { from: 'earliest' }))
  for (const n of numbers(6, 10)) await a.publish(n)
  await net.run(5_000)
  assert.deepEqual(first.came('a', 1000), numbers(1, 10))
  const cursor = subscription.cursor()
  assert.deepEqual(cursor?.positions, [{ publisher: 'a', word: 'tasks', epoch: 1000, next: 11 }])
  await subscription.stop()
  for (const n of numbers(11, 15)) await a.publish(n)
  await net.run(1_000)
  const later = await read(net, b, JSON.parse(JSON.stringify(cursor)) as EventCursor)
  await net.run(5_000)
  assert.deepEqual([later.came('a', 1000), later.missed('a', 1000)], [numbers(11, 15), []])
})
