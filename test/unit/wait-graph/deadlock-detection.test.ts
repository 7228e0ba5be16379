/** Who looks for deadlocks when, over a virtual network; what waits on each node is made up. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPortNetwork, type NetworkNode } from '../../../node/testing/virtual/port-network.ts'
import type { ParleyError } from '../../../protocols/errors.ts'
import { waitsProtocol } from '../../../protocols/wait-graph/contract.ts'
import { type LocalWaits, startDeadlockDetection } from '../../../protocols/wait-graph/deadlock-detection.ts'
import type { QueuedRequest, RunningRequest } from '../../../protocols/wait-graph/wait-graph.ts'
import { STILL_MS } from '../../../protocols/wait-graph/wait-probes.ts'

interface Made {
  readonly node: NetworkNode
  readonly queued: Map<string, QueuedRequest>
  readonly running: Map<string, RunningRequest>
  readonly refused: { key: string; error: ParleyError }[]
  /** A request begins to wait. */
  lined(): void
  looks: number
}

const create = async (names: readonly string[], { detecting = names } = {}) => {
  const network = createPortNetwork({ seed: 3, latencyMs: [1, 5] })
  const made = new Map<string, Made>()
  for (const name of names) {
    const node = network.start(name)
    const listeners: (() => void)[] = []
    const one: Made = {
      ...{ node, queued: new Map(), running: new Map(), refused: [], looks: 0 },
      lined: () => listeners.forEach((fn) => void fn()),
    }
    const waits: LocalWaits = {
      hasLine: () => one.queued.size > 0,
      onLine(fn) {
        listeners.push(fn)
        return () => {}
      },
      knows: (peer, keys) => keys.every((key) => (one.queued.get(key) ?? one.running.get(key))?.peer === peer),
      mayBeStuck(sinceMs) {
        one.looks += 1
        const isLate = [...one.queued.values()].some(({ since }) => since <= sinceMs)
        return isLate && [...one.running.values()].every(({ calls }) => calls.length > 0)
      },
      size: () => one.queued.size + one.running.size,
      here: () => ({ self: node.id, queued: one.queued, running: one.running }),
      refuse(peer, key, error) {
        const isInLine = one.queued.get(key)?.peer === peer && one.queued.delete(key)
        if (isInLine) one.refused.push({ key, error })
        return isInLine
      },
    }
    made.set(name, one)
    if (detecting.includes(name)) await startDeadlockDetection({ port: node.port, waits })
  }
  const get = (name: string): Made => made.get(name) ?? assert.fail(name)
  for (const [i, a] of names.entries()) for (const b of names.slice(i + 1)) network.connect(get(a).node, get(b).node)
  const wait = (name: string, key: string, from: string): void => {
    const one = get(name)
    one.queued.set(key, { peer: get(from).node.id, since: one.node.port.clock.monotonic() })
    one.lined()
  }
  const run = (name: string, key: string, calls: readonly (readonly [string, string])[]): void => {
    const told = calls.map(([peer, call]) => ({ peer: get(peer).node.id, key: call }))
    const since = get(name).node.port.clock.monotonic()
    get(name).running.set(key, { peer: 'root', since, changes: told.length, calls: told })
  }
  const broken = (): string[] => [...made.values()].flatMap(({ refused }) => refused.map(({ key }) => key))
  return { network, time: network.time, get, wait, run, broken }
}

/** a waits for b, b waits for a. */
const mutual = ({ run, wait }: Awaited<ReturnType<typeof create>>): void => {
  run('a', 'aa.1', [['b', 'cc.1']])
  run('b', 'bb.1', [['a', 'dd.1']])
  wait('b', 'cc.1', 'a')
  wait('a', 'dd.1', 'b')
}

test('two nodes that wait for each other are found once they have waited for a moment, and one request gives way', async () => {
  const all = await create(['a', 'b'])
  mutual(all)
  await all.time.run(STILL_MS - 1)
  assert.deepEqual(all.broken(), [], 'not yet')
  await all.time.run(250)
  assert.deepEqual(all.broken(), ['cc.1'])
  const [refused] = all.get('b').refused
  assert.deepEqual([refused?.error.code, refused?.error.reason], ['STA003', 'deadlock'])
  assert.equal(all.get('b').node.metric('deadlocks_broken'), 1)
  await all.time.run(10_000)
  assert.deepEqual(all.broken(), ['cc.1'], 'exactly one')
})

test('a handler that waits for no call keeps all that wait for its slot from being broken', async () => {
  const all = await create(['a', 'b'])
  mutual(all)
  all.run('b', 'b2.1', [])
  await all.time.run(20_000)
  assert.deepEqual(all.broken(), [])
  all
    .get('b')
    .running.set('b2.1', { peer: 'root', since: 0, changes: 1, calls: [{ peer: all.get('a').node.id, key: 'dd.1' }] })
  await all.time.run(2_500)
  assert.deepEqual(all.broken(), ['cc.1'], 'it waits now')
})

test('a call that its receiver does not know, or not from this caller, is no wait', async () => {
  const all = await create(['a', 'b', 'c'])
  all.run('a', 'aa.1', [['b', 'ee.9']])
  all.run('b', 'bb.1', [['a', 'dd.1']])
  all.wait('a', 'dd.1', 'b')
  all.wait('b', 'ee.9', 'c')
  await all.time.run(5_000)
  assert.deepEqual(all.broken(), [])
})

test('a peer of an earlier version, or one that is gone, ends the look without harm', async () => {
  const older = await create(['a', 'b'], { detecting: ['a'] })
  mutual(older)
  await older.time.run(5_000)
  assert.deepEqual(older.broken(), [])
  const cut = await create(['a', 'b'])
  mutual(cut)
  cut.network.disconnect(cut.get('a').node, cut.get('b').node)
  await cut.time.run(5_000)
  assert.deepEqual(cut.broken(), [])
})

test('a node looks while requests are in line, less often where it finds nothing to do, and not at all otherwise', async () => {
  const all = await create(['a', 'b'], { detecting: ['a'] })
  mutual(all)
  await all.time.run(30_000)
  const { looks } = all.get('a')
  assert.ok(looks >= 25 && looks <= 45, `${looks} looks in 30 s`)
  all.get('a').queued.clear()
  await all.time.run(5_000)
  const after = all.get('a').looks
  await all.time.run(60_000)
  assert.equal(all.get('a').looks, after)
})

test('a member that asks about what is not its own is told nothing, and one that asks too often is not heard', async () => {
  const all = await create(['a', 'b', 'c'], { detecting: ['a'] })
  all.run('a', 'aa.1', [['b', 'cc.1']])
  all.wait('a', 'dd.1', 'b')
  const ask = (from: string, probe: string, calls: string[]) =>
    all.time.settled(all.get(from).node.port.to(all.get('a').node.id, waitsProtocol).probe({ probe, calls }), 10_000)
  const probe = (n: number): string => n.toString(16).padStart(32, '0')
  assert.deepEqual(await ask('c', probe(1), ['dd.1']), { blocked: false, waits: [] })
  assert.deepEqual(await ask('b', probe(2), ['nonsense']), { blocked: false, waits: [] })
  for (let i = 0; i < 400; i += 1) await ask('c', probe(100 + i), ['x'])
  assert.ok(all.get('a').node.metric('deadlock_probes_refused') > 0)
  await assert.rejects(ask('b', 'short', ['dd.1']), { code: 'MSG001' })
  await assert.rejects(ask('b', probe(3), []), { code: 'MSG001' })
  await assert.rejects(ask('b', probe(4), ['k'.repeat(161)]), { code: 'MSG001' })
  assert.deepEqual(all.broken(), [])
})

interface Lie {
  /** It asks about what it names, in the same probe. */
  readonly asks: boolean
  named(): readonly string[]
}

/** Says that the calls which a makes to it wait for these requests that are in line at a. */
const lying = async (all: Awaited<ReturnType<typeof create>>, { asks, named }: Lie): Promise<void> => {
  const { node } = all.get('a')
  const { port } = all.get('liar').node
  await port.serve(waitsProtocol, {
    async probe({ probe, calls }) {
      const on = [...named()]
      if (asks) await port.to(node.id, waitsProtocol).probe({ probe, calls: on })
      const made = on.map((id) => ({ id, on: [`slots:${node.id}`], queued: true }))
      return { blocked: true, waits: [...calls.map((id) => ({ id, on })), ...made] }
    },
  })
}

for (const asks of [false, true])
  test(`a member that lies, and knows the key of a request of another, has it not refused, ${asks ? 'though' : 'unless'} it asks`, async () => {
    const all = await create(['a', 'b', 'liar'], { detecting: ['a', 'b'] })
    all.run('a', 'aa.1', [['liar', 'ff.1']])
    all.wait('a', 'dd.1', 'b')
    await lying(all, { asks, named: () => ['dd.1'] })
    await all.time.run(10_000)
    assert.equal(all.get('a').queued.has('dd.1'), true, 'the request of b is still in line')
    assert.ok(all.get('a').node.metric('deadlock_probes_begun') > 5, 'it was asked')
  })

test('a member that says again and again that it waits for itself has its own requests refused, at a bounded rate', async () => {
  const all = await create(['a', 'liar'], { detecting: ['a'] })
  all.run('a', 'aa.1', [['liar', 'ff.1']])
  for (let i = 100; i < 300; i += 1) all.wait('a', `d${i}.1`, 'liar')
  await lying(all, { asks: true, named: () => [...all.get('a').queued.keys()].slice(0, 1) })
  await all.time.run(60_000)
  const { length } = all.broken()
  assert.ok(length >= 40 && length <= 51, `${length} in a minute: 20, and one in two seconds`)
  assert.ok(all.get('a').node.metric('deadlocks_doubted') > 0)
})

test('a member that gives its own question little time takes none from the questions of others', async () => {
  const all = await create(['a', 'b', 'c', 'hasty'], { detecting: ['a'] })
  all.run('a', 'aa.1', [['b', 'ee.1']])
  all.wait('a', 'cc.1', 'c')
  all.wait('a', 'hh.1', 'hasty')
  const leftMs = new Map<string, number>()
  await all.get('b').node.port.serve(waitsProtocol, {
    async probe({ probe }, { remainingMs }) {
      leftMs.set(probe.slice(0, 1), remainingMs())
      await new Promise<void>((resolve) => all.get('b').node.port.timers.after(300, resolve))
      return { blocked: false, waits: [] }
    },
  })
  const ask = (from: string, digit: string, key: string, timeoutMs: number) =>
    all
      .get(from)
      .node.port.to(all.get('a').node.id, waitsProtocol)
      .probe({ probe: `${digit}${'0'.repeat(31)}`, calls: [key] }, { timeoutMs })
  await all.time.run(STILL_MS + 10)
  const hasty = ask('hasty', '1', 'hh.1', 220)
  await all.time.run(60)
  const patient = ask('c', '2', 'cc.1', 1_400)
  await all.time.run(1_000)
  await Promise.all([hasty, patient])
  assert.ok((leftMs.get('1') ?? 999) < 220)
  assert.ok((leftMs.get('2') ?? 0) > 1_000, `b was given ${leftMs.get('2')} ms`)
})
