/** Nodes, requests and calls as in a mesh, at random: for tests of probes against what is known by looking at all at once. */
import assert from 'node:assert/strict'
import { createRandom } from '../../node/testing/virtual/virtual-time.ts'
import { slotsOf, victimOf, type Wait, type WaitsHere } from '../../protocols/wait-graph/wait-graph.ts'
import { type ProbeAnswer, type ProbeEffect, WaitProbes } from '../../protocols/wait-graph/wait-probes.ts'

export interface Request {
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
export class World {
  readonly random: () => number
  readonly nodes: string[]
  readonly requests: Request[] = []
  readonly probes: WaitProbes[]
  readonly travelling: (() => void)[] = []
  readonly concluded: { node: number; answer: ProbeAnswer }[] = []
  readonly broken: Request[] = []
  /** Those that could have gone on, whatever the liar does. */
  readonly wrong: Request[] = []
  #count = 0
  readonly #asking = new Map<number, { node: number; ask: number }>()

  /** Index of a node that makes up what it says. */
  readonly liar: number | undefined
  readonly pries: boolean

  constructor(seed: number, nodes: number, { liar, pries = false }: { liar?: number; pries?: boolean } = {}) {
    this.liar = liar
    this.pries = pries
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
            since: Number.NEGATIVE_INFINITY,
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
    // What the liar answers goes on; here it answers nothing, so that only what others do counts.
    else if (chance < 0.4 && one.at !== this.liar) this.end(one)
    else
      for (let i = this.random() < 0.3 ? 2 : 1; i > 0; i -= 1)
        this.call(one, Math.floor(this.random() * this.nodes.length))
  }

  /** Whoever cannot go on, by looking at everything at once. @param silent a node that answers nothing from now on */
  stuck(silent?: number): Set<string> {
    const can = new Set<Request>(
      this.requests.filter(({ state, at }) => (state === 'coming' && at !== silent) || state === 'answered'),
    )
    const free = new Set([...this.nodes.keys()].filter((node) => this.of(node, 'running').length < SLOTS))
    for (let before = -1; before !== can.size + free.size; ) {
      before = can.size + free.size
      for (const one of this.requests) {
        if (one.at === silent) continue
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
      if (effect.kind === 'concluded') this.conclude(node, effect)
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
        if (at === this.liar) {
          if (this.pries) this.pry(probe)
          this.travelling.push(() =>
            this.step(
              node,
              this.probes[node]?.step({ kind: 'answered', ask: effect.ask, answer: this.lie() }, this.here(node), 0) ??
                [],
            ),
          )
          continue
        }
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

  conclude(node: number, { answer, vouched }: ProbeEffect & { kind: 'concluded' }): void {
    this.concluded.push({ node, answer })
    if (!answer.blocked) return
    const { liar } = this
    const stuck = this.stuck(liar)
    if (liar === undefined)
      for (const { id } of answer.waits) assert.ok(stuck.has(id), `${id} is said to be blocked, and can go on`)
    const victim = victimOf(answer.waits, slotsOf(this.nodes[node] ?? ''))
    const own = this.of(node, 'queued').find(({ key }) => key === victim)
    if (own === undefined || vouched.get(own.key) !== own.from) return
    if (!stuck.has(own.key)) this.wrong.push(own)
    this.broken.push(own)
  }

  /** What the liar says of whom: the most that it could know, and what it likes of it. */
  lie(): ProbeAnswer {
    const slots = this.nodes.map(slotsOf)
    const waits = this.requests.flatMap(({ key, at, state, calls }): Wait[] => {
      const made = this.random()
      const true_ = state === 'queued' ? [slots[at] ?? ''] : [...calls].map((call) => call.key)
      const on = made < 0.5 ? true_ : [this.pick(slots) ?? '']
      return on.length === 0 || made > 0.9 ? [] : [{ id: key, on, isQueued: state === 'queued' }]
    })
    const ofNodes = this.nodes.map((name, node) => ({
      id: slotsOf(name),
      on: this.of(node, 'running').map(({ key }) => key),
    }))
    return { blocked: true, waits: [...waits, ...ofNodes.filter(({ on }) => on.length > 0 && this.random() < 0.5)] }
  }

  /** The liar asks whoever has its calls, in a probe that it was asked in. */
  pry(probe: string): void {
    const name = this.nodes[this.liar ?? 0] ?? ''
    for (const [at, probes] of this.probes.entries()) {
      const keys = this.requests.filter((one) => one.at === at && one.from === name).map(({ key }) => key)
      if (at === this.liar || keys.length === 0) continue
      this.travelling.push(() => {
        const known = keys.filter((key) => this.here(at).queued.has(key) || this.here(at).running.has(key))
        if (known.length > 0)
          this.step(at, probes.step({ kind: 'asked', probe, from: name, keys: known, token: -1 }, this.here(at), 0))
      })
    }
  }

  arrive(): void {
    const at = Math.floor(this.random() * this.travelling.length)
    this.travelling.splice(at, 1)[0]?.()
  }
}

/** Knots that hold the slots of a node: parts of what is stuck that reach themselves alone. */
export const knotsOf = (world: World): number => {
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
