import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { graphView } from '../../../../../../node/observe/debug/sources/graph-view.ts'
import {
  ASK_AGAIN_MS,
  AT_ONCE,
  createNeighbours,
  KEPT_MS,
  MAX_LISTS,
  MAX_PASSED_ON,
  MAX_PATTERNS,
  MAX_PEERS,
  type Neighbours,
  neighboursProtocol,
} from '../../../../../../node/observe/debug/sources/neighbours.ts'
import { createPortNetwork, type NetworkNode } from '../../../../../../node/testing/virtual/port-network.ts'
import type { Port } from '../../../../../../protocols/port.ts'

interface Side extends NetworkNode {
  readonly neighbours: Neighbours
}

/** Nodes by name, connected as told; each knows all agents. */
const meshOf = async (names: readonly string[], connections: readonly (readonly [string, string])[]) => {
  const network = createPortNetwork({ latencyMs: [5, 5] })
  const sides = new Map<string, Side>()
  for (const name of names) {
    const node = network.start(name)
    const neighbours = await createNeighbours({
      port: node.port,
      rttMs: () => 10,
      agents: () => names.length,
      listening: () => new Map([[`of.${name}`, 2]]),
    })
    sides.set(name, { ...node, neighbours })
  }
  const side = (name: string): Side => {
    const found = sides.get(name)
    assert.ok(found !== undefined)
    return found
  }
  for (const [one, two] of connections) network.connect(side(one), side(two))
  const nameOf = (id: string): string => [...sides].find(([, node]) => node.id === id)?.[0] ?? id
  /** `a-b`, each once, as the page of this node would draw it. */
  const drawn = (name: string, agents = names) => {
    const { id, port, neighbours } = side(name)
    const { nodes, edges } = graphView({
      self: { id, name },
      members: () => port.members(),
      neighbours,
      directory: {
        agents: () => agents.map((one) => ({ peer: side(one).id, name: one })) as never,
      },
    })
    const lines = edges.map(({ from, to }) => [nameOf(from), nameOf(to)].sort().join('-')).sort()
    return { lines, nodes: new Map(nodes.map((node) => [node.name, node])), edges }
  }
  return { ...network, side, drawn, nameOf }
}

describe('who is connected to whom', () => {
  it('is told by the neighbours, once somebody looks', async () => {
    const names = ['a', 'b', 'c']
    const { time, drawn, traffic } = await meshOf(names, [
      ['a', 'b'],
      ['b', 'c'],
      ['a', 'c'],
    ])
    const before = traffic.messages
    await time.run(60_000)
    assert.equal(traffic.messages, before)
    const first = drawn('a')
    assert.deepEqual(first.lines, ['a-b', 'a-c'])
    assert.deepEqual([first.nodes.get('a')?.toldMs, first.nodes.get('b')?.toldMs], [0, undefined])
    await time.run(100)
    const second = drawn('a')
    assert.deepEqual(second.lines, ['a-b', 'a-c', 'b-c'])
    assert.ok((second.nodes.get('b')?.toldMs ?? -1) > 0)
    assert.deepEqual(
      second.edges.map(({ rttMs }) => rttMs),
      [10, 10, 10],
    )
  })

  it('is asked again only after a while, however often somebody looks', async () => {
    const { time, drawn, traffic } = await meshOf(['a', 'b'], [['a', 'b']])
    const before = traffic.messages
    for (let look = 0; look < 50; look += 1) drawn('a')
    await time.run(100)
    const once = traffic.messages
    const asked = once - before
    assert.ok(asked > 0)
    drawn('a')
    await time.run(ASK_AGAIN_MS - 200)
    drawn('a')
    await time.run(50)
    assert.equal(traffic.messages, once)
    await time.run(200)
    drawn('a')
    await time.run(100)
    assert.equal(traffic.messages - once, asked)
  })

  it('is passed on by neighbours where not all are connected, and not known further away', async () => {
    const names = ['a', 'b', 'c', 'd', 'e']
    const { time, drawn } = await meshOf(names, [
      ['a', 'b'],
      ['b', 'c'],
      ['c', 'd'],
      ['d', 'e'],
    ])
    // The first question has the neighbour ask its own, the second one hears of it.
    for (let look = 0; look < 3; look += 1) {
      drawn('a')
      await time.run(ASK_AGAIN_MS)
    }
    const { lines, nodes } = drawn('a')
    assert.deepEqual(lines, ['a-b', 'b-c', 'c-d'])
    const known = names.map((name) => nodes.get(name)?.toldMs !== undefined)
    assert.deepEqual(known, [true, true, true, false, false])
    assert.ok((nodes.get('c')?.toldMs ?? 0) >= (nodes.get('b')?.toldMs ?? Number.POSITIVE_INFINITY))
  })

  it('is believed of whoever told last, and forgotten after a minute', async () => {
    const { time, drawn, disconnect, side } = await meshOf(
      ['a', 'b', 'c'],
      [
        ['a', 'b'],
        ['a', 'c'],
        ['b', 'c'],
      ],
    )
    drawn('a')
    await time.run(100)
    assert.deepEqual(drawn('a').lines, ['a-b', 'a-c', 'b-c'])
    disconnect(side('b'), side('c'))
    disconnect(side('a'), side('c'))
    await time.run(ASK_AGAIN_MS)
    drawn('a')
    await time.run(100)
    // c cannot be asked any more, and its old word counts less than that of a and b.
    assert.deepEqual(drawn('a').lines, ['a-b'])
    assert.notEqual(drawn('a').nodes.get('c')?.toldMs, undefined)
    await time.run(KEPT_MS + 1)
    assert.equal(drawn('a').nodes.get('c')?.toldMs, undefined)
  })

  it('has only nodes that are known, whatever others name', async () => {
    const { time, drawn } = await meshOf(
      ['a', 'b', 'c'],
      [
        ['a', 'b'],
        ['b', 'c'],
      ],
    )
    drawn('a', ['a', 'b'])
    await time.run(100)
    const { lines, nodes } = drawn('a', ['a', 'b'])
    assert.deepEqual([lines, [...nodes.keys()]], [['a-b'], ['a', 'b']])
  })
})

/** A node with so many neighbours, whose questions wait until they are answered by hand. */
const crowd = async (size: number, answer?: (peer: string) => unknown) => {
  const members = Array.from({ length: size }, (_, at) => ({ id: `peer${at}`, name: `n${at}` }))
  let open = 0
  let most = 0
  let handlers: Record<string, (input: unknown, context: unknown) => unknown> = {}
  const clock = { at: 0 }
  const port = {
    self: { id: 'self', name: 'self', mesh: 'm', incarnation: 1 },
    clock: { now: () => clock.at, monotonic: () => clock.at },
    members: () => members,
    serve: async (_: unknown, given: typeof handlers) => {
      handlers = given
      return async () => {}
    },
    to: (peer: string) => ({
      list: async () => {
        open += 1
        most = Math.max(most, open)
        await new Promise(setImmediate)
        open -= 1
        if (answer !== undefined) return answer(peer)
        return { peers: [] }
      },
    }),
  } as unknown as Port
  const patterns = new Map<string, number>()
  const neighbours = await createNeighbours({
    port,
    rttMs: () => undefined,
    agents: () => size + 1,
    listening: () => patterns,
  })
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < (2 * size) / AT_ONCE + 10; turn += 1) await new Promise(setImmediate)
  }
  return {
    neighbours,
    patterns,
    settle,
    most: () => most,
    clock,
    ask: (input: unknown) => handlers.list?.(input, { peer: 'x' }),
  }
}

describe('what is kept of connections is bounded', () => {
  it('by questions at once', async () => {
    const { neighbours, settle, most } = await crowd(3 * AT_ONCE)
    neighbours.reports()
    await settle()
    assert.equal(most(), AT_ONCE)
    assert.equal(neighbours.reports().size, 3 * AT_ONCE)
  })

  it('by lists, and by peers of one list', async () => {
    const { neighbours, settle } = await crowd(MAX_LISTS + 1)
    neighbours.reports()
    await settle()
    assert.equal(neighbours.reports().size, MAX_LISTS)
    assert.equal(neighbours.own().length, MAX_PEERS)
  })

  it('by lists that are passed on', async () => {
    const { neighbours, settle, ask } = await crowd(MAX_PASSED_ON + 1)
    neighbours.reports()
    await settle()
    const told = ask({ passOn: true }) as { passedOn: unknown[] }
    assert.equal(told.passedOn.length, MAX_PASSED_ON)
    assert.deepEqual(Object.keys(ask({}) as object), ['peers', 'listens'])
  })

  it('by patterns that it listens to, of which all are told or none', async () => {
    const { patterns, ask } = await crowd(1)
    const told = () => (ask({}) as { listens?: unknown[] }).listens?.length
    for (let n = 0; n < MAX_PATTERNS; n += 1) patterns.set(`a.${n}`, 1)
    assert.equal(told(), MAX_PATTERNS)
    patterns.set('one more', 1)
    assert.equal(told(), undefined)
  })

  it('and what a neighbour listens to is known while others tell of it as well', async () => {
    let isFirst = true
    const { neighbours, settle, clock } = await crowd(2, (peer) => {
      if (isFirst) return { peers: [], listens: [{ pattern: `of.${peer}`, count: 1 }] }
      if (peer === 'peer1') return { peers: [], passedOn: [{ peer: 'peer0', ageMs: 0, peers: [] }] }
      throw new Error('it is gone')
    })
    neighbours.reports()
    await settle()
    isFirst = false
    clock.at += ASK_AGAIN_MS + 1
    neighbours.reports()
    await settle()
    const heard = neighbours.reports().get('peer0')
    assert.deepEqual([heard?.listens, heard?.ageMs], [[{ pattern: 'of.peer0', count: 1 }], 0])
  })

  it('and a neighbour that fails, or does not tell, is left out', async () => {
    const { neighbours, settle } = await crowd(2, (peer) => {
      if (peer === 'peer0') throw new Error('it does not serve this')
      return { peers: [{ id: 'peer0' }] }
    })
    neighbours.reports()
    await settle()
    assert.deepEqual([...neighbours.reports().keys()], ['peer1'])
  })

  it('by what an answer may hold', () => {
    const { response } = neighboursProtocol.methods.list
    const peers = (count: number) => Array.from({ length: count }, (_, at) => ({ id: `p${at}` }))
    assert.ok(response.safeParse({ peers: peers(MAX_PEERS) }).success)
    assert.ok(!response.safeParse({ peers: peers(MAX_PEERS + 1) }).success)
    const passedOn = (count: number) => peers(count).map(({ id }) => ({ peer: id, ageMs: 1, peers: [] }))
    assert.ok(response.safeParse({ peers: [], passedOn: passedOn(MAX_PASSED_ON) }).success)
    assert.ok(!response.safeParse({ peers: [], passedOn: passedOn(MAX_PASSED_ON + 1) }).success)
    assert.ok(!response.safeParse({ peers: [{ id: '../x' }] }).success)
    assert.ok(!response.safeParse({ peers: [{ id: 'p', rttMs: -1 }] }).success)
  })
})
