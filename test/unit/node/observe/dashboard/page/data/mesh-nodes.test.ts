import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { describeEvent, isOwnEvent, runsOf } from '../../../../../../../node/observe/dashboard/page/data/event-text.ts'
import {
  labelsOf,
  linksOf,
  type MeshNode,
  nodesOf,
  skillsOf,
  takesOf,
} from '../../../../../../../node/observe/dashboard/page/data/mesh-nodes.ts'
import {
  FADE_MS,
  ForceLayout,
  MAX_BODIES,
} from '../../../../../../../node/observe/dashboard/page/graph/force-layout.ts'
import type { AgentView, CoordinatorView, Overview } from '../../../../../../../node/observe/debug/debug-schemas.ts'
import { matchesFilter } from '../../../../../../../node/observe/debug/text-filter.ts'
import { createSource } from '../../../debug/debug-client.ts'

const agent = (id: string, more: Partial<AgentView> = {}): Overview['agents'][number] => ({
  id,
  name: id,
  state: 'alive',
  protocols: [],
  labels: {},
  addresses: [],
  ...more,
})

const meshOf = (agents: Overview['agents'], extra: string[] = []): Pick<Overview, 'graph' | 'agents' | 'peers'> => ({
  agents,
  peers: [],
  graph: {
    nodes: [...agents.map(({ id }) => id), ...extra].map((id) => ({ id, name: id, self: id === 'a' })),
    edges: [],
  },
})

const node = (id: string): MeshNode => ({
  id,
  name: id,
  self: id === 'a',
  state: 'alive',
  isCoordinator: false,
  raftRole: undefined,
  peer: undefined,
  agent: undefined,
  reportedMs: 0,
})

describe('the nodes of the page', () => {
  it('stand as the directory says: stuck before suspect before working', () => {
    const nodes = nodesOf(
      meshOf(
        [
          agent('a'),
          agent('b', { activity: { state: 'working' } }),
          agent('c', { state: 'suspect', activity: { state: 'working' } }),
          agent('d', { state: 'suspect', activity: { state: 'stuck' } }),
        ],
        ['e'],
      ),
      undefined,
    )
    assert.deepEqual(
      nodes.map(({ state: standing }) => standing),
      ['alive', 'working', 'suspect', 'stuck', 'unknown'],
    )
  })

  it('have a crown and seats by the coordinator, this node first, then by name with numbers in order', async () => {
    const coordinator: CoordinatorView = await createSource().source.coordinator()
    const ids = ['n10', 'n9', 'peer-b', 'peer-a', 'a']
    const nodes = nodesOf(meshOf(ids.map((id) => agent(id))), coordinator)
    assert.deepEqual(
      nodes.map(({ id }) => id),
      ['a', 'n9', 'n10', 'peer-a', 'peer-b'],
    )
    assert.deepEqual(nodes.map(({ isCoordinator, raftRole }) => [isCoordinator, raftRole]).slice(3), [
      [false, 'voter'],
      [true, 'voter'],
    ])
  })

  it('are told apart by the end of the id where two have one name', () => {
    const labels = labelsOf([
      { ...node('12D3aaaa'), name: 'x' },
      { ...node('12D3bbbb'), name: 'x' },
      { ...node('12D3cccc'), name: 'y' },
    ])
    assert.deepEqual([...labels.values()], ['x aaaa', 'x bbbb', 'y'])
  })

  it('show links from both ends, and messages apart from skills', () => {
    const graph = {
      nodes: [],
      edges: [
        { from: 'a', to: 'b', rttMs: 2 },
        { from: 'c', to: 'a', ageMs: 5 },
      ],
    }
    assert.deepEqual(linksOf(graph, 'a'), [
      { id: 'b', rttMs: 2, ageMs: 0 },
      { id: 'c', rttMs: undefined, ageMs: 5 },
    ])
    const offering = agent('a', {
      protocols: [
        { name: 'summarize', version: '1.0.0', methods: [] },
        { name: 'message/order', version: '1.0.0', methods: [] },
      ],
    })
    assert.deepEqual([skillsOf(offering).map(({ name }) => name), takesOf(offering)], [['summarize'], ['order']])
  })
})

describe('the layout of the graph', () => {
  const labels = new Map<string, string>()

  it('keeps nodes apart, comes to rest, and draws the same mesh in the same way', () => {
    const picture = () => {
      const layout = new ForceLayout()
      const nodes = ['a', 'b', 'c', 'd', 'e'].map(node)
      layout.update(nodes, labels, [{ from: 'a', to: 'b' }], 0)
      layout.settle()
      assert.equal(layout.step(10_000), false)
      return [...layout.bodies.values()].map(({ x, y }) => [x, y] as const)
    }
    const places = picture()
    for (const [at, [x, y]] of places.entries())
      for (const [u, v] of places.slice(at + 1)) assert.ok(Math.hypot(x - u, y - v) > 60)
    assert.deepEqual(picture(), places)
  })

  it('has who left fade and then gone, with its connections, and who comes back drawn again', () => {
    const layout = new ForceLayout()
    layout.update([node('a'), node('b')], labels, [{ from: 'a', to: 'b' }], 0)
    layout.update([node('a')], labels, [], 1_000)
    assert.deepEqual([layout.bodies.size, layout.edges().length], [2, 1])
    assert.equal(layout.bodies.get('b')?.leftAt, 1_000)
    layout.step(1_000 + FADE_MS)
    assert.equal(layout.bodies.size, 2)
    layout.step(1_001 + FADE_MS)
    assert.deepEqual([...layout.bodies.keys()], ['a'])
    layout.update([node('a')], labels, [], 3_000)
    assert.equal(layout.edges().length, 0)
    layout.update([node('a'), node('b')], labels, [], 4_000)
    layout.update([node('a')], labels, [], 5_000)
    layout.update([node('a'), node('b')], labels, [], 5_100)
    assert.equal(layout.bodies.get('b')?.leftAt, undefined)
  })

  it('draws so many nodes and not one more', () => {
    const layout = new ForceLayout()
    layout.update(
      Array.from({ length: MAX_BODIES + 1 }, (_, at) => node(`n${at}`)),
      labels,
      [{ from: 'n0', to: `n${MAX_BODIES}` }],
      0,
    )
    assert.deepEqual([layout.bodies.size, layout.edges().length], [MAX_BODIES, 0])
  })
})

describe('events in words', () => {
  const nameOf = (id: string): string => (id === 'b' ? 'bea' : '')

  it('are one sentence each', () => {
    const said = [
      { type: 'agent-joined' as const, at: 1, id: 'b', name: 'bea', protocols: ['message/x@1', 'sum@1.0.0'] },
      { type: 'agent-changed' as const, at: 1, id: 'b', name: 'bea', protocols: [], stuck: true },
      { type: 'agent-left' as const, at: 1, id: 'b', name: 'bea', reason: 'dead' },
      { type: 'event-received' as const, at: 1, topic: 'tasks', bytes: 3, source: 'b' },
      { type: 'dropped' as const, at: 1, count: null },
    ].map((event) => describeEvent(event, nameOf))
    assert.deepEqual(said, [
      'bea came with sum@1.0.0',
      'bea is stuck',
      'bea left (dead)',
      'tasks from bea, 3 bytes',
      'events were missed, how many is not known',
    ])
  })

  it('are of programs or of the mesh itself', () => {
    const passed = { at: 1, bytes: 3, source: 'b' }
    const events = [
      { type: 'event-received' as const, ...passed, topic: 'tasks' },
      { type: 'event-received' as const, ...passed, topic: 'coordination.epoch', own: true },
      { type: 'peer-joined' as const, at: 1, id: 'b', name: 'bea' },
      { type: 'stranger-refused' as const, at: 1, reason: 'a secret' },
      { type: 'dropped' as const, at: 1, count: 1 },
    ]
    assert.deepEqual(events.map(isOwnEvent), [false, true, true, true, false])
  })

  it('are one line where the same happens several times running', () => {
    const runs = runsOf(['a1', 'b1', 'b2', 'a2', 'a3'], (row) => row.slice(0, 1))
    assert.deepEqual(
      runs.map(({ row, first, times }) => [row, first, times]),
      [
        ['a3', 'a2', 2],
        ['b2', 'b1', 2],
        ['a1', 'a1', 1],
      ],
    )
    assert.deepEqual(runsOf([], String), [])
  })

  it('are filtered by words that must and must not be there', () => {
    const line = 'event-received tasks.status from bea, 3 bytes'
    for (const filter of ['', '  ', 'TASKS', 'bea status', 'bea -quill', '-'])
      assert.ok(matchesFilter(line, filter), filter)
    for (const filter of ['quill', 'bea -tasks', 'bea quill']) assert.ok(!matchesFilter(line, filter), filter)
  })
})
