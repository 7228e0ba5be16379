/** The failure detector beside a real directory, over Ports in virtual time. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createDirectory, type Directory } from '../../../../discovery/directory/directory.ts'
import type { Change } from '../../../../discovery/directory/tables/agent-change.ts'
import {
  createFailureDetection,
  type FailureDetection,
  type FailureDetectionOptions,
} from '../../../../node/parts/failure-detection.ts'
import { createPortNetwork, type NetworkNode, type PortNetwork } from '../../../../node/testing/virtual/port-network.ts'
import type { Client } from '../../../../protocols/define.ts'
import { stoppable } from '../../../support/swim-node.ts'

const OPTIONS: FailureDetectionOptions = { periodMs: 500, timeoutMs: 200, suspectAfter: 2, deadAfterMs: 5_000 }

interface Present extends NetworkNode, Pick<ReturnType<typeof stoppable>, 'freeze' | 'thaw'> {
  readonly directory: Directory
  readonly presence: FailureDetection
  /** What its directory and its presence told, in order. */
  readonly told: string[]
  readonly cut: { peer: string; silentMs: number }[]
  /** What it asks of these is lost. */
  readonly deafTo: Set<string>
}

const lineOf = (change: Change): string =>
  change.type === 'left'
    ? `left ${change.agent.name} ${change.reason}${change.departure === undefined ? '' : ` ${change.departure}`}`
    : `${change.type} ${change.agent.name} ${change.agent.state}`

const start = async (network: PortNetwork, name: string): Promise<Present> => {
  const node = network.start(name)
  const { port: whole, freeze, thaw } = stoppable(node)
  const deafTo = new Set<string>()
  const never = new Proxy({}, { get: () => () => new Promise<never>(() => {}) })
  const port: typeof whole = {
    ...whole,
    // A client of any protocol: what it asks is lost on the way.
    to: (peer, protocol, defaults) =>
      deafTo.has(peer) ? (never as Client<typeof protocol>) : whole.to(peer, protocol, defaults),
  }
  const directory = await createDirectory(port)
  const told: string[] = []
  const cut: Present['cut'] = []
  const nodes = all.get(network) ?? []
  all.set(network, nodes)
  const presence = await createFailureDetection(
    {
      port,
      log: port.log,
      directory,
      load: () => ({ load: 1, queueLength: 2 }),
      cutOff(peer, silentMs) {
        cut.push({ peer, silentMs })
        const other = nodes.find(({ id }) => id === peer)
        if (other !== undefined) network.disconnect(node, other)
      },
    },
    OPTIONS,
  )
  directory.onChange((change) => {
    if (!change.agent.self) told.push(lineOf(change))
  })
  const made = { ...node, freeze, thaw, deafTo, directory, presence, told, cut }
  nodes.push(made)
  return made
}
const all = new Map<PortNetwork, Present[]>()

/** All connected to all, and all known to all. */
const startMany = async (...names: string[]) => {
  const network = createPortNetwork()
  const made: Present[] = []
  for (const name of names) {
    const one = await start(network, name)
    for (const other of made) network.connect(one, other)
    made.push(one)
  }
  await network.time.run(3_000)
  for (const one of made) {
    assert.equal(one.directory.size(), names.length)
    one.told.length = 0
  }
  return { network, time: network.time, made }
}

describe('an agent that is stuck', () => {
  test('is shown so by everyone: by its neighbours as it tells itself, by the others as its record says', async () => {
    const { network, time, made } = await startMany('a', 'b', 'c')
    const [a, b, c] = made
    assert.ok(a && b && c)
    network.disconnect(a, c)
    await time.run(2_000)
    for (const one of made) one.told.length = 0
    await c.directory.announce({
      stuck: true,
      protocols: [{ name: 'work', version: '1.0.0', methods: [] }],
    })
    await time.run(2_000)
    for (const one of [a, b, c]) {
      assert.equal(one.directory.get(c.id)?.activity?.state, 'stuck', one.port.self.name)
      assert.equal(one.directory.find('c')?.activity?.state, 'stuck')
      assert.equal(one.directory.agents().find(({ peer }) => peer === c.id)?.activity?.state, 'stuck')
      assert.equal(one.presence.statusOf(c.id), 'alive')
    }
    for (const one of [a, b]) {
      assert.equal(one.directory.offers('work', 1)[0]?.isStuck, true)
      assert.equal(one.directory.stats().stuck, 1)
    }
    await c.directory.announce({ stuck: undefined })
    await time.run(2_000)
    for (const one of [a, b]) {
      assert.equal(one.directory.get(c.id)?.record.stuck, undefined)
      assert.notEqual(one.directory.get(c.id)?.activity?.state, 'stuck')
      assert.equal(one.directory.offers('work', 1)[0]?.isStuck, undefined)
      assert.equal(one.directory.stats().stuck, 0)
    }
  })
})

describe('a peer that is frozen', () => {
  test('is suspect in the directory, then out of it as dead, and cut off', async () => {
    const { time, made } = await startMany('a', 'b', 'c')
    const [a, b, c] = made
    assert.ok(a && b && c)
    c.freeze()
    await time.run(8_000)
    for (const one of [a, b]) {
      assert.deepEqual(one.told, ['changed c suspect', 'left c dead'])
      assert.equal(one.directory.get(c.id), undefined)
      assert.equal(one.presence.statusOf(c.id), 'dead')
      assert.equal(one.isConnected(c.id), false)
    }
    // Whose verdict came first cut it off.
    const cuts = [...a.cut, ...b.cut]
    assert.ok(cuts.length >= 1 && cuts.every(({ peer, silentMs }) => peer === c.id && silentMs >= 4_000))
  })

  test('and comes back after that is in every view again, also where nobody is connected to it', async () => {
    const { network, time, made } = await startMany('a', 'b', 'c', 'd')
    const [a, b, c, d] = made
    assert.ok(a && b && c && d)
    network.disconnect(c, d)
    await time.run(2_000)
    c.freeze()
    await time.run(12_000)
    for (const one of [a, b, d]) assert.equal(one.directory.get(c.id), undefined)
    c.thaw()
    network.connect(a, c)
    await time.run(5_000)
    for (const one of [a, b, d]) {
      assert.equal(one.directory.get(c.id)?.state, 'alive', one.port.self.name)
      assert.equal(one.presence.statusOf(c.id), 'alive')
    }
    assert.equal(c.directory.size(), 4)
    assert.ok(c.logs.some(({ level, message }) => level === 'warn' && message.includes('taken for dead')))
    assert.deepEqual(c.cut, [], 'it condemned nobody')
  })

  test('and comes back before that gets work again, and nothing was closed', async () => {
    const { time, made } = await startMany('a', 'b', 'c')
    const [a, b, c] = made
    assert.ok(a && b && c)
    c.freeze()
    await time.until(() => [a, b].every(({ told }) => told.length > 0), 4_000)
    c.thaw()
    await time.run(3_000)
    for (const one of [a, b]) {
      assert.deepEqual(one.told, ['changed c suspect', 'changed c alive'])
      assert.deepEqual(one.cut, [])
    }
    assert.deepEqual(
      c.told.filter((line) => line.startsWith('left')),
      [],
    )
  })
})

test('a connection over which a neighbour does not answer is given up, and made anew it is as good as any', async () => {
  const { network, time, made } = await startMany('a', 'b', 'c', 'd')
  const [a, b] = made
  assert.ok(a && b)
  a.deafTo.add(b.id)
  // What the other one asks is heard all the same: only silence on both sides is a broken way.
  b.deafTo.add(a.id)
  await time.run(6_000)
  assert.deepEqual([...a.cut, ...b.cut], [], 'a while is not enough')
  await time.run(6_000)
  assert.ok(a.cut.length + b.cut.length > 0)
  a.deafTo.clear()
  b.deafTo.clear()
  network.connect(a, b)
  await time.run(20_000)
  assert.ok(a.cut.length + b.cut.length <= 2)
  for (const one of made)
    assert.deepEqual(
      one.directory.agents().map(({ state }) => state),
      Array(4).fill('alive'),
    )
})

describe('a peer that is not connected', () => {
  test('is suspect and dead by word of those that were', async () => {
    const { network, time, made } = await startMany('a', 'b', 'c', 'd', 'e')
    const [a, , , , e] = made
    assert.ok(a && e)
    network.disconnect(a, e)
    await time.run(3_000)
    assert.equal(a.directory.get(e.id)?.state, 'alive', 'others hear it')
    a.told.length = 0
    e.freeze()
    await time.run(9_000)
    assert.deepEqual(a.told, ['changed e suspect', 'left e dead'])
    assert.deepEqual(a.cut, [])
  })
})

describe('a goodbye', () => {
  test('says whether the agent means to come back, and is no reason to suspect anybody', async () => {
    for (const departure of ['stop', 'leave'] as const) {
      const { time, made } = await startMany('a', 'b', 'c')
      const [a, b, c] = made
      assert.ok(a && b && c)
      const heard: string[] = []
      a.presence.onChange(({ peer, status, departure: how }) => heard.push(`${status} ${peer} ${how}`))
      await time.settled(c.directory.leave(departure), 100)
      await time.run(50)
      c.kill()
      await time.run(20_000)
      for (const one of [a, b]) assert.deepEqual(one.told, [`left c left ${departure}`])
      assert.deepEqual(heard, [`left ${c.id} ${departure}`])
      assert.equal(a.presence.statusOf(c.id), 'left')
    }
  })

  test('of an agent that starts anew is forgotten', async () => {
    const { network, time, made } = await startMany('a', 'b')
    const [a, b] = made
    assert.ok(a && b)
    await time.settled(b.directory.leave('stop'), 100)
    b.kill()
    await time.run(5_000)
    const again = await start(network, 'b')
    network.connect(a, again)
    await time.run(2_000)
    assert.equal(a.directory.get(b.id)?.state, 'alive')
    assert.equal(a.presence.statusOf(b.id), 'alive')
  })

  test('is the last word: what is said of this node afterwards it does not mind', async () => {
    const { time, made } = await startMany('a', 'b')
    const [a] = made
    assert.ok(a)
    await time.settled(a.directory.leave(), 100)
    const before = a.presence.stats().probes
    await time.run(10_000)
    assert.equal(a.presence.stats().probes, before)
  })
})

test('listeners hear of every change, and one that throws does not keep the others from it', async () => {
  const { time, made } = await startMany('a', 'b', 'c')
  const [a, , c] = made
  assert.ok(a && c)
  const heard: string[] = []
  a.presence.onChange(() => {
    throw new Error('not my day')
  })
  const stop = a.presence.onChange(({ status }) => void heard.push(status))
  c.freeze()
  await time.run(4_000)
  assert.deepEqual(heard, ['suspect'])
  stop()
  await time.run(5_000)
  assert.deepEqual(heard, ['suspect'])
  assert.ok(a.logs.some(({ level }) => level === 'error'))
})

test('tells load, round trip and silence of neighbours', async () => {
  const { time, made } = await startMany('a', 'b')
  const [a, b] = made
  assert.ok(a && b)
  await time.run(5_000)
  assert.deepEqual(a.presence.load(b.id), { load: 1, queueLength: 2 })
  assert.ok((a.presence.rttMs(b.id) ?? 0) >= 2)
  assert.ok((a.presence.silentMs(b.id) ?? Number.POSITIVE_INFINITY) < 1_000)
})
