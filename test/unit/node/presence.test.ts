import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  createPresence,
  type Presence,
  type PresenceDeps,
  type PresenceOptions,
  pairPeriodMs,
  presence,
} from '../../../node/presence.ts'
import { createPortNetwork, type NetworkNode, type PortNetwork } from '../../support/port-network.ts'

const PERIOD_MS = 1_000
const OPTIONS: PresenceOptions = { periodMs: PERIOD_MS, timeoutMs: 500, suspectAfter: 2, deadAfterMs: 5_000 }

type Load = ReturnType<PresenceDeps['load']>

interface Watcher extends NetworkNode {
  readonly presence: Presence
  /** `suspect <name>`, `alive <name>`, `dead <name>`, with the virtual time. */
  readonly told: { what: string; atMs: number }[]
  /** Beats that it asked for. */
  asked(): number
  /** From here on it neither acts nor answers; its connections stand. */
  freeze(): void
  thaw(): void
}

const start = async (
  network: PortNetwork,
  name: string,
  { load = { load: 0, queueLength: 0 }, ...options }: Partial<PresenceOptions & { load: Load }> = {},
): Promise<Watcher> => {
  const node = network.start(name)
  const told: Watcher['told'] = []
  const tell = (what: string) => (peer: string) => void told.push({ what: `${what} ${peer}`, atMs: network.time.now() })
  let frozen = false
  let asked = 0
  const never = new Promise<never>(() => {})
  // Timers that fire late, and handlers that never answer: what is left of a process that was stopped.
  const port: typeof node.port = {
    ...node.port,
    timers: {
      after: node.port.timers.after,
      every: (periodMs, fn) => node.port.timers.every(periodMs, () => (frozen ? undefined : fn())),
    },
    serve: (protocol, handlers) => {
      const held = Object.entries(handlers).map(([method, handler]) => [
        method,
        (...given: unknown[]) => (frozen ? never : (handler as (...given: unknown[]) => unknown)(...given)),
      ])
      // The same methods, by construction.
      return node.port.serve(protocol, Object.fromEntries(held) as typeof handlers)
    },
    to: (peer, protocol, defaults) => {
      asked += 1
      return node.port.to(peer, protocol, defaults)
    },
  }
  const made = await createPresence(
    {
      port,
      log: port.log,
      load: () => load,
      suspect: tell('suspect'),
      alive: tell('alive'),
      dead: tell('dead'),
    },
    { ...OPTIONS, ...options },
  )
  return {
    ...node,
    presence: made,
    told,
    asked: () => asked,
    freeze() {
      frozen = true
    },
    thaw() {
      frozen = false
    },
  }
}
/** Two that are connected, the second of which started `apartMs` after the first. */
const startPair = async (apartMs: number, options: Partial<PresenceOptions> = {}) => {
  const network = createPortNetwork({ latencyMs: [2, 6] })
  const one = await start(network, 'one', options)
  await network.time.run(apartMs)
  const two = await start(network, 'two', options)
  network.connect(one, two)
  return { network, time: network.time, one, two }
}

/** How far apart the rounds of the two are. */
const PHASES = [0, 1, 250, 500, 999]

const whatOf = ({ told }: Watcher): string[] => told.map(({ what }) => what)
const at = ({ told }: Watcher, what: string): number => {
  const found = told.find((line) => line.what === what)
  assert.ok(found !== undefined, `${what} was not told`)
  return found.atMs
}

describe('presence among many', () => {
  test('pairs beat each period among a few, and less often among many, but three times before silence is death', () => {
    const every = (peers: number): number => pairPeriodMs(peers, OPTIONS)
    assert.deepEqual([1, 4, 5, 6].map(every), [PERIOD_MS, PERIOD_MS, 1_250, 1_500])
    assert.equal(every(1_000), OPTIONS.deadAfterMs / 3)
    assert.equal(pairPeriodMs(1_000, { ...OPTIONS, deadAfterMs: 600 }), PERIOD_MS, 'never more often than told')
  })

  test('of twelve that watch each other nobody is without word for long, at half the beats', async () => {
    const network = createPortNetwork({ latencyMs: [2, 6] })
    const all: Watcher[] = []
    for (let n = 0; n < 12; n += 1) {
      const one = await start(network, `n${n}`)
      for (const other of all) network.connect(one, other)
      all.push(one)
      await network.time.run(77)
    }
    await network.time.run(5 * PERIOD_MS)
    const before = network.calls.unary
    for (let step = 0; step < 100; step += 1) {
      await network.time.run(PERIOD_MS / 5)
      for (const one of all) {
        for (const other of all) {
          const silentMs = one === other ? 0 : one.presence.silentMs(other.id)
          assert.ok(silentMs !== undefined && silentMs < OPTIONS.deadAfterMs / 2, `${silentMs} ms`)
        }
      }
    }
    const perPair = (network.calls.unary - before) / 66 / 20
    assert.ok(perPair > 0.3 && perPair < 0.75, `${perPair} beats of a pair each period`)
    assert.deepEqual(all.flatMap(whatOf), [])
  })

  test('a frozen one is suspected and dead in time for all of them', async () => {
    const network = createPortNetwork({ latencyMs: [2, 6] })
    const all: Watcher[] = []
    for (let n = 0; n < 9; n += 1) {
      const one = await start(network, `n${n}`)
      for (const other of all) network.connect(one, other)
      all.push(one)
    }
    await network.time.run(10 * PERIOD_MS)
    const [frozen, ...others] = all
    assert.ok(frozen)
    frozen.freeze()
    const frozenAt = network.time.now()
    await network.time.run(OPTIONS.deadAfterMs + 4 * PERIOD_MS)
    for (const other of others) {
      assert.deepEqual(whatOf(other), [`suspect ${frozen.id}`, `dead ${frozen.id}`])
      assert.ok(at(other, `suspect ${frozen.id}`) - frozenAt <= 5 * PERIOD_MS)
    }
  })
})

describe('presence of a pair', () => {
  test('is about one beat a period, whatever the time between the rounds of the two', async () => {
    for (const apartMs of PHASES) {
      const { network, time, one, two } = await startPair(apartMs)
      await time.run(100 * PERIOD_MS)
      const beats = network.calls.unary
      assert.equal(one.asked() + two.asked(), beats)
      assert.ok(beats >= 90 && beats <= 130, `${beats} beats in 100 periods, ${apartMs} ms apart`)
      assert.deepEqual([...whatOf(one), ...whatOf(two)], [])
    }
  })

  test('measures the round trip on both sides within a few periods, and goes on measuring', async () => {
    for (const apartMs of PHASES) {
      const { time, one, two } = await startPair(apartMs)
      const rttOf = (of: Watcher, peer: Watcher): number | undefined => of.presence.rttMs(peer.id)
      const ms = await time.until(() => rttOf(one, two) !== undefined && rttOf(two, one) !== undefined, 7 * PERIOD_MS)
      assert.ok(ms <= 7 * PERIOD_MS)
      for (const rttMs of [rttOf(one, two), rttOf(two, one)])
        assert.ok(rttMs !== undefined && rttMs >= 4 && rttMs <= 12)
      const before = [one.asked(), two.asked()]
      await time.run(12 * PERIOD_MS)
      assert.ok(one.asked() - (before[0] ?? 0) >= 2, 'one asks at least each sixth period')
      assert.ok(two.asked() - (before[1] ?? 0) >= 2, 'so does two')
    }
  })

  test('never leaves either side without word for two periods', async () => {
    for (const apartMs of PHASES) {
      const { time, one, two } = await startPair(apartMs)
      await time.run(2 * PERIOD_MS)
      for (let step = 0; step < 400; step += 1) {
        await time.run(PERIOD_MS / 10)
        for (const silentMs of [one.presence.silentMs(two.id), two.presence.silentMs(one.id)]) {
          assert.ok(silentMs !== undefined && silentMs < 2 * PERIOD_MS + 20, `${silentMs} ms, ${apartMs} ms apart`)
        }
      }
    }
  })

  test('tells the load of the other side to who asks and to who is asked', async () => {
    const network = createPortNetwork()
    const one = await start(network, 'one', { load: { load: 3, queueLength: 4 } })
    const two = await start(network, 'two', { load: { load: 5, queueLength: 0 } })
    network.connect(one, two)
    await network.time.run(2 * PERIOD_MS)
    assert.deepEqual(one.presence.load(two.id), { load: 5, queueLength: 0 })
    assert.deepEqual(two.presence.load(one.id), { load: 3, queueLength: 4 })
  })

  test('a beat spares the own one for a period, and each fifth one is sent all the same', async () => {
    const network = createPortNetwork({ latencyMs: [1, 1] })
    const one = await start(network, 'one')
    const bare = network.start('bare')
    await bare.port.serve(presence, {
      beat: () => ({ agentId: bare.id, incarnation: 1, load: 0, queueLength: 0 }),
    })
    network.connect(one, bare)
    const heartbeat = { agentId: bare.id, incarnation: 1, load: 0, queueLength: 0 }
    bare.port.timers.every(PERIOD_MS / 2, () => void bare.port.to(one.id, presence).beat(heartbeat))
    const asked: boolean[] = []
    for (let n = 0; n < 21; n += 1) {
      const before = one.asked()
      await network.time.run(PERIOD_MS)
      asked.push(one.asked() > before)
    }
    assert.deepEqual(
      asked,
      asked.map((_, n) => n % 5 === 0),
    )
  })
})

describe('a peer that froze', () => {
  for (const side of ['one', 'two'] as const) {
    test(`is suspected and declared dead in time by the other (${side} freezes)`, async () => {
      for (const apartMs of PHASES) {
        for (const laterMs of [0, 300, 1_700, 4_900, 5_500, 8_100]) {
          const pair = await startPair(apartMs)
          const { time } = pair
          const [frozen, watcher] = side === 'one' ? [pair.one, pair.two] : [pair.two, pair.one]
          await time.run(6 * PERIOD_MS + laterMs)
          const frozeAt = time.now()
          frozen.freeze()
          await time.run(10 * PERIOD_MS)
          assert.deepEqual(whatOf(watcher), [`suspect ${frozen.id}`, `dead ${frozen.id}`])
          const suspectedMs = at(watcher, `suspect ${frozen.id}`) - frozeAt
          // At most: the round that was spared, the one before it just asked, `suspectAfter` beats, the last unanswered.
          const longestMs = (1 + OPTIONS.suspectAfter) * PERIOD_MS + OPTIONS.timeoutMs
          assert.ok(suspectedMs <= longestMs, `suspected after ${suspectedMs} ms, ${apartMs} ms apart`)
          const deadMs = at(watcher, `dead ${frozen.id}`) - frozeAt
          // Silence counts from the last word, up to two periods before; it is looked for once a period.
          assert.ok(
            deadMs > OPTIONS.deadAfterMs - 2 * PERIOD_MS && deadMs <= OPTIONS.deadAfterMs + PERIOD_MS + 10,
            `dead after ${deadMs} ms, ${apartMs} ms apart`,
          )
        }
      }
    })
  }

  test('and comes back before it was declared dead is alive again on the other side, and condemns nobody itself', async () => {
    for (const apartMs of PHASES) {
      const { time, one, two } = await startPair(apartMs)
      await time.run(8 * PERIOD_MS)
      two.freeze()
      await time.until(() => whatOf(one).length > 0, 4 * PERIOD_MS)
      two.thaw()
      await time.run(5 * PERIOD_MS)
      assert.deepEqual(whatOf(one), [`suspect ${two.id}`, `alive ${two.id}`])
      assert.deepEqual(whatOf(two), [])
    }
  })

  test('both ways (the network swallows everything) is declared dead on both sides', async () => {
    for (const apartMs of PHASES) {
      const network = createPortNetwork({ latencyMs: [60_000, 60_000] })
      const one = await start(network, 'one')
      await network.time.run(apartMs)
      const two = await start(network, 'two')
      network.connect(one, two)
      await network.time.run(8 * PERIOD_MS)
      assert.deepEqual(whatOf(one), [`suspect ${two.id}`, `dead ${two.id}`])
      assert.deepEqual(whatOf(two), [`suspect ${one.id}`, `dead ${one.id}`])
    }
  })

  test('is reported once, and a connection made anew starts from the beginning', async () => {
    const { network, time, one, two } = await startPair(400)
    await time.run(3 * PERIOD_MS)
    two.freeze()
    await time.run(10 * PERIOD_MS)
    network.disconnect(one, two)
    assert.equal(one.presence.silentMs(two.id), undefined)
    two.thaw()
    network.connect(one, two)
    await time.run(4 * PERIOD_MS)
    assert.deepEqual(whatOf(one), [`suspect ${two.id}`, `dead ${two.id}`])
    const silentMs = one.presence.silentMs(two.id)
    assert.ok(silentMs !== undefined && silentMs < 2 * PERIOD_MS + 20)
  })
})

test('a node that was held up itself condemns nobody', async () => {
  const { time, one, two } = await startPair(300)
  await time.run(3 * PERIOD_MS)
  one.freeze()
  two.freeze()
  await time.run(20 * PERIOD_MS)
  one.thaw()
  two.thaw()
  await time.run(5 * PERIOD_MS)
  assert.deepEqual([...whatOf(one), ...whatOf(two)], [])
})

test('after stop nothing is asked and nothing is told', async () => {
  const { time, one, two } = await startPair(300)
  await time.run(3 * PERIOD_MS)
  await one.presence.stop()
  const before = one.asked()
  await time.run(20 * PERIOD_MS)
  assert.equal(one.asked(), before)
  assert.equal(one.presence.silentMs(two.id), undefined)
  assert.deepEqual(whatOf(one), [])
  assert.ok(whatOf(two).includes(`dead ${one.id}`), 'its protocol is not served any more')
})
