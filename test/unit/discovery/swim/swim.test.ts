/** The failure detector over Ports: real messages, in virtual time. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as z from 'zod'
import type { Activity } from '../../../../discovery/agent-activity.ts'
import { presenceProtocol } from '../../../../discovery/swim/protocol.ts'
import { SWIM_DEFAULTS, type SwimSettings } from '../../../../discovery/swim/swim-settings.ts'
import { createPortNetwork, type PortNetwork } from '../../../../node/testing/virtual/port-network.ts'
import { defineProtocol } from '../../../../protocols/define.ts'
import { startWatcher, type Watcher } from '../../../support/swim-node.ts'

const { periodMs: PERIOD_MS } = SWIM_DEFAULTS
const DEAD_AFTER_MS = 5_000
/** The protocol as a release has it that may say anything. */
const foreign = defineProtocol({
  name: presenceProtocol.name,
  version: '1.9.0',
  methods: { beat: { request: z.looseObject({}), response: z.looseObject({}) } },
})

const startMany = async (count: number, settings: Partial<SwimSettings> = {}, seed = 1) => {
  const network = createPortNetwork({ seed, latencyMs: [1, 5] })
  const all: Watcher[] = []
  for (let n = 0; n < count; n += 1) {
    const one = await startWatcher(network, `n${n}`, settings, { load: n, queueLength: 2 * n }, count)
    for (const other of all) network.connect(one, other)
    all.push(one)
    await network.time.run(37)
  }
  return { network, time: network.time, all }
}
const whatOf = ({ told }: Watcher): string[] => told.map(({ what }) => what)
const at = ({ told }: Watcher, what: string): number => {
  const found = told.find((line) => line.what === what)
  assert.ok(found !== undefined, `${what} was not told`)
  return found.atMs
}
const quiet = (all: readonly Watcher[]): void => assert.deepEqual(all.flatMap(whatOf), [])

describe('watching one another', () => {
  test('takes two probes and two answers of a node each second at most, however many there are', async () => {
    // Calls of a node and second: what the beats took that were here before, and never more than two.
    for (const [count, most] of [
      [3, 1],
      [6, 1.7],
      [12, 2.1],
      [24, 2.1],
    ] as const) {
      const { network, time, all } = await startMany(count)
      await time.run(5_000)
      const before = network.calls.unary
      await time.run(20_000)
      const perNodeSecond = (network.calls.unary - before) / count / 20
      assert.ok(perNodeSecond > 0.6 * most && perNodeSecond <= most, `${perNodeSecond} calls with ${count} nodes`)
      quiet(all)
    }
  })

  test('takes two of them one call each second', async () => {
    for (const seed of [1, 2, 3]) {
      const { network, time, all } = await startMany(2, {}, seed)
      await time.run(2_000)
      const before = network.calls.unary
      await time.run(50_000)
      const perSecond = (network.calls.unary - before) / 50
      assert.ok(perSecond > 0.75 && perSecond <= 1, `${perSecond} calls a second`)
      quiet(all)
    }
  })

  test('leaves nobody without word for longer than as many periods as there are neighbours', async () => {
    const { time, all } = await startMany(9)
    await time.run(9 * PERIOD_MS)
    for (let step = 0; step < 100; step += 1) {
      await time.run(100)
      for (const one of all)
        for (const other of all) {
          if (one === other) continue
          const silentMs = one.swim.silentMs(other.id)
          assert.ok(silentMs !== undefined && silentMs < 9 * PERIOD_MS, `${silentMs} ms`)
        }
    }
  })

  test('finds no way broken for not having heard of a neighbour for a while', async () => {
    const { time, all } = await startMany(24)
    for (let step = 0; step < 400; step += 1) {
      await time.run(23)
      for (const { swim } of all) assert.deepEqual(swim.unresponsive(1), [])
    }
  })

  test('tells the load and the round trip of each neighbour', async () => {
    const { time, all } = await startMany(3)
    await time.run(10_000)
    const [a, b] = all
    assert.ok(a && b)
    assert.deepEqual(a.swim.load(b.id), { load: 1, queueLength: 2 })
    const rttMs = a.swim.rttMs(b.id)
    assert.ok(rttMs !== undefined && rttMs >= 2 && rttMs <= 10)
    assert.equal(a.swim.statusOf(b.id), 'alive')
    assert.equal(a.swim.load('stranger'), undefined)
    assert.equal(a.swim.silentMs('stranger'), undefined)
  })
})

describe('how an agent gets on with its work', () => {
  test('goes with the beats to each neighbour, and its time goes on between two of them', async () => {
    const network = createPortNetwork()
    let now: Activity = { state: 'alive', sinceMs: 0 }
    const a = await startWatcher(network, 'a', {}, undefined, 2, () => now)
    const b = await startWatcher(network, 'b')
    network.connect(a, b)
    await network.time.run(3_000)
    assert.equal(b.swim.activity(a.id)?.state, 'alive')
    assert.equal(a.swim.activity(b.id), undefined, 'one that says nothing of it')
    assert.equal(a.swim.activity('stranger'), undefined)
    now = { state: 'stuck', sinceMs: 60_000, progress: 0.25 }
    await network.time.until(() => b.swim.activity(a.id)?.state === 'stuck', 3_000)
    const before = b.swim.activity(a.id)
    assert.equal(before?.progress, 0.25)
    await network.time.run(200)
    const sinceMs = b.swim.activity(a.id)?.sinceMs ?? 0
    assert.ok(sinceMs >= 60_000 && sinceMs < 63_000, `${sinceMs}`)
    network.disconnect(a, b)
    assert.equal(b.swim.activity(a.id), undefined)
  })

  test('that a newer release tells otherwise is left out, and the beat counts', async () => {
    const network = createPortNetwork()
    const a = await startWatcher(network, 'a')
    const other = network.start('other')
    network.connect(a, other)
    const table: [object, Activity | undefined][] = [
      [{ activity: 'dreaming', sinceMs: 1 }, undefined],
      [{ activity: 'working', sinceMs: -1, progress: 1.5 }, { state: 'working' }],
      [{ activity: 'working', progress: 'half' }, { state: 'working' }],
      [
        { activity: 'working', progress: 1 },
        { state: 'working', progress: 1 },
      ],
      [{ progress: 0.5 }, undefined],
    ]
    for (const [told, expected] of table) {
      const beat = { agentId: other.id, incarnation: 1, load: 3, queueLength: 0, ...told }
      // What another release writes is not bound by the types of this one.
      await network.time.settled(other.port.to(a.id, foreign).beat(beat), 100)
      assert.equal(a.swim.load(other.id)?.load, 3)
      assert.deepEqual(a.swim.activity(other.id), expected)
    }
  })
})

describe('a peer that froze', () => {
  test('is suspect for all and dead for all as fast as a lone silence of five seconds would be noticed', async () => {
    for (const count of [2, 3, 5, 10]) {
      for (const seed of [1, 2, 3]) {
        const { time, all } = await startMany(count, {}, seed)
        await time.run(6_000 + 213 * seed)
        const [frozen, ...others] = all
        assert.ok(frozen)
        const frozeAt = time.now()
        frozen.freeze()
        await time.run(12_000)
        for (const other of others) {
          assert.deepEqual(whatOf(other), [`suspect ${frozen.id}`, `dead ${frozen.id}`], `${count} nodes, seed ${seed}`)
          const suspectMs = at(other, `suspect ${frozen.id}`) - frozeAt
          const deadMs = at(other, `dead ${frozen.id}`) - frozeAt
          // What the beats that were here before needed: three seconds and a half, and six.
          assert.ok(suspectMs <= 3_500, `${count} nodes: suspect after ${suspectMs} ms`)
          assert.ok(deadMs >= 0.8 * DEAD_AFTER_MS && deadMs <= 6_500, `${count} nodes: dead after ${deadMs} ms`)
        }
      }
    }
  })

  test('and thaws before it is dead is taken back by all at once, and condemns nobody itself', async () => {
    for (const count of [2, 4, 8]) {
      const { time, all } = await startMany(count)
      await time.run(6_000)
      const [frozen, ...others] = all
      assert.ok(frozen)
      frozen.freeze()
      await time.until(() => others.every((other) => whatOf(other).length > 0), 4_000)
      frozen.thaw()
      await time.run(3_000)
      for (const other of others) {
        assert.deepEqual(whatOf(other), [`suspect ${frozen.id}`, `alive ${frozen.id}`])
        assert.ok(at(other, `alive ${frozen.id}`) <= time.now())
      }
      assert.ok(frozen.swim.stats().refutations > 0)
      quiet([frozen])
    }
  })

  test('and thaws when it was dead says so, and is alive for all', async () => {
    const { time, all } = await startMany(4)
    await time.run(6_000)
    const [frozen, ...others] = all
    assert.ok(frozen)
    frozen.freeze()
    await time.run(15_000)
    assert.ok(others.every((other) => whatOf(other).includes(`dead ${frozen.id}`)))
    frozen.thaw()
    // The connections stand here: nobody cuts them off in this test.
    await time.run(5_000)
    assert.ok(frozen.swim.stats().refutations > 0)
    for (const other of others) assert.equal(whatOf(other).at(-1), `alive ${frozen.id}`)
    assert.ok(whatOf(frozen).length > 0 && whatOf(frozen).every((what) => what === 'presumed dead'))
  })
})

describe('a connection that closes', () => {
  test('is looked into by way of others: who is well is alive again before it was suspected', async () => {
    const { network, time, all } = await startMany(5)
    await time.run(6_000)
    const [a, b] = all
    assert.ok(a && b)
    network.disconnect(a, b)
    await time.run(20_000)
    assert.deepEqual(whatOf(a), [`alive ${b.id}`])
    assert.deepEqual(whatOf(b), [`alive ${a.id}`])
    assert.equal(a.swim.silentMs(b.id), undefined)
  })

  test('because the peer was killed makes it suspect and dead for all, in time', async () => {
    const { time, all } = await startMany(6)
    await time.run(6_000)
    const [killed, ...others] = all
    assert.ok(killed)
    const atMs = time.now()
    killed.kill()
    await time.run(8_000)
    for (const other of others) {
      assert.deepEqual(whatOf(other), [`suspect ${killed.id}`, `dead ${killed.id}`])
      assert.ok(at(other, `suspect ${killed.id}`) - atMs <= 1_000)
      assert.ok(at(other, `dead ${killed.id}`) - atMs <= 5_000)
    }
  })

  test('after a goodbye says nothing', async () => {
    const { time, all } = await startMany(3)
    await time.run(3_000)
    const [leaver, ...others] = all
    assert.ok(leaver)
    for (const { swim } of others) swim.left(leaver.id, leaver.port.self.incarnation, 'leave')
    leaver.kill()
    await time.run(20_000)
    for (const other of others) assert.deepEqual(whatOf(other), [`left ${leaver.id}`])
  })
})

test('a node that was held up itself condemns nobody', async () => {
  const { time, all } = await startMany(4)
  await time.run(3_000)
  for (const one of all) one.freeze()
  await time.run(20_000)
  for (const one of all) one.thaw()
  await time.run(10_000)
  quiet(all)
  assert.ok(all.every(({ swim }) => swim.stats().stalls > 0))
})

describe('a peer of an earlier release', () => {
  const beat = (id: string) => ({ agentId: id, incarnation: 1, load: 0, queueLength: 0 })
  const startOld = async (network: PortNetwork) => {
    const old = network.start('old')
    let isSilent = false
    const { beat: method } = presenceProtocol.methods
    const protocol = { ...presenceProtocol, methods: { beat: method } }
    await old.port.serve(protocol, {
      beat: () => (isSilent ? new Promise<never>(() => {}) : beat(old.id)),
    })
    return {
      ...old,
      silence(on: boolean) {
        isSilent = on
      },
    }
  }

  test('is watched like the others, and cleared of a suspicion by answering', async () => {
    const network = createPortNetwork()
    const { time } = network
    const [a, b] = [await startWatcher(network, 'a'), await startWatcher(network, 'b')]
    const old = await startOld(network)
    network.connect(a, b)
    for (const one of [a, b]) network.connect(one, old)
    await time.run(5_000)
    quiet([a, b])
    old.silence(true)
    await time.until(() => whatOf(a).length > 0 && whatOf(b).length > 0, 5_000)
    old.silence(false)
    await time.run(3_000)
    for (const one of [a, b]) assert.equal(one.swim.statusOf(old.id), 'alive')
    assert.ok([a, b].flatMap(whatOf).every((what) => !what.startsWith('dead')))
  })

  test('may leave out what it does not know, and say what this one does not know', async () => {
    const network = createPortNetwork()
    const a = await startWatcher(network, 'a')
    const other = network.start('other')
    network.connect(a, other)
    const news = [
      { peer: 'x1', standing: 'dead', incarnation: 4 },
      { peer: 'x2', standing: 'enchanted', incarnation: 4 },
      'nonsense',
    ]
    const client = other.port.to(a.id, presenceProtocol)
    const answer = await network.time.settled(client.beat({ ...beat(other.id), news }), 100)
    assert.equal(answer.news, undefined)
    assert.deepEqual(whatOf(a), ['dead x1'])
    await network.time.settled(client.beat(beat(other.id)), 100)
    assert.deepEqual(await network.time.settled(client.ask({ target: 'nobody' }), 100), { outcome: 'unknown' })
  })
})

test('claims of an earlier start than the directory has a record of say nothing', async () => {
  const network = createPortNetwork()
  const node = network.start('a')
  const { createSwim } = await import('../../../../discovery/swim/swim.ts')
  const told: string[] = []
  await createSwim({
    port: node.port,
    load: () => ({ load: 0, queueLength: 0 }),
    members: () => 3,
    incarnationOf: (peer) => (peer === 'known' ? 100 : undefined),
    changed: ({ status, peer }) => void told.push(`${status} ${peer}`),
    presumedDead: () => {},
  })
  const other = network.start('other')
  network.connect(node, other)
  const news = [99, 100].map((incarnation) => ({ peer: 'known', standing: 'dead', incarnation }))
  for (const claim of news) {
    const sent = { agentId: other.id, incarnation: 1, load: 0, queueLength: 0, news: [claim] }
    await network.time.settled(other.port.to(node.id, presenceProtocol).beat(sent), 100)
    assert.equal(told.length, claim.incarnation - 99)
  }
})

test('after stop nothing is asked and nothing is told', async () => {
  const { time, all } = await startMany(3)
  await time.run(3_000)
  const [a, ...others] = all
  assert.ok(a)
  await a.swim.stop()
  const before = a.asked()
  await time.run(20_000)
  assert.equal(a.asked(), before)
  assert.equal(a.swim.load(others[0]?.id ?? ''), undefined)
  assert.deepEqual(whatOf(a), [])
  for (const other of others) assert.ok(whatOf(other).includes(`dead ${a.id}`), 'its protocol is not served any more')
})

test('what it finds is counted', async () => {
  const { time, all } = await startMany(3)
  await time.run(3_000)
  const [a, b] = all
  assert.ok(a && b)
  a.freeze()
  await time.run(4_000)
  assert.equal(b.metric('membership_suspects'), 1)
  assert.equal(b.metric('membership_events_total', { event: 'suspicion' }), 1)
  await time.run(4_000)
  assert.equal(b.metric('membership_events_total', { event: 'death' }), 1)
  assert.equal(b.metric('membership_suspects'), 0)
  assert.equal(b.metric('membership_health'), b.swim.stats().health)
})
