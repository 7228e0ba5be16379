import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Connection } from '@libp2p/interface'
import {
  type ConnectionPruning,
  createConnectionPruning,
  overlayProtocol,
} from '../../../../node/network/connection-pruning.ts'
import { type AdmittedPeerFacts, createPeers, type Peers } from '../../../../node/network/peers.ts'
import { createPortNetwork, type NetworkNode, type PortNetwork } from '../../../../node/testing/virtual/port-network.ts'

const LOOK_MS = 1_000
const YOUNG_MS = 3_000
const REFUSED_MS = 600_000
const ANSWER_MS = 2_000
/** What the longest pause between two looks adds. */
const AND_A_LOOK_MS = 1.5 * LOOK_MS

interface Side extends NetworkNode {
  readonly parting: ConnectionPruning
  readonly peers: Peers
  /** What the overlay says; tests change it. */
  readonly overlay: { isSparse: boolean; picks: Set<string> }
  /** Peers with a link that is not the mesh's own. */
  readonly used: Set<string>
  /** Names of the peers that it gave up, and whom it asked when. */
  readonly retired: string[]
  readonly asked: { peer: string; atMs: number }[]
  /** Answers of this node that do not arrive. */
  lost: number
}

interface StartOptions {
  sparse?: boolean
  chance?: () => number
}

const nameOf = (network: Network, peer: string): string => network.names.get(peer) ?? peer

interface Network extends PortNetwork {
  readonly names: Map<string, string>
}

const createNetwork = (seed = 1): Network => ({ ...createPortNetwork({ seed, latencyMs: [5, 10] }), names: new Map() })

const start = async (network: Network, name: string, options: StartOptions = {}): Promise<Side> => {
  const node = network.start(name)
  network.names.set(node.id, name)
  const { time } = network
  const overlay: Side['overlay'] = { isSparse: options.sparse ?? true, picks: new Set() }
  const used = new Set<string>()
  const retired: string[] = []
  const asked: Side['asked'] = []
  const peers = createPeers({ self: node.id, timers: time, now: time.now, busy: () => false })
  const never = new Promise<never>(() => {})
  const parting = await createConnectionPruning({
    port: {
      ...node.port,
      serve: (protocol, handlers) => {
        const lossy = Object.entries(handlers).map(([method, handler]) => [
          method,
          (...given: unknown[]) => {
            const answer = (handler as (...given: unknown[]) => unknown)(...given)
            if (side.lost === 0) return answer
            side.lost -= 1
            return never
          },
        ])
        // The same methods, by construction.
        return node.port.serve(protocol, Object.fromEntries(lossy) as typeof handlers)
      },
      to: (peer, protocol, defaults) => {
        asked.push({ peer: nameOf(network, peer), atMs: time.now() })
        return node.port.to(peer, protocol, defaults)
      },
    },
    overlay: {
      add: () => false,
      delete: () => {},
      has: () => true,
      sparse: () => overlay.isSparse,
      picks: () => overlay.picks,
    },
    peers,
    chance: options.chance ?? network.random,
    used: (connection) => used.has(connection.remotePeer.toString()),
    retire(connection) {
      retired.push(nameOf(network, connection.remotePeer.toString()))
      peers.retire(connection)
    },
  })
  const side: Side = { ...node, parting, peers, overlay, used, retired, asked, lost: 0 }
  return side
}

/** As much of a connection as peers.ts looks at. The network below stays connected: what was given up still carries answers. */
const end = (other: Side, direction: 'inbound' | 'outbound', openedAt: number): Connection => {
  const made = {
    status: 'open',
    direction,
    remotePeer: { toString: () => other.id },
    remoteAddr: `/memory/${other.id}`,
    timeline: { open: openedAt },
    close: async () => {
      made.status = 'closed'
    },
    abort() {
      made.status = 'aborted'
    },
  }
  return made as unknown as Connection
}

/** A connection that `one` dialled, admitted on both sides. */
const connect = (network: Network, one: Side, two: Side): void => {
  network.connect(one, two)
  const facts = (of: Side): AdmittedPeerFacts => ({
    name: of.port.self.name,
    incarnation: 1,
    membership: { caps: [], endsAt: Number.POSITIVE_INFINITY } as unknown as AdmittedPeerFacts['membership'],
  })
  one.peers.admit(end(two, 'outbound', network.time.now()), facts(two))
  two.peers.admit(end(one, 'inbound', network.time.now()), facts(one))
}

const pick = (one: Side, ...others: Side[]): void => {
  for (const { id } of others) one.overlay.picks.add(id)
}
const isIn = (one: Side, two: Side): boolean => one.peers.get(two.id) !== undefined

/** `me`, with two picks that are connected and an `other` that nobody needs, which asks nobody itself. */
const startThree = async () => {
  const network = createNetwork()
  const me = await start(network, 'me')
  const picked = await start(network, 'picked', { sparse: false })
  const other = await start(network, 'other')
  // It waits for picks that never come.
  for (const name of ['x', 'y', 'z']) other.overlay.picks.add(name)
  for (const peer of [picked, other]) connect(network, me, peer)
  pick(me, picked)
  return { network, time: network.time, me, picked, other }
}

describe('a connection that neither side needs', () => {
  test('is given up on both sides once it is three seconds old', async () => {
    const { time, me, other, picked } = await startThree()
    await time.run(YOUNG_MS - 1)
    assert.deepEqual(me.asked, [])
    await time.run(AND_A_LOOK_MS + 50)
    assert.deepEqual([me.retired, other.retired], [['other'], ['me']])
    assert.deepEqual([isIn(me, other), isIn(other, me), isIn(me, picked)], [false, false, true])
    await time.run(10 * REFUSED_MS)
    assert.equal(me.asked.length, 1)
  })

  test('is left alone while it is young, also where others are old', async () => {
    const { network, time, me } = await startThree()
    await time.run(YOUNG_MS + AND_A_LOOK_MS)
    const late = await start(network, 'late')
    connect(network, late, me)
    const connectedAt = time.now()
    await time.until(() => me.retired.includes('late') || late.retired.includes('me'), 60_000)
    const ageMs = time.now() - connectedAt
    assert.ok(ageMs >= YOUNG_MS && ageMs <= YOUNG_MS + AND_A_LOOK_MS + 20, `${ageMs} ms`)
  })

  test('stays while picks are missing, but for one that may be down', async () => {
    const { network, time, me, other } = await startThree()
    const [second, third] = [await start(network, 'second'), await start(network, 'third')]
    pick(me, second, third)
    await time.run(60_000)
    assert.deepEqual(me.asked, [], 'one of three is connected')
    connect(network, me, second)
    second.overlay.picks.add(me.id)
    await time.run(AND_A_LOOK_MS)
    assert.deepEqual([me.retired, other.retired], [['other'], ['me']], 'two of three are')
  })

  test('stays in a mesh that is small enough for all, as either side sees it', async () => {
    const { time, me, other } = await startThree()
    me.overlay.isSparse = false
    other.overlay.isSparse = false
    await time.run(2 * REFUSED_MS)
    assert.deepEqual(me.asked, [])
    me.overlay.isSparse = true
    await time.run(2 * REFUSED_MS)
    assert.ok(me.asked.length >= 1)
    assert.deepEqual([me.retired, other.retired], [[], []], 'the other side needs it')
  })

  test('stays where a link of an agent is on it, on either side, and goes after that', async () => {
    const { time, me, other } = await startThree()
    me.used.add(other.id)
    await time.run(2 * REFUSED_MS)
    assert.deepEqual(me.asked, [], 'used here')
    me.used.delete(other.id)
    other.used.add(me.id)
    await time.run(2 * REFUSED_MS)
    assert.ok(me.asked.length >= 1 && me.asked.every(({ peer }) => peer === 'other'))
    assert.deepEqual([me.retired, other.retired], [[], []], 'used there')
    other.used.delete(me.id)
    await time.run(REFUSED_MS + AND_A_LOOK_MS)
    assert.deepEqual([me.retired, other.retired], [['other'], ['me']])
  })

  test('stays while there is a second one: peers.ts decides which of them goes', async () => {
    const { network, time, me, other } = await startThree()
    connect(network, other, me)
    assert.equal(me.peers.get(other.id)?.connections.length, 2)
    await time.run(2 * REFUSED_MS)
    assert.deepEqual(me.asked, [])
    assert.equal(
      await network.time.settled(other.port.to(me.id, overlayProtocol).part({}), 100).then((a) => a.agreed),
      false,
    )
  })
})

describe('a side that was refused', () => {
  test('does not ask again for ten minutes, and then does', async () => {
    const { time, me, other } = await startThree()
    pick(other, me)
    await time.run(YOUNG_MS + 4 * (REFUSED_MS + AND_A_LOOK_MS))
    const times = me.asked.map(({ atMs }) => atMs)
    assert.ok(times.length >= 4, `${times.length}`)
    for (const [n, atMs] of times.entries()) {
      const pauseMs = atMs - (times[n - 1] ?? Number.NEGATIVE_INFINITY)
      assert.ok(pauseMs >= REFUSED_MS, `${pauseMs} ms`)
      if (n > 0) assert.ok(pauseMs <= REFUSED_MS + AND_A_LOOK_MS + 20, `${pauseMs} ms`)
    }
    assert.deepEqual([me.retired, other.retired], [[], []])
  })

  test('says yes when it is asked itself', async () => {
    const { time, me, other, network } = await startThree()
    pick(other, me)
    await time.run(YOUNG_MS + AND_A_LOOK_MS)
    assert.equal(me.asked.length, 1)
    other.overlay.picks.delete(me.id)
    const answer = other.port.to(me.id, overlayProtocol).part({})
    assert.deepEqual(await network.time.settled(answer, 100), { agreed: true })
    assert.deepEqual(me.retired, ['other'])
  })
})

describe('two that ask at the same moment', () => {
  for (const [seed, later] of [1, 2, 3, 4, 5].flatMap((seed) => [0, 3, 6, 9].map((later) => [seed, later] as const))) {
    test(`end both without the connection, by the lower id's question (seed ${seed}, ${later} ms apart)`, async () => {
      const network = createNetwork(seed)
      const sides = [await start(network, `one ${seed}`, { chance: () => 0.5 })]
      await network.time.run(later)
      sides.push(await start(network, `two ${seed}`, { chance: () => 0.5 }))
      const [low, high] = sides.sort((a, b) => (a.id < b.id ? -1 : 1))
      assert.ok(low !== undefined && high !== undefined)
      connect(network, low, high)
      await network.time.run(YOUNG_MS + 2 * AND_A_LOOK_MS)
      assert.deepEqual([isIn(low, high), isIn(high, low)], [false, false])
      assert.equal(low.retired.length, 1)
      assert.ok(high.retired.length >= 1)
      if (low.asked.length > 0) assert.ok(low.parting.decision(high.id) === undefined)
    })
  }

  test("the higher id's question is refused while the lower one's is on its way", async () => {
    const network = createNetwork()
    const [low, high] = [
      await start(network, 'a', { chance: () => 0.5 }),
      await start(network, 'b', { chance: () => 0.5 }),
    ].sort((a, b) => (a.id < b.id ? -1 : 1))
    assert.ok(low !== undefined && high !== undefined)
    connect(network, low, high)
    // The higher one needs it: only the lower one's own question could end it.
    high.used.add(low.id)
    await network.time.until(() => low.asked.length === 1, YOUNG_MS + AND_A_LOOK_MS)
    const answer = high.port.to(low.id, overlayProtocol).part({})
    assert.deepEqual(await network.time.settled(answer, 100), { agreed: false })
    await network.time.run(1_000)
    assert.deepEqual([low.retired, high.retired], [[], []], 'both keep it')
  })

  test('of whom one still needs it keep it both', async () => {
    for (const needing of [0, 1]) {
      const network = createNetwork()
      const sides = [await start(network, 'a', { chance: () => 0.5 }), await start(network, 'b', { chance: () => 0.5 })]
      const [one, two] = needing === 0 ? sides : sides.reverse()
      assert.ok(one !== undefined && two !== undefined)
      connect(network, one, two)
      pick(one, two)
      await network.time.run(3 * REFUSED_MS)
      assert.deepEqual([isIn(one, two), isIn(two, one)], [true, true])
      assert.deepEqual([one.asked.length, one.retired, two.retired], [0, [], []])
    }
  })
})

describe('a yes that does not arrive', () => {
  test('is asked for again, and the second one ends it on both sides', async () => {
    const { time, me, other } = await startThree()
    other.lost = 1
    await time.until(() => other.retired.length === 1, YOUNG_MS + AND_A_LOOK_MS)
    await time.run(ANSWER_MS - 100)
    assert.deepEqual([isIn(me, other), isIn(other, me)], [true, false], 'half of it is gone')
    await time.run(100 + 1_000 + AND_A_LOOK_MS + 50)
    assert.equal(me.asked.length, 2)
    assert.deepEqual([me.retired, other.retired], [['other'], ['me']])
  })

  test('five times in a row is asked for six times', async () => {
    const { time, me, other } = await startThree()
    other.lost = 5
    await time.run(YOUNG_MS + 7 * (ANSWER_MS + 1_000 + AND_A_LOOK_MS))
    assert.equal(me.asked.length, 6)
    assert.deepEqual([me.retired, other.retired], [['other'], ['me']])
  })

  test('leaves a connection made meanwhile in use on both sides', async () => {
    const { network, time, me, other } = await startThree()
    other.lost = 1
    await time.until(() => other.retired.length === 1, YOUNG_MS + AND_A_LOOK_MS)
    connect(network, other, me)
    await time.run(2 * REFUSED_MS)
    assert.deepEqual(me.peers.get(other.id)?.connections.length, 2, 'the half that is left, until it closes')
    assert.equal(other.peers.get(me.id)?.connections.length, 1)
    assert.equal(other.retired.length, 1)
  })
})

describe('who waits', () => {
  test('is told that it is being decided, until it is', async () => {
    const { time, me, other } = await startThree()
    assert.equal(me.parting.decision(other.id), undefined)
    await time.until(() => me.asked.length === 1, YOUNG_MS + AND_A_LOOK_MS)
    const pending = me.parting.decision(other.id)
    assert.ok(pending !== undefined)
    assert.equal(isIn(me, other), true)
    await time.settled(pending, 50)
    assert.equal(isIn(me, other), false, 'by then the connection is out of use')
    assert.equal(me.parting.decision(other.id), undefined)
  })

  test('waits no longer than the answer may take, and then the connection is still there', async () => {
    const { time, me, other } = await startThree()
    pick(other, me)
    other.lost = 1
    await time.until(() => me.asked.length === 1, YOUNG_MS + AND_A_LOOK_MS)
    const pending = me.parting.decision(other.id)
    assert.ok(pending !== undefined)
    await time.settled(pending, ANSWER_MS + 50)
    assert.deepEqual([isIn(me, other), isIn(other, me)], [true, true])
  })

  test('does not make others wait', async () => {
    const { time, me, picked } = await startThree()
    await time.until(() => me.asked.length === 1, YOUNG_MS + AND_A_LOOK_MS)
    assert.equal(me.parting.decision(picked.id), undefined)
    assert.equal(me.parting.decision('nobody'), undefined)
  })
})

test('asks eight at once, and the next ones when those have answered', async () => {
  const network = createNetwork()
  const me = await start(network, 'me')
  const others: Side[] = []
  for (let n = 0; n < 9; n += 1) {
    const other = await start(network, `other ${n}`)
    for (const name of ['x', 'y', 'z']) other.overlay.picks.add(name)
    other.lost = 1
    connect(network, me, other)
    others.push(other)
  }
  await network.time.until(() => me.asked.length > 0, YOUNG_MS + AND_A_LOOK_MS)
  assert.equal(me.asked.length, 8)
  await network.time.run(ANSWER_MS - 100)
  assert.equal(me.asked.length, 8, 'none of them has answered')
  await network.time.run(20_000)
  assert.equal(me.retired.length, 9)
  assert.ok(others.every((other) => other.retired.length === 1))
})

test('after stop nobody is asked, and nothing is answered', async () => {
  const { network, time, me, other } = await startThree()
  await me.parting.stop()
  await time.run(2 * REFUSED_MS)
  assert.deepEqual([me.asked, me.retired], [[], []])
  const answer = other.port.to(me.id, overlayProtocol).part({})
  await assert.rejects(network.time.settled(answer, 100), { code: 'MSG004' })
})

test('any two dozen that ask whenever they like end with what at least one of two picked', async () => {
  for (const seed of [1, 2, 3]) {
    const network = createNetwork(seed)
    const sides: Side[] = []
    for (let n = 0; n < 24; n += 1) sides.push(await start(network, `n${n}`))
    for (const [n, one] of sides.entries()) {
      for (const two of sides.slice(n + 1)) connect(network, one, two)
      for (const step of [1, 5, 11]) pick(one, ...sides.slice((n + step) % 24, ((n + step) % 24) + 1))
      // Some answers are lost.
      one.lost = Math.floor(network.random() * 4)
    }
    await network.time.run(3 * REFUSED_MS)
    for (const one of sides) {
      const kept = sides.filter((two) => isIn(one, two)).map(({ id }) => id)
      const wanted = sides.filter((two) => one.overlay.picks.has(two.id) || two.overlay.picks.has(one.id))
      assert.deepEqual(kept.sort(), wanted.map(({ id }) => id).sort(), `${one.port.self.name}, seed ${seed}`)
    }
  }
})
