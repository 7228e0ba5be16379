/** Subscriptions that start in the past, are acknowledged, or have a name. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isParleyError } from '../../../../protocols/errors.ts'
import type { SubscribeOptions } from '../../../../protocols/events/api.ts'
import type { MeshEvent } from '../../../../protocols/events/event.ts'
import { createEvents } from '../../../../protocols/events/events.ts'
import type { EventsOptions } from '../../../../protocols/events/options.ts'
import { createLedger, createShelf } from '../../../support/event-ledger.ts'
import { batch } from '../forged.ts'
import { holder, type Net, node, nodes, SEEDS, TOPIC } from '../listeners.ts'
import { createPorts } from '../ports.ts'

const DISK: EventsOptions = { history: [{ topic: '#', store: 'disk' }] }
type Events = ReturnType<typeof createEvents>

const listen = async (net: Net, events: Events, options: SubscribeOptions, pattern = 'tasks.#') => {
  const ledger = createLedger('listener')
  const data: unknown[] = []
  const hear = (event: MeshEvent): void => {
    data.push(event.data)
    ledger.hear(event)
  }
  const subscription = await net.until(events.subscribe(pattern, hear, { onMissed: ledger.miss, ...options }))
  return { ...ledger, data, subscription }
}

const publish = async (net: Net, events: Events, from: number, to: number, topic = 'tasks.x'): Promise<void> => {
  for (let n = from; n <= to; n += 1) await net.until(events.publish(topic, n))
}

test('one that starts at the earliest gets all that is held, of itself and of others, then what comes', async () => {
  for (const seed of SEEDS) {
    const net = createPorts(seed)
    const [a, b] = [node(net, 'a'), node(net, 'b')]
    await publish(net, a.events, 1, 3)
    await publish(net, b.events, 11, 12)
    net.connect(a.peer, b.peer)
    await net.run(100)
    const late = await listen(net, b.events, { from: 'earliest' })
    await net.run(300)
    await publish(net, a.events, 4, 5)
    await publish(net, b.events, 13, 13)
    await net.run(300)
    assert.deepEqual(
      [late.came('a', 1000), late.came('b', 1000)],
      [
        [1, 2, 3, 4, 5],
        [1, 2, 3],
      ],
      `seed ${seed}`,
    )
    assert.equal(late.subscription.delivered(), 8)
    assert.equal(b.events.figures().replayed, 8)
  }
})

test('one that starts at the latest gets only what comes', async () => {
  const net = createPorts()
  const [a, b] = await nodes(net, ['a', 'b'])
  await publish(net, a.events, 1, 3)
  await net.run(50)
  const late = await listen(net, b.events, { from: 'latest', ack: true })
  await publish(net, a.events, 4, 5)
  await net.run(50)
  assert.deepEqual(late.data, [4, 5])
})

test('what a publisher that is gone said is read from others, its earlier lives first', async () => {
  const net = createPorts()
  const [first, b] = await nodes(net, ['a', 'b'])
  await publish(net, first.events, 1, 2)
  await net.run(50)
  net.disconnect(first.peer, b.peer)
  const again = net.add('a', 2000)
  net.connect(again, b.peer)
  await net.run(100)
  await publish(net, createEvents(again.port), 3, 4)
  await net.run(3_000)
  net.disconnect(again, b.peer)
  const c = node(net, 'c')
  net.connect(b.peer, c.peer)
  await net.run(100)
  const late = await listen(net, c.events, { from: 'earliest' })
  await net.run(5_000)
  assert.deepEqual(
    [late.data, b.data()],
    [
      [1, 2, 3, 4],
      [1, 2, 3, 4],
    ],
  )
  assert.deepEqual([late.missed('a', 1000), late.missed('a', 2000)], [[], []])
})

test('a point in time, or so many of the last ones, are where it starts', async () => {
  const net = createPorts()
  const [a, b] = [node(net, 'a'), node(net, 'b')]
  await publish(net, a.events, 1, 4)
  await net.run(5_000)
  const since = a.peer.port.clock.now()
  await publish(net, a.events, 5, 7)
  net.connect(a.peer, b.peer)
  await net.run(100)
  const byTime = await listen(net, b.events, { from: { since } })
  const byDate = await listen(net, b.events, { from: { since: new Date(since) } })
  const byCount = await listen(net, b.events, { from: { last: 2 } })
  const byMore = await listen(net, b.events, { from: { last: 20 } })
  await net.run(300)
  await publish(net, a.events, 8, 8)
  await net.run(300)
  assert.deepEqual(
    [byTime.data, byDate.data, byCount.data],
    [
      [5, 6, 7, 8],
      [5, 6, 7, 8],
      [6, 7, 8],
    ],
  )
  assert.deepEqual(byMore.data, [1, 2, 3, 4, 5, 6, 7, 8])
})

test('what the history gave up is named, once and before what follows', async () => {
  const net = createPorts()
  const [a, b] = [node(net, 'a', { history: [{ topic: 'tasks', maxEvents: 3 }] }), node(net, 'b')]
  await publish(net, a.events, 1, 10)
  net.connect(a.peer, b.peer)
  await net.run(100)
  const late = await listen(net, b.events, { from: 'earliest' })
  await net.run(5_000)
  assert.deepEqual(
    late.told.map(({ kind, from, to }) => `${kind} ${from}-${to}`),
    ['missed 1-7', 'came 8-8', 'came 9-9', 'came 10-10'],
  )
})

test('a pattern gets what matches of what is held, and an open one all words', async () => {
  const net = createPorts()
  const [a, b] = [node(net, 'a'), node(net, 'b')]
  for (const topic of ['tasks.x', 'tasks.y', 'news.x']) await publish(net, a.events, 1, 1, topic)
  net.connect(a.peer, b.peer)
  await net.run(100)
  const some = await listen(net, b.events, { from: 'earliest' }, 'tasks.y')
  const all = await listen(net, b.events, { from: 'earliest' }, '#')
  await net.run(1_000)
  assert.deepEqual([some.data, all.data.length], [[1], 3])
})

test('a slow listener slows the reading, and nothing overflows', async () => {
  const net = createPorts()
  const [a, b] = await nodes(net, ['a', 'b'], { queueEvents: 2 })
  const heard: unknown[] = []
  let most = 0
  const slow = ({ data }: MeshEvent): Promise<void> =>
    new Promise((resolve) => {
      most = Math.max(most, b.events.figures().readingBytes)
      b.peer.port.timers.after(5, () => {
        heard.push(data)
        resolve()
      })
    })
  await net.until(b.events.subscribe('tasks.#', slow, { ack: true }))
  await publish(net, a.events, 1, 300)
  await net.run(5_000)
  assert.deepEqual(
    heard,
    Array.from({ length: 300 }, (_, n) => n + 1),
  )
  assert.ok(most < 1024 * 1024)
})

test('an event that fails comes again, after a growing pause, before the next of its publisher and not before others', async () => {
  const net = createPorts()
  const [a, b, c] = await nodes(net, ['a', 'b', 'c'])
  const tries: string[] = []
  const failing = ({ source, data }: MeshEvent): Promise<void> => {
    tries.push(`${source}${data} ${Math.round(net.now())}`)
    return source === 'a' && data === 1 && tries.length < 4 ? Promise.reject(new Error('not yet')) : Promise.resolve()
  }
  await net.until(c.events.subscribe('tasks.#', failing, { ack: true, retryMs: 100 }))
  await publish(net, a.events, 1, 2)
  await net.run(30)
  await publish(net, b.events, 1, 1)
  await net.run(2_000)
  assert.deepEqual(
    tries.map((one) => one.split(' ')[0]),
    ['a1', 'b1', 'a1', 'a1', 'a2'],
  )
  assert.equal(c.events.figures().redelivered, 2)
})

test('after its last attempt an event is told and left behind', async () => {
  const net = createPorts()
  const [a, b] = await nodes(net, ['a', 'b'])
  const tries: unknown[] = []
  const left: unknown[] = []
  const options: SubscribeOptions = {
    ack: true,
    attempts: 3,
    retryMs: 10,
    onFailed: ({ data }, error) => left.push([data, error instanceof Error ? error.message : error]),
  }
  const failing = ({ data }: MeshEvent): void => {
    tries.push(data)
    if (data === 1) throw new Error('never')
  }
  await net.until(b.events.subscribe('tasks.#', failing, options))
  await publish(net, a.events, 1, 2)
  await net.run(1_000)
  assert.deepEqual([tries, left], [[1, 1, 1, 2], [[1, 'never']]])
  const { redelivered, givenUp } = b.events.figures()
  assert.deepEqual([redelivered, givenUp], [2, 1])
  assert.deepEqual([b.peer.count('events_redelivered_total'), b.peer.count('events_given_up_total')], [2, 1])
})

test('without acknowledgement a listener that throws gets the next event', async () => {
  const net = createPorts()
  const a = node(net, 'a')
  await publish(net, a.events, 1, 3)
  const heard: unknown[] = []
  const throwing = ({ data }: MeshEvent): void => {
    heard.push(data)
    throw new Error('listener')
  }
  await net.until(a.events.subscribe('tasks.#', throwing, { from: 'earliest' }))
  await net.run(100)
  assert.deepEqual([heard, a.peer.count('event_listener_errors_total')], [[1, 2, 3], 3])
})

test('a loop acknowledges an event by asking for the next one', async () => {
  const net = createPorts()
  const peer = net.add('a')
  const shelf = createShelf()
  const events = createEvents(peer.port, DISK, shelf)
  await publish(net, events, 1, 3)
  const read = async (count: number): Promise<unknown[]> => {
    const subscription = await net.until(
      events.subscribe('tasks.#', undefined, { from: 'earliest', ack: true, name: 'loop' }),
    )
    const data: unknown[] = []
    for await (const event of subscription) {
      data.push(event.data)
      if (data.length === count) break
    }
    return data
  }
  assert.deepEqual(await net.until(read(2)), [1, 2])
  assert.deepEqual(await net.until(read(2)), [2, 3], 'the one in whose turn it was left was not handled')
})

test('a name goes on where it was, in the same run and in the next, and reads what it missed', async () => {
  const net = createPorts()
  const a = node(net, 'a', DISK)
  const shelf = createShelf()
  const options: SubscribeOptions = { from: 'earliest', ack: true, name: 'worker' }
  const life = async (epoch: number) => {
    const peer = net.add('b', epoch)
    const events = createEvents(peer.port, {}, shelf)
    net.connect(a.peer, peer)
    await net.run(100)
    return { peer, events, heard: await listen(net, events, options) }
  }
  await publish(net, a.events, 1, 2)
  const first = await life(1000)
  await net.run(200)
  void first.heard.subscription.stop()
  await publish(net, a.events, 3, 4)
  await net.run(100)
  const again = await listen(net, first.events, options)
  await net.run(200)
  assert.deepEqual(
    [first.heard.data, again.data],
    [
      [1, 2],
      [3, 4],
    ],
  )
  await net.run(1_500)
  // Killed: nothing more is written.
  net.disconnect(a.peer, first.peer)
  await publish(net, a.events, 5, 6)
  const second = await life(2000)
  await net.run(300)
  await publish(net, a.events, 7, 7)
  await net.run(300)
  assert.deepEqual([second.heard.data, second.heard.missed('a', 1000)], [[5, 6, 7], []])
})

test('a name that begins at the latest reads what a newcomer said while it was away', async () => {
  const net = createPorts()
  const shelf = createShelf()
  const life = async (epoch: number, others: ReturnType<typeof node>[]) => {
    const peer = net.add('b', epoch)
    const events = createEvents(peer.port, {}, shelf)
    for (const other of others) net.connect(other.peer, peer)
    await net.run(100)
    return { peer, heard: await listen(net, events, { name: 'worker' }) }
  }
  const a = node(net, 'a')
  await publish(net, a.events, 1, 2)
  const first = await life(1000, [a])
  await publish(net, a.events, 3, 3)
  await net.run(1_500)
  net.disconnect(a.peer, first.peer)
  const c = node(net, 'c')
  await publish(net, a.events, 4, 4)
  await publish(net, c.events, 11, 12)
  const second = await life(2000, [a, c])
  await net.run(1_000)
  assert.deepEqual(first.heard.data, [3])
  assert.deepEqual(second.heard.data.toSorted(), [11, 12, 4])
})

test('a name is used by one subscription at a time, and must be a name', async () => {
  const net = createPorts()
  const { events } = node(net, 'a')
  const one = await net.until(events.subscribe('tasks.#', () => undefined, { name: 'worker' }))
  const subscribe = (options: SubscribeOptions) => net.until(events.subscribe('tasks.#', () => undefined, options))
  await assert.rejects(subscribe({ name: 'worker' }), (error) => isParleyError(error, 'STA003'))
  void one.stop()
  await subscribe({ name: 'worker' })
  for (const name of ['', '../x', 'a/b', '.hidden', 'x'.repeat(65)]) {
    await assert.rejects(subscribe({ name }), (error) => isParleyError(error, 'MSG001'), name)
  }
  await subscribe({ name: 'x'.repeat(64) })
})

test('options that make no sense are refused', async () => {
  const net = createPorts()
  const { events } = node(net, 'a')
  const wrong: unknown[] = [
    { from: 'yesterday' },
    { from: { last: 0 } },
    { from: { last: 1.5 } },
    { from: { since: 'noon' } },
    { from: null },
    { ack: true, attempts: 0 },
    { ack: true, retryMs: 0 },
  ]
  for (const options of wrong) {
    const subscribing = net.until(events.subscribe('tasks.#', () => undefined, options as SubscribeOptions))
    await assert.rejects(subscribing, (error) => isParleyError(error, 'MSG001'), JSON.stringify(options))
  }
})

test('a neighbour that speaks 1.1 gives what it holds, and its last events are asked for when it comes back', async () => {
  const net = createPorts()
  const old = await holder(net, 'q', (from) => ({ batches: from <= 3 ? [batch({ first: from })] : [] }), { old: true })
  const [b] = [node(net, 'b')]
  net.connect(b.peer, old)
  await net.run(100)
  await b.listen()
  await net.until(b.peer.gossip.receive(TOPIC, batch({ first: 1 }), 'q'))
  const late = await listen(net, b.events, { from: 'earliest' })
  net.disconnect(b.peer, old)
  net.connect(b.peer, old)
  await net.run(3_000)
  assert.deepEqual(
    [b.heard.map(({ sequence }) => sequence), late.came('q', 5)],
    [
      [1, 2, 3],
      [1, 2, 3],
    ],
  )
  await net.until(b.events.publish('tasks.x', 1))
  await net.run(10_000)
  assert.equal(old.calls.filter(({ input }) => JSON.stringify(input).includes('"heads"')).length, 0)
})
