/** Whatever is lost, cut or started anew: each event comes once and in order, or is told as missed, and never both. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SubscribeOptions } from '../../../../protocols/events/api.ts'
import { createEvents } from '../../../../protocols/events/events.ts'
import type { EventsOptions } from '../../../../protocols/events/options.ts'
import { createLedger, createShelf, type Ledger } from '../../../support/event-ledger.ts'
import { createPorts, type Peer } from '../ports.ts'

const RUNS = Number(process.env.RUNS ?? 30)

/** A net whose nodes come, go and come back under their names. */
const createWorld = (seed: number, options: EventsOptions) => {
  const net = createPorts(seed)
  const shelves = new Map<string, ReturnType<typeof createShelf>>()
  const live = new Map<string, { peer: Peer; events: ReturnType<typeof createEvents> }>()
  const cuts = new Set<string>()
  /** Of each publisher, what it sent last in each life. */
  const sent = new Map<string, Map<number, number>>()
  let epoch = 1000
  let loss = 0
  const chance = net.add('chance').port.random
  const below = (n: number): number => Math.floor(((chance(1)[0] ?? 0) / 256) * n)
  const pairOf = (a: string, b: string): string => [a, b].sort().join(' ')

  const connect = (a: string, b: string): void => {
    const [x, y] = [live.get(a), live.get(b)]
    if (x !== undefined && y !== undefined && !cuts.has(pairOf(a, b))) net.connect(x.peer, y.peer)
  }
  const disconnect = (a: string, b: string): void => {
    const [x, y] = [live.get(a), live.get(b)]
    if (x !== undefined && y !== undefined) net.disconnect(x.peer, y.peer)
  }
  const start = async (id: string, own: EventsOptions = {}) => {
    epoch += 1
    const peer = net.add(id, epoch)
    const shelf = shelves.get(id) ?? createShelf()
    shelves.set(id, shelf)
    const events = createEvents(peer.port, { ...options, ...own }, shelf)
    peer.gossip.keep = () => below(100) >= loss
    live.set(id, { peer, events })
    for (const other of live.keys()) if (other !== id) connect(id, other)
    await net.run(60)
    return events
  }
  const kill = async (id: string): Promise<void> => {
    for (const other of live.keys()) if (other !== id) disconnect(id, other)
    live.delete(id)
    await net.run(20)
  }
  const publish = async (id: string, count: number): Promise<void> => {
    const node = live.get(id)
    if (node === undefined) return
    for (let n = 0; n < count; n += 1) {
      const { sequence, epoch: life } = await net.until(node.events.publish('tasks.x', n))
      const lives = sent.get(id) ?? new Map<number, number>()
      sent.set(id, lives.set(life, sequence))
    }
  }
  const listen = async (id: string, ledger: Ledger, given: SubscribeOptions = {}) => {
    const node = live.get(id)
    assert.ok(node !== undefined)
    return net.until(node.events.subscribe('tasks.#', ledger.hear, { onMissed: ledger.miss, ...given }))
  }
  return {
    net,
    start,
    kill,
    publish,
    listen,
    below,
    sent,
    events: (id: string) => live.get(id)?.events,
    cut(a: string, b: string) {
      cuts.add(pairOf(a, b))
      disconnect(a, b)
    },
    heal(a: string, b: string) {
      if (cuts.delete(pairOf(a, b))) connect(a, b)
    },
    lose(percent: number) {
      loss = percent
    },
  }
}

const trouble = async (world: ReturnType<typeof createWorld>, steps: number, restarts: boolean): Promise<void> => {
  const ids = ['a', 'b', 'c']
  for (let step = 0; step < steps; step += 1) {
    const [x, y] = [ids[world.below(3)] ?? 'a', ids[world.below(3)] ?? 'b']
    const what = world.below(restarts ? 12 : 10)
    if (what < 4) await world.publish(['a', 'b'][world.below(2)] ?? 'a', 1 + world.below(6))
    // How a life ended nobody can say while who lived it is away.
    else if (what < 6 && x !== y && !(restarts && x !== 'a' && y !== 'a')) world.cut(x, y)
    else if (what < 8 && x !== y) world.heal(x, y)
    else if (what < 9) world.lose(world.below(60))
    else if (what < 10) await world.net.run(world.below(2_000))
    else {
      await world.kill('b')
      await world.net.run(world.below(500))
      await world.start('b')
    }
    await world.net.run(world.below(30))
  }
  world.lose(0)
  for (const [x, y] of [
    ['a', 'b'],
    ['a', 'c'],
    ['b', 'c'],
  ] as const)
    world.heal(x, y)
  await world.net.run(200)
}

test('every event comes once and in order to all, whatever is lost and cut, where the history is large enough', async () => {
  for (let seed = 1; seed <= RUNS; seed += 1) {
    const world = createWorld(seed, {})
    for (const id of ['a', 'b', 'c']) await world.start(id)
    const [plain, acked] = [createLedger(`seed ${seed}, plain`), createLedger(`seed ${seed}, acked`)]
    await world.listen('c', plain)
    await world.listen('c', acked, { ack: true })
    await trouble(world, 40, false)
    await world.publish('a', 1)
    await world.publish('b', 1)
    await world.net.run(6_000)
    const late = createLedger(`seed ${seed}, late`)
    await world.listen('c', late, { from: 'earliest' })
    await world.net.run(3_000)
    for (const [id, lives] of world.sent)
      for (const ledger of [plain, acked, late]) {
        ledger.check(id, lives, 1)
        assert.deepEqual(
          ledger.told.filter(({ kind }) => kind === 'missed'),
          [],
        )
      }
  }
})

test('with a history that is too small every event comes in order or is told as missed, and never both', async () => {
  let missed = 0
  for (let seed = 1; seed <= RUNS; seed += 1) {
    const world = createWorld(seed, { history: [{ topic: '#', maxEvents: 4 }] })
    for (const id of ['a', 'b', 'c']) await world.start(id)
    const [plain, acked] = [createLedger(`seed ${seed}, plain`), createLedger(`seed ${seed}, acked`)]
    await world.listen('c', plain)
    await world.listen('c', acked, { ack: true })
    await trouble(world, 40, false)
    await world.publish('a', 1)
    await world.publish('b', 1)
    await world.net.run(30_000)
    const late = createLedger(`seed ${seed}, late`)
    await world.listen('c', late, { from: 'earliest' })
    await world.net.run(10_000)
    for (const [id, lives] of world.sent) for (const ledger of [plain, acked, late]) ledger.check(id, lives, 1)
    missed += plain.told.filter(({ kind }) => kind === 'missed').length
  }
  assert.ok(missed > RUNS / 3, `${missed} say little`)
})

test('lives of a publisher come one after another, the end of each included, where it is kept on disk', async () => {
  for (let seed = 1; seed <= RUNS; seed += 1) {
    const world = createWorld(seed, { history: [{ topic: 'tasks', store: 'disk' }] })
    for (const id of ['a', 'b', 'c']) await world.start(id)
    const [plain, acked] = [createLedger(`seed ${seed}, plain`), createLedger(`seed ${seed}, acked`)]
    await world.publish('b', 1)
    await world.listen('c', plain, { from: 'earliest' })
    await world.listen('c', acked, { from: 'earliest', ack: true })
    await trouble(world, 40, true)
    await world.publish('a', 1)
    await world.publish('b', 1)
    await world.net.run(15_000)
    const late = createLedger(`seed ${seed}, late`)
    await world.listen('c', late, { from: 'earliest' })
    await world.net.run(10_000)
    for (const [id, lives] of world.sent) {
      late.check(id, lives, 1)
      for (const ledger of [plain, acked]) {
        ledger.check(id, lives, 1)
      }
    }
  }
})
