/** Probes over random nodes, requests and calls, against what is known by looking at all of them at once. */
import assert from 'node:assert/strict'
import { describe, it, test } from 'node:test'
import { slotsOf, victimOf, type Wait, type WaitsHere } from '../../../protocols/wait-graph/wait-graph.ts'
import {
  MAX_EDGES,
  MAX_PEER_PROBES,
  MAX_PROBES,
  MAX_WAITS,
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

  it('is nobody where one tells less of a wait than another does', () => {
    const truth = [...knot, wait('r2', ['q1']), wait('q1', ['slots:a'], true), wait('slots:b', ['r2', 'r3'])]
    assert.equal(victimOf(truth, 'slots:a'), undefined)
    assert.equal(victimOf(truth.toReversed(), 'slots:a'), undefined)
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

const FAR = { peer: 'bob', since: -STILL_MS, changes: 1 }

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

  it('and one that asked first takes nothing away from who asks after it', () => {
    const probes = new WaitProbes()
    const calls = [{ peer: 'carl', key: 'x1.1' }]
    const queued = ['ann', 'eve'].map((peer) => [`${peer}.1`, { peer, since: -STILL_MS }] as const)
    const stuck: WaitsHere = {
      self: 'me',
      queued: new Map(queued),
      running: new Map([['r1.1', { peer: 'bob', since: -STILL_MS, changes: 1, calls }]]),
    }
    const asked = (from: string) =>
      probes.step({ kind: 'asked', probe: 'p', from, keys: [`${from}.1`], token: 1 }, stuck, 0)
    const [question] = asked('eve')
    assert.ok(question?.kind === 'ask' && question.peer === 'carl')
    const [told] = asked('ann')
    assert.ok(told?.kind === 'answer' && told.answer.blocked)
    assert.deepEqual(told.answer.waits.map(({ id }) => id).sort(), ['ann.1', 'r1.1', 'slots:me'])
    // Carl's handler goes on: eve hears of it, and may keep it for itself.
    const ended = probes.step({ kind: 'answered', ask: question.ask, answer: { blocked: false } }, stuck, 0)
    assert.deepEqual(ended, [{ kind: 'answer', token: 1, answer: { blocked: false } }])
    assert.deepEqual(asked('ann'), [{ kind: 'answer', token: 1, answer: { blocked: false } }])
  })

  it('and one that brings many probes takes no place from what this node begins itself', () => {
    const probes = new WaitProbes()
    const many: WaitsHere = {
      self: 'me',
      queued: new Map(Array.from({ length: 9 }, (_, i) => [`q${i}.1`, { peer: `p${i}`, since: -STILL_MS }])),
      running: new Map([
        ['r1.1', { peer: 'bob', since: -STILL_MS, changes: 1, calls: [{ peer: 'far', key: 'x1.1' }] }],
      ]),
    }
    let forwarded = 0
    for (let i = 0; i < 9 * MAX_PEER_PROBES; i += 1) {
      const [peer, key] = [`p${i % 9}`, `q${i % 9}.1`]
      const [effect] = probes.step({ kind: 'asked', probe: `p${i}`, from: peer, keys: [key], token: i }, many, 0)
      if (effect?.kind === 'ask') forwarded += 1
    }
    assert.equal(forwarded, MAX_PROBES)
    const [own] = probes.step({ kind: 'begin', probe: 'own' }, many, 0)
    assert.equal(own?.kind, 'ask')
  })

  it('and what has not waited unchanged for a moment is not blocked: its handler may give up by itself', () => {
    const at = (since: number, calledAt: number, nowMs: number): boolean => {
      const calls = [{ peer: 'me', key: 'q1.1' }]
      const world: WaitsHere = {
        self: 'me',
        queued: new Map([['q1.1', { peer: 'me', since }]]),
        running: new Map([['r1.1', { peer: 'bob', since: calledAt, changes: 1, calls }]]),
      }
      const [effect] = new WaitProbes().step({ kind: 'begin', probe: 'p' }, world, nowMs)
      return effect?.kind === 'concluded' && effect.answer.blocked
    }
    assert.equal(at(0, 0, STILL_MS), true)
    assert.equal(at(0, 0, STILL_MS - 1), false)
    assert.equal(at(1, 0, STILL_MS), false, 'a request that has just come')
    assert.equal(at(0, 1, STILL_MS), false, 'a handler whose calls have just changed')
  })

  it('and what it tells is bounded, in requests and in what they wait for', () => {
    const far = [{ peer: 'far', key: 'x1.1' }]
    const world: WaitsHere = { ...here, running: new Map([['r1.1', { ...FAR, calls: far }]]) }
    const tell = (waits: Wait[]): boolean => {
      const probes = new WaitProbes()
      const [asked] = probes.step({ kind: 'begin', probe: 'p' }, world, 0)
      assert.ok(asked?.kind === 'ask')
      const [ended] = probes.step({ kind: 'answered', ask: asked.ask, answer: { blocked: true, waits } }, world, 0)
      return ended?.kind === 'concluded' && ended.answer.blocked
    }
    const on = Array.from({ length: 1_024 }, (_, i) => `k${i}`)
    // The node itself tells of two: its slots, and who has one.
    const many = (count: number): Wait[] => Array.from({ length: count }, (_, i) => ({ id: `w${i}`, on: ['k'] }))
    const wide = (edges: number): Wait[] => [
      ...Array.from({ length: 31 }, (_, i) => ({ id: `w${i}`, on })),
      { id: 'last', on: on.slice(0, edges) },
    ]
    assert.deepEqual([tell(many(MAX_WAITS - 2)), tell(many(MAX_WAITS - 1))], [true, false])
    assert.deepEqual([tell(wide(1_022)), tell(wide(1_023))], [true, false])
    assert.equal(32 * 1_024, MAX_EDGES)
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
