/** Probes over random nodes, requests and calls, against what is known by looking at all of them at once. */
import assert from 'node:assert/strict'
import { describe, it, test } from 'node:test'
import { createRandom } from '../../../node/testing/virtual/virtual-time.ts'
import { slotsOf, victimOf, type Wait, type WaitsHere } from '../../../protocols/wait-graph/wait-graph.ts'
import {
  MAX_PEER_PROBES,
  MAX_PROBES,
  PROBE_MS,
  type ProbeAnswer,
  type ProbeEffect,
  WaitProbes,
} from '../../../protocols/wait-graph/wait-probes.ts'

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

interface Request {
  readonly key: string
  /** Index of the node that serves it. */
  readonly at: number
  /** Peer id of the node that made it. */
  readonly from: string
  readonly parent: Request | undefined
  state: 'coming' | 'queued' | 'running' | 'answered' | 'gone'
  readonly calls: Set<Request>
  changes: number
}

const SLOTS = 2

/** Nodes with two slots each; what travels between them arrives in any order. */
class World {
  readonly random: () => number
  readonly nodes: string[]
  readonly requests: Request[] = []
  readonly probes: WaitProbes[]
  readonly travelling: (() => void)[] = []
  readonly concluded: { node: number; answer: ProbeAnswer }[] = []
  readonly broken: Request[] = []
  #count = 0
  readonly #asking = new Map<number, { node: number; ask: number }>()

  constructor(seed: number, nodes: number) {
    this.random = createRandom(seed)
    this.nodes = Array.from({ length: nodes }, (_, i) => `n${i}`)
    this.probes = this.nodes.map(() => new WaitProbes())
  }

  pick<T>(from: readonly T[]): T | undefined {
    return from[Math.floor(this.random() * from.length)]
  }

  of(node: number, state: Request['state']): Request[] {
    return this.requests.filter((one) => one.at === node && one.state === state)
  }

  here(node: number): WaitsHere {
    const asKeyed = (state: Request['state']) =>
      new Map(
        this.of(node, state).map(({ key, from, changes, calls }) => [
          key,
          {
            peer: from,
            changes,
            calls: [...calls].map((call) => ({ peer: this.nodes[call.at] ?? '', key: call.key })),
          },
        ]),
      )
    return { self: this.nodes[node] ?? '', queued: asKeyed('queued'), running: asKeyed('running') }
  }

  call(parent: Request | undefined, at: number): void {
    this.#count += 1
    const from = parent === undefined ? 'outside' : (this.nodes[parent.at] ?? '')
    const key = `${Math.floor(this.random() * 1e9).toString(16)}.${this.#count}`
    const request: Request = { key, at, from, parent, state: 'coming', calls: new Set(), changes: 0 }
    this.requests.push(request)
    if (parent !== undefined) {
      parent.calls.add(request)
      parent.changes += 1
    }
    this.travelling.push(() => {
      request.state = 'queued'
      this.serve(at)
    })
  }

  serve(node: number): void {
    while (this.of(node, 'running').length < SLOTS) {
      const [next] = this.of(node, 'queued')
      if (next === undefined) return
      next.state = 'running'
    }
  }

  end(request: Request): void {
    request.state = 'answered'
    this.serve(request.at)
    this.travelling.push(() => {
      request.state = 'gone'
      if (request.parent?.calls.delete(request)) request.parent.changes += 1
    })
  }

  /** A handler that waits for nothing ends, or calls somebody; a request comes from outside. */
  act(): void {
    const idle = this.requests.filter(({ state, calls }) => state === 'running' && calls.size === 0)
    const one = this.pick(idle)
    const chance = this.random()
    if (one === undefined || chance < 0.15) this.call(undefined, Math.floor(this.random() * this.nodes.length))
    else if (chance < 0.4) this.end(one)
    else
      for (let i = this.random() < 0.3 ? 2 : 1; i > 0; i -= 1)
        this.call(one, Math.floor(this.random() * this.nodes.length))
  }

  /** Whoever can go on, by looking at everything at once. */
  stuck(): Set<string> {
    const can = new Set<Request>(this.requests.filter(({ state }) => state === 'coming' || state === 'answered'))
    const free = new Set([...this.nodes.keys()].filter((node) => this.of(node, 'running').length < SLOTS))
    for (let before = -1; before !== can.size + free.size; ) {
      before = can.size + free.size
      for (const one of this.requests) {
        if (one.state === 'queued' && free.has(one.at)) can.add(one)
        if (one.state === 'running' && (one.calls.size === 0 || [...one.calls].some((call) => can.has(call))))
          can.add(one)
        if (one.state === 'running' && can.has(one)) free.add(one.at)
      }
    }
    return new Set([
      ...this.requests
        .filter((one) => ['queued', 'running'].includes(one.state) && !can.has(one))
        .map(({ key }) => key),
      ...this.nodes.filter((_, node) => !free.has(node)).map(slotsOf),
    ])
  }

  step(node: number, effects: ProbeEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === 'concluded') this.conclude(node, effect.answer)
      else if (effect.kind === 'answer') {
        const asking = this.#asking.get(effect.token)
        if (asking === undefined) continue
        this.travelling.push(() =>
          this.step(
            asking.node,
            this.probes[asking.node]?.step(
              { kind: 'answered', ask: asking.ask, answer: effect.answer },
              this.here(asking.node),
              0,
            ) ?? [],
          ),
        )
      } else {
        const at = this.nodes.indexOf(effect.peer)
        this.#count += 1
        const token = this.#count
        this.#asking.set(token, { node, ask: effect.ask })
        const { probe, keys } = effect
        const from = this.nodes[node] ?? ''
        this.travelling.push(() =>
          this.step(at, this.probes[at]?.step({ kind: 'asked', probe, from, keys, token }, this.here(at), 0) ?? []),
        )
      }
    }
  }

  begin(node: number): void {
    this.#count += 1
    this.step(node, this.probes[node]?.step({ kind: 'begin', probe: `p${this.#count}` }, this.here(node), 0) ?? [])
  }

  conclude(node: number, answer: ProbeAnswer): void {
    this.concluded.push({ node, answer })
    if (!answer.blocked) return
    const stuck = this.stuck()
    for (const { id } of answer.waits) assert.ok(stuck.has(id), `${id} is said to be blocked, and can go on`)
    const victim = victimOf(answer.waits, slotsOf(this.nodes[node] ?? ''))
    const own = this.of(node, 'queued').find(({ key }) => key === victim)
    if (own !== undefined) this.broken.push(own)
  }

  arrive(): void {
    const at = Math.floor(this.random() * this.travelling.length)
    this.travelling.splice(at, 1)[0]?.()
  }
}

/** Knots that hold the slots of a node: parts of what is stuck that reach themselves alone. */
const knotsOf = (world: World): number => {
  const next = new Map<string, string[]>()
  for (const one of world.requests) {
    if (one.state === 'queued') next.set(one.key, [slotsOf(world.nodes[one.at] ?? '')])
    if (one.state === 'running')
      next.set(
        one.key,
        [...one.calls].map(({ key }) => key),
      )
  }
  for (const [node, name] of world.nodes.entries())
    next.set(
      slotsOf(name),
      world.of(node, 'running').map(({ key }) => key),
    )
  const stuck = world.stuck()
  const from = (start: string): Set<string> => {
    const seen = new Set([start])
    for (const id of seen) for (const one of next.get(id) ?? []) seen.add(one)
    return seen
  }
  const knots = new Set<string>()
  for (const name of world.nodes.map(slotsOf)) {
    if (!stuck.has(name) || world.of(world.nodes.indexOf(name.slice(6)), 'queued').length === 0) continue
    const reached = from(name)
    if ([...reached].every((id) => from(id).has(name))) knots.add([...reached].sort().join())
  }
  return knots.size
}

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
    queued: new Map([['q1.1', { peer: 'ann' }]]),
    running: new Map([['r1.1', { peer: 'bob', changes: 1, calls: [{ peer: 'me', key: 'q1.1' }] }]]),
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
    const away: WaitsHere = { ...here, running: new Map([['r1.1', { peer: 'bob', changes: 1, calls }]]) }
    const [asked] = probes.step({ kind: 'begin', probe: 'p' }, away, 0)
    assert.ok(asked?.kind === 'ask' && asked.peer === 'far')
    const answer: ProbeAnswer = { blocked: true, waits: [] }
    assert.deepEqual(probes.step({ kind: 'answered', ask: 99, answer }, away, 0), [])
    const [ended] = probes.step({ kind: 'tick' }, away, PROBE_MS)
    assert.ok(ended?.kind === 'concluded' && !ended.answer.blocked)
    assert.deepEqual(probes.step({ kind: 'answered', ask: asked.ask, answer }, away, PROBE_MS), [])
  })
})
