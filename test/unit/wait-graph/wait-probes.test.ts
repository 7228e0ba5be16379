/** Probes over random nodes, requests and calls, against what is known by looking at all of them at once. */
import assert from 'node:assert/strict'
import { describe, it, test } from 'node:test'
import { slotsOf, victimOf, type Wait, type WaitsHere } from '../../../protocols/wait-graph/wait-graph.ts'
import {
  MAX_PEER_PROBES,
  MAX_PROBES,
  PROBE_MS,
  type ProbeAnswer,
  STILL_MS,
  WaitProbes,
} from '../../../protocols/wait-graph/wait-probes.ts'
import { knotsOf, World } from '../../support/wait-world.ts'

describe('who gives way', () => {
  const wait = (id: string, on: string[], isQueued = false): Wait => ({ id, on, isQueued })
  const knot = [wait('slots:a', ['r1']), wait('r1', ['q2']), wait('q2', ['slots:b'], true), wait('slots:b', ['r2'])]

  it('is the request in line with the lowest key, whoever asks', () => {
    const waits = [...knot, wait('r2', ['q1']), wait('q1', ['slots:a'], true)]
    assert.equal(victimOf(waits, 'slots:a'), 'q1')
    assert.equal(victimOf(waits.toReversed(), 'slots:b'), 'q1')
  })

  it('is nobody where something is not known, or waits for nothing', () => {
    assert.equal(victimOf(knot, 'slots:a'), undefined)
    assert.equal(victimOf([...knot, wait('r2', [])], 'slots:a'), undefined)
    assert.equal(victimOf([], 'slots:a'), undefined)
  })

  it('is nobody for a node that waits for the knot and is not in it', () => {
    const waits = [
      ...knot,
      wait('r2', ['q1']),
      wait('q1', ['slots:a'], true),
      wait('slots:c', ['r3']),
      wait('r3', ['q2']),
    ]
    assert.equal(victimOf(waits, 'slots:c'), undefined)
    assert.equal(victimOf(waits, 'slots:a'), 'q1', 'what nothing leads to changes nothing')
  })
})

test('a probe never says blocked of what can go on, whatever happens meanwhile and in whatever order', () => {
  let blocked = 0
  for (let seed = 1; seed <= 2_500; seed += 1) {
    const world = new World(seed, 1 + (seed % 4))
    for (let turn = 0; turn < 120; turn += 1) {
      const chance = world.random()
      if (chance < 0.3) world.act()
      else if (chance < 0.4) world.begin(Math.floor(world.random() * world.nodes.length))
      else world.arrive()
    }
    blocked += world.concluded.filter(({ answer }) => answer.blocked).length
  }
  assert.ok(blocked > 1_000, `it met ${blocked} deadlocks`)
})

describe('a member that lies has nobody give way but who waits for that member', () => {
  const play = (pries: boolean): { broken: number; wrong: number } => {
    let [broken, wrong] = [0, 0]
    for (let seed = 1; seed <= 3_000; seed += 1) {
      const world = new World(seed * 3, 2 + (seed % 3), { liar: 0, pries })
      for (let turn = 0; turn < 160; turn += 1) {
        const chance = world.random()
        if (chance < 0.3) world.act()
        else if (chance < 0.45) world.begin(1 + Math.floor(world.random() * (world.nodes.length - 1)))
        else world.arrive()
      }
      broken += world.broken.length
      wrong += world.wrong.length
    }
    return { broken, wrong }
  }

  it('whatever it says of others, whose every key it knows', () => {
    const { broken, wrong } = play(false)
    assert.ok(broken > 1_000, `${broken} requests gave way`)
    assert.equal(wrong, 0)
  })

  it('and hardly ever one more where it asks others in probes of others before these do', () => {
    // Whoever asks first may keep for itself that something goes on there, if the others ask before that is known.
    const { broken, wrong } = play(true)
    assert.ok(wrong * 1_000 <= broken, `${wrong} of ${broken}`)
  })
})

test('once nothing can go on, each node in a deadlock finds it, and in each knot exactly one request gives way', () => {
  let knots = 0
  for (let seed = 1; seed <= 1_500; seed += 1) {
    const world = new World(seed * 7, 1 + (seed % 4))
    for (let turn = 0; turn < 80; turn += 1) {
      if (world.random() < 0.4) world.act()
      else world.arrive()
    }
    while (world.travelling.length > 0) world.arrive()
    const stuck = world.stuck()
    for (const node of world.nodes.keys()) world.begin(node)
    while (world.travelling.length > 0) world.arrive()
    assert.equal(world.concluded.length, world.nodes.length, 'each probe ends')
    for (const { node, answer } of world.concluded)
      assert.equal(
        answer.blocked,
        world.of(node, 'queued').length > 0 && stuck.has(slotsOf(world.nodes[node] ?? '')),
        `seed ${seed}, node ${node}`,
      )
    assert.equal(world.broken.length, knotsOf(world), `seed ${seed}`)
    knots += world.broken.length
  }
  assert.ok(knots > 300, `${knots} knots`)
})

describe('a stranger to a call', () => {
  const here: WaitsHere = {
    self: 'me',
    queued: new Map([['q1.1', { peer: 'ann', since: -STILL_MS }]]),
    running: new Map([['r1.1', { peer: 'bob', since: -STILL_MS, changes: 1, calls: [{ peer: 'me', key: 'q1.1' }] }]]),
  }
  const ask = (probes: WaitProbes, from: string, keys: string[], probe = 'p') =>
    probes.step({ kind: 'asked', probe, from, keys, token: 1 }, here, 0)

  it('is told nothing of it, nor who asks about what is not there', () => {
    const probes = new WaitProbes()
    for (const [from, keys] of [
      ['eve', ['q1.1']],
      ['bob', ['q1.1']],
      ['ann', ['q1.1', 'r1.1']],
      ['ann', ['q9.9']],
      ['ann', []],
    ] as const)
      assert.deepEqual(ask(probes, from, [...keys]), [{ kind: 'answer', token: 1, answer: { blocked: false } }])
    assert.equal(probes.size(), 0)
    const [effect] = ask(probes, 'ann', ['q1.1'])
    assert.ok(effect?.kind === 'answer' && effect.answer.blocked)
  })

  it('and who asks often is remembered within a bound, each for its time', () => {
    const probes = new WaitProbes()
    for (let i = 0; i < MAX_PEER_PROBES; i += 1) ask(probes, 'ann', ['q1.1'], `p${i}`)
    assert.equal(probes.size(), MAX_PEER_PROBES)
    const [more] = ask(probes, 'ann', ['q1.1'], 'one-more')
    assert.ok(more?.kind === 'answer' && !more.answer.blocked)
    const [other] = ask(probes, 'bob', ['r1.1'], 'of-bob')
    assert.ok(other?.kind === 'answer' && other.answer.blocked, 'others have their share')
    probes.step({ kind: 'tick' }, here, PROBE_MS)
    assert.equal(probes.size(), 0)
    assert.ok(MAX_PEER_PROBES < MAX_PROBES)
  })

  it('an answer that nobody asked for, or that comes too late, does nothing', () => {
    const probes = new WaitProbes()
    const calls = [{ peer: 'far', key: 'x1.1' }]
    const away: WaitsHere = {
      ...here,
      running: new Map([['r1.1', { peer: 'bob', since: -STILL_MS, changes: 1, calls }]]),
    }
    const [asked] = probes.step({ kind: 'begin', probe: 'p' }, away, 0)
    assert.ok(asked?.kind === 'ask' && asked.peer === 'far')
    const answer: ProbeAnswer = { blocked: true, waits: [] }
    assert.deepEqual(probes.step({ kind: 'answered', ask: 99, answer }, away, 0), [])
    const [ended] = probes.step({ kind: 'tick' }, away, PROBE_MS)
    assert.ok(ended?.kind === 'concluded' && !ended.answer.blocked)
    assert.deepEqual(probes.step({ kind: 'answered', ask: asked.ask, answer }, away, PROBE_MS), [])
  })
})
