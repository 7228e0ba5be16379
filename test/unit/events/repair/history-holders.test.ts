/** Whoever is connected is asked before anything is given up, and waits do not add up. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ParleyError } from '../../../../protocols/errors.ts'
import { eventsProtocol } from '../../../../protocols/events/protocol.ts'
import { createHistoryHolders, MAX_HOLDERS } from '../../../../protocols/events/repair/history-holders.ts'
import { createLedger } from '../../../support/event-ledger.ts'
import { batch } from '../forged.ts'
import { holder, type Net, node, SEEDS, sequences, TOPIC, withGap } from '../listeners.ts'
import { createPorts, type Peer } from '../ports.ts'

const asks = ({ calls }: Peer): number => calls.filter(({ input }) => JSON.stringify(input).includes('"word"')).length
const NOTHING = () => ({ batches: [] })

/** Neighbours that hear the topic and hold nothing. */
const poor = (net: Net, count: number): Promise<Peer[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => holder(net, `poor${index}`, NOTHING)))

/** A publisher that speaks gossip and nothing else of events. */
const foreign = (net: Net): Peer => {
  const peer = net.add('q')
  peer.port.gossip.subscribe(
    TOPIC,
    async () => 'keep',
    () => undefined,
  )
  return peer
}

test('a gap is filled by the one of many neighbours that has it, whichever it is', async () => {
  for (const seed of SEEDS) {
    const net = createPorts(seed)
    const rich = await holder(net, 'rich', (from) => ({ batches: from === 2 ? [batch({ first: 2 })] : [] }))
    const listener = await withGap(net, [...(await poor(net, 40)), rich])
    await net.run(1_000)
    assert.deepEqual([sequences(listener), listener.missed], [[1, 2, 3], []], `seed ${seed}`)
  }
})

test('what a publisher that is gone said is read from the one of many neighbours that holds it', async () => {
  for (const seed of SEEDS) {
    const net = createPorts(seed)
    const [a, b, c] = [node(net, 'a'), node(net, 'b'), node(net, 'c')]
    net.connect(a.peer, b.peer)
    await net.run(50)
    await b.listen()
    for (let n = 1; n <= 3; n += 1) await a.publish(n)
    await net.run(100)
    net.disconnect(a.peer, b.peer)
    for (const peer of [...(await poor(net, 40)), b.peer]) net.connect(c.peer, peer)
    await net.run(100)
    const ledger = createLedger('late')
    await net.until(c.events.subscribe('tasks.#', ledger.hear, { from: 'earliest', onMissed: ledger.miss }))
    await net.run(1_000)
    assert.deepEqual([ledger.came('a', 1000), ledger.missed('a', 1000)], [[1, 2, 3], []], `seed ${seed}`)
  }
})

test('no more than eight are asked at one time, and nobody twice in a round', async () => {
  for (const seed of SEEDS) {
    const net = createPorts(seed)
    const self = net.add('p')
    const others = await poor(net, 70)
    for (const other of others) net.connect(self, other)
    await net.run(100)
    const holders = createHistoryHolders(self.port, () => TOPIC)
    const series = { publisher: 'poor7', word: 'tasks', epoch: 1 }
    holders.gave(series, 'poor9')
    for (let n = 0; n < 30; n += 1) holders.holds(series, `poor${n}`)
    const asked = new Map<string, number>()
    for (const together of [true, false]) {
      const groups = holders.groups(series, asked, new Set(['poor11']), together)
      const all = groups.flat()
      assert.deepEqual([new Set(all).size, all.includes('poor11')], [all.length, false])
      assert.ok(all.length <= MAX_HOLDERS + 2 && groups.every((group) => group.length <= 8), `seed ${seed}`)
      assert.deepEqual(all.slice(0, 2), ['poor9', 'poor7'])
      for (const id of all) asked.set(id, (asked.get(id) ?? 0) + 1)
    }
    assert.ok(holders.allAsked(asked, new Set(['poor11'])), 'those left out the first time come first the second')
  }
})

test('a publisher that cannot be asked for events counts as gone at once: others are asked, and then it is told', async () => {
  for (const seed of SEEDS) {
    const net = createPorts(seed)
    const publisher = foreign(net)
    const [other] = await poor(net, 1)
    assert.ok(other !== undefined)
    const listener = await withGap(net, [publisher, other])
    await net.run(3_000)
    assert.deepEqual([sequences(listener), listener.missed.length], [[1, 3], 1], `seed ${seed}`)
    assert.equal(asks(other), 4)
    assert.equal(asks(publisher), 1, 'and it is not asked again')
    const filled = createPorts(seed)
    const rich = await holder(filled, 'rich', (from) => ({ batches: from === 2 ? [batch({ first: 2 })] : [] }))
    const happy = await withGap(filled, [foreign(filled), rich])
    await filled.run(500)
    assert.deepEqual([sequences(happy), happy.missed], [[1, 2, 3], []])
  }
})

test('two gaps of one publisher that are seen together are both given up after gapMs', async () => {
  const net = createPorts()
  const only = node(net, 'p', { gapMs: 5_000 })
  await only.listen()
  for (const first of [1, 3, 5, 7]) await net.until(only.peer.gossip.receive(TOPIC, batch({ first })))
  await net.run(4_900)
  assert.deepEqual([sequences(only), only.missed.length], [[1], 0])
  await net.run(300)
  assert.deepEqual([sequences(only), only.missed.length], [[1, 3, 5, 7], 3])
})

test('a gap that is seen while another is waited for has its own time', async () => {
  const net = createPorts()
  const only = node(net, 'p', { gapMs: 5_000 })
  await only.listen()
  for (const first of [1, 3]) await net.until(only.peer.gossip.receive(TOPIC, batch({ first })))
  await net.run(4_000)
  await net.until(only.peer.gossip.receive(TOPIC, batch({ first: 5 })))
  await net.run(1_300)
  assert.deepEqual(sequences(only), [1, 3], 'the first is given up after five seconds')
  await net.run(3_500)
  assert.deepEqual(sequences(only), [1, 3])
  await net.run(500)
  assert.deepEqual(sequences(only), [1, 3, 5], 'the second five seconds after it was seen')
})

test('a subscription that reads waits for several gaps of a publisher that is gone no longer than for one', async () => {
  const net = createPorts()
  const held = [1, 3, 5, 7].map((first) => batch({ first }))
  const giver = net.add('giver')
  await giver.port.serve(eventsProtocol, {
    sync: async ({ topics }) => ({ seen: topics, hears: topics, own: [] }),
    heads: () => undefined,
    catalog: async ({ word }) => ({ held: [{ publisher: 'q', word, epoch: 5, from: 1, to: 7 }] }),
    fetch: async ({ from }) => {
      const bytes = held[Math.floor(from / 2)]
      return { batches: bytes === undefined ? [] : [{ bytes, ageMs: 0 }], more: false }
    },
  })
  const reader = node(net, 'p', { gapMs: 5_000 })
  net.connect(reader.peer, giver)
  await net.run(100)
  const ledger = createLedger('reader')
  await net.until(reader.events.subscribe('tasks.#', ledger.hear, { from: 'earliest', onMissed: ledger.miss }))
  await net.run(6_000)
  assert.deepEqual(
    ledger.told.map(({ kind, from }) => `${kind} ${from}`),
    ['came 1', 'missed 2', 'came 3', 'missed 4', 'came 5', 'missed 6', 'came 7'],
  )
})

test('a neighbour that was busy when it was asked what it holds is asked again', async () => {
  for (const seed of SEEDS) {
    const net = createPorts(seed)
    const [a, b] = [node(net, 'a'), node(net, 'b')]
    for (let n = 1; n <= 3; n += 1) await a.publish(n)
    net.connect(a.peer, b.peer)
    await net.run(100)
    a.peer.frozen = true
    const ledger = createLedger('late')
    await net.until(b.events.subscribe('tasks.#', ledger.hear, { from: 'earliest', onMissed: ledger.miss }))
    await net.run(500)
    a.peer.frozen = false
    await net.run(5_000)
    assert.deepEqual(ledger.came('a', 1000), [1, 2, 3], `seed ${seed}`)
  }
})

test('one that does not know the question is asked once', async () => {
  const net = createPorts()
  const peer = net.add('old')
  await peer.port.serve(eventsProtocol, {
    sync: async ({ topics }) => ({ seen: topics, hears: topics }),
    heads: () => undefined,
    fetch: async () => ({ batches: [], more: false }),
    catalog() {
      throw new ParleyError('MSG004', 'there is no method catalog')
    },
  })
  const reader = node(net, 'p')
  net.connect(reader.peer, peer)
  await net.run(100)
  await net.until(reader.events.subscribe('tasks.#', () => undefined, { from: 'earliest' }))
  await net.run(20_000)
  assert.equal(asks(peer), 1)
})
