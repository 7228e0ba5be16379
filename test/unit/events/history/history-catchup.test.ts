/** What is caught up is kept like what is heard: within the bounds, once, and with its age. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SubscribeOptions } from '../../../../protocols/events/api.ts'
import { createEvents } from '../../../../protocols/events/events.ts'
import type { EventsOptions } from '../../../../protocols/events/options.ts'
import { createLedger, createShelf } from '../../../support/event-ledger.ts'
import { batch } from '../forged.ts'
import { holder, losing, type Net, node, nodes, SEEDS, TOPIC, withGap } from '../listeners.ts'
import { createPorts, type Peer } from '../ports.ts'

const COUNT = 30
const NUMBERS = Array.from({ length: COUNT }, (_, index) => index + 1)
const DISK: EventsOptions = { history: [{ topic: '#', store: 'disk' }] }
const MINUTE_MS = 60_000
/** What the ports' clock shows at the beginning. */
const START_MS = 1_700_000_000_000

const read = async (net: Net, events: ReturnType<typeof createEvents>, options: SubscribeOptions = {}) => {
  const ledger = createLedger('reader')
  await net.until(events.subscribe('tasks.#', ledger.hear, { from: 'earliest', onMissed: ledger.miss, ...options }))
  return ledger
}
const leave = (net: Net, gone: Peer, others: readonly Peer[]): void => {
  for (const other of others) net.disconnect(gone, other)
}

test('who comes late keeps what it reads, and gives it to the next when all others are gone', async () => {
  for (const seed of SEEDS) {
    const net = createPorts(seed)
    const [a, b] = [node(net, 'a'), node(net, 'b')]
    for (const n of NUMBERS) await a.publish(n)
    net.connect(a.peer, b.peer)
    await net.run(100)
    const first = await read(net, b.events)
    await net.run(1_000)
    assert.deepEqual(first.came('a', 1000), NUMBERS, `seed ${seed}`)
    assert.equal(b.events.figures().historyEvents, COUNT)
    leave(net, a.peer, [b.peer])
    const c = node(net, 'c')
    net.connect(b.peer, c.peer)
    await net.run(100)
    const second = await read(net, c.events)
    await net.run(5_000)
    assert.deepEqual([second.came('a', 1000), second.missed('a', 1000)], [NUMBERS, []], `seed ${seed}`)
  }
})

test('who was away while a publisher spoke and died fills its files from whoever heard it, and holds all for a newcomer', async () => {
  for (const seed of SEEDS) {
    const net = createPorts(seed)
    const [a, m] = [node(net, 'a'), node(net, 'm')]
    net.connect(a.peer, m.peer)
    await net.run(50)
    await m.listen()
    const shelf = createShelf()
    const archivist = async (epoch: number, others: readonly Peer[]) => {
      const peer = net.add('z', epoch)
      const events = createEvents(peer.port, DISK, shelf)
      for (const other of others) net.connect(peer, other)
      await net.run(100)
      return { peer, events, ledger: await read(net, events, { name: 'archive', ack: true }) }
    }
    const before = await archivist(1000, [a.peer, m.peer])
    for (const n of NUMBERS.slice(0, 10)) await a.publish(n)
    await net.run(2_000)
    // Killed.
    leave(net, before.peer, [a.peer, m.peer])
    for (const n of NUMBERS.slice(10)) await a.publish(n)
    await net.run(100)
    leave(net, a.peer, [m.peer])
    const after = await archivist(2000, [m.peer])
    await net.run(5_000)
    assert.deepEqual(after.ledger.missed('a', 1000), [], `seed ${seed}`)
    leave(net, m.peer, [after.peer])
    const c = node(net, 'c')
    net.connect(after.peer, c.peer)
    await net.run(100)
    const late = await read(net, c.events)
    await net.run(5_000)
    assert.deepEqual([late.came('a', 1000), late.missed('a', 1000)], [NUMBERS, []], `seed ${seed}`)
  }
})

test('what several read is kept once', async () => {
  const net = createPorts()
  const [a, b] = [node(net, 'a'), node(net, 'b')]
  for (const n of NUMBERS) await a.publish(n)
  net.connect(a.peer, b.peer)
  await net.run(100)
  await Promise.all([read(net, b.events), read(net, b.events), b.listen()])
  await net.run(1_000)
  const { historyEvents, historyBytes } = b.events.figures()
  assert.deepEqual([historyEvents, historyBytes], [COUNT, a.events.figures().historyBytes])
})

test('what is repaired is kept as well, and what comes after it was given up', async () => {
  const net = createPorts()
  const [a, b] = await nodes(net, ['a', 'b'])
  await a.publish(1)
  await net.run(20)
  await losing(net, [b], () => a.publish(2))
  await a.publish(3)
  await net.run(100)
  assert.equal(b.events.figures().historyEvents, 3)
  const late = createPorts()
  const only = node(late, 'p', { gapMs: 1_000 })
  await only.listen()
  for (const first of [1, 3]) await late.until(only.peer.gossip.receive(TOPIC, batch({ first })))
  await late.run(2_000)
  assert.deepEqual([only.missed.length, only.events.figures().historyEvents], [1, 2])
  await late.until(only.peer.gossip.receive(TOPIC, batch({ first: 2 })))
  await late.until(only.peer.gossip.receive(TOPIC, batch({ first: 1 })))
  assert.deepEqual([only.heard.length, only.events.figures().historyEvents], [2, 3])
})

test('what is handed on keeps its age: it ends with the bounds, however often it was handed on', async () => {
  const net = createPorts()
  const all = Array.from({ length: 5 }, (_, index) => node(net, `n${index}`))
  const [a, b, c, d, e] = all
  assert.ok(a && b && c && d && e)
  await a.publish(1)
  let before = a
  // The history in memory keeps ten minutes.
  for (const [index, one] of [b, c, d].entries()) {
    await net.run(3 * MINUTE_MS)
    net.connect(before.peer, one.peer)
    await net.run(100)
    const ledger = await read(net, one.events)
    await net.run(1_000)
    assert.equal(ledger.came('n0', 1000).length, 1, `${index}`)
    leave(net, before.peer, [one.peer])
    before = one
  }
  await net.run(2 * MINUTE_MS)
  assert.equal(d.events.figures().historyEvents, 0, 'eleven minutes old')
})

test('what was signed longer ago than the history keeps is read and not kept, whatever age its giver says', async () => {
  const give = async (sentAt: number): Promise<number> => {
    const net = createPorts()
    const old = await holder(net, 'giver', (from) => ({ batches: from === 2 ? [batch({ first: 2, sentAt })] : [] }))
    const listener = await withGap(net, [old])
    await net.run(500)
    assert.deepEqual(
      listener.heard.map(({ sequence }) => sequence),
      [1, 2, 3],
    )
    return listener.events.figures().historyEvents
  }
  // An hour is granted to clocks.
  assert.equal(await give(START_MS - 75 * MINUTE_MS), 2)
  assert.equal(await give(START_MS - 65 * MINUTE_MS), 3)
})

test('forged batches, of other series and beyond what was asked for, are not kept', async () => {
  const net = createPorts()
  const lies = [
    batch({ first: 2, signer: 'liar' }),
    batch({ first: 1, publisher: 'liar' }),
    batch({ first: 50 }),
    batch({ first: 2, word: 'agents' }),
    new Uint8Array(100),
  ]
  const listener = await withGap(net, [await holder(net, 'liar', () => ({ batches: lies }))])
  await net.run(5_000)
  assert.equal(listener.events.figures().historyEvents, 2)
})
