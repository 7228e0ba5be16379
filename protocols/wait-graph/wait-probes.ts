/**
 * Probes that look for a deadlock, as a pure step: the diffusing computation of Chandy, Misra and Haas, "Distributed deadlock
 * detection" (ACM TOCS 1983), for the OR model. Whoever is asked about a request asks on about all that it waits for, and says
 * that it is blocked once all of them are and it has waited unchanged since it was asked, and for STILL_MS before. Anything that
 * can go on, is not known, or changed meanwhile is not blocked, and then nothing behind it is. A handler that gives its call up
 * after less than STILL_MS, by a timer of its own, so stands in no deadlock.
 *
 * What was asked about before, by the same probe, is answered at once: the one that asked first waits for its answer. Where a
 * probe ends with blocked, nothing that it saw can go on by itself any more; a request that was answered in the meantime is not
 * known at its receiver, so answers of calls and of probes need no common order.
 *
 * Members may lie. What this node began is blocked only where each peer that its own handlers called said so: one that does not
 * is enough. Who asked first may keep for itself what it was answered; so each that asks is told of all that waits here, and a
 * probe that met anything that can go on is not blocked for anybody who asks from then on. Whether the request that gives way
 * is waited for is told by nobody but whoever made it: it has asked about it, in the same probe.
 *
 * State: the probes that came, each with what it saw here, and the answers that it waits for.
 */
import type { ChildCall } from '../wire/child-calls.ts'
import { joined, slotsOf, type Wait, type WaitsHere } from './wait-graph.ts'

export type ProbeAnswer =
  | { readonly blocked: false }
  /** With all that was seen by it. */
  | { readonly blocked: true; readonly waits: readonly Wait[] }

export type ProbeInput =
  /** This node asks about its own slots. */
  | { readonly kind: 'begin'; readonly probe: string }
  /** @param from who made these calls, and asks about them */
  | {
      readonly kind: 'asked'
      readonly probe: string
      readonly from: string
      readonly keys: readonly string[]
      readonly token: number
    }
  | { readonly kind: 'answered'; readonly ask: number; readonly answer: ProbeAnswer }
  | { readonly kind: 'tick' }

export type ProbeEffect =
  /** Answered by `answered`, or by nothing: the probe then ends with its time. */
  | {
      readonly kind: 'ask'
      readonly ask: number
      readonly probe: string
      readonly peer: string
      readonly keys: readonly string[]
      /** Of the question on whose behalf it is asked; undefined for this node's own. */
      readonly token: number | undefined
    }
  | { readonly kind: 'answer'; readonly token: number; readonly answer: ProbeAnswer }
  | {
      readonly kind: 'concluded'
      readonly probe: string
      readonly answer: ProbeAnswer
      /** Requests here of which their makers (the values) say, by asking, that their handlers wait for them. */
      readonly vouched: ReadonlyMap<string, string>
      /** Who was asked for it by this node. */
      readonly peers: readonly string[]
    }

/** Milliseconds that a request has waited for the same, at least. */
export const STILL_MS = 500
/** Milliseconds that a probe is remembered. */
export const PROBE_MS = 2_000
/** Brought by others: what they bring takes no place from this node's own. */
export const MAX_PROBES = 64
/** That one peer has brought here. */
export const MAX_PEER_PROBES = 24
/** Of one probe, on all nodes together. */
export const MAX_WAITS = 8_192
/** What all of these wait for, together. */
export const MAX_EDGES = 32_768

const ACTIVE: ProbeAnswer = { blocked: false }
const NOTHING_FOUND = { kind: 'concluded', answer: ACTIVE, vouched: new Map<string, string>(), peers: [] } as const
/** In the place of a number of changes: of slots, less how many are taken. */
const QUEUED = -1
const SLOTS = -2

interface Probe {
  readonly id: string
  /** Who brought it here. */
  readonly from: string
  readonly endsAt: number
  /** With the number of changes that it had. */
  readonly seen: Map<string, number>
  /** Those of it that this node's own question saw: they need not be told to anybody. */
  readonly own: Set<string>
  readonly vouched: Map<string, string>
  readonly open: Set<Engagement>
  /** It met what can go on. */
  isActive: boolean
}

/** One question, and what was seen for it. */
interface Engagement {
  readonly probe: Probe
  /** Undefined for this node's own. */
  readonly token: number | undefined
  readonly visited: Set<string>
  waits: Wait[]
  peers: readonly string[]
  pending: number
}

/** Calls to other nodes, by their peers. */
type Asked = Map<string, string[]>

const isWithin = (waits: readonly Wait[]): boolean =>
  waits.length <= MAX_WAITS && waits.reduce((sum, { on }) => sum + on.length, 0) <= MAX_EDGES

interface Found {
  readonly on: readonly string[]
  /** Of a request that has a slot. */
  readonly calls?: readonly ChildCall[]
  readonly changes: number
  /** Undefined for slots: whoever has them says it. */
  readonly since?: number
  readonly isQueued: boolean
}

/** @returns undefined for what is not here, or waits for nothing */
const lookAt = (id: string, { self, queued, running }: WaitsHere): Found | undefined => {
  const slots = slotsOf(self)
  if (id === slots)
    return running.size === 0 ? undefined : { on: [...running.keys()], changes: SLOTS - running.size, isQueued: false }
  const taken = running.get(id)
  if (taken !== undefined) {
    const { calls, changes, since } = taken
    return calls.length === 0 ? undefined : { on: calls.map(({ key }) => key), calls, changes, since, isQueued: false }
  }
  const waiting = queued.get(id)
  return waiting && { on: [slots], changes: QUEUED, since: waiting.since, isQueued: true }
}

export class WaitProbes {
  readonly #probes = new Map<string, Probe>()
  readonly #asks = new Map<number, Engagement>()
  #lastAsk = 0

  /** @param nowMs monotonic */
  step(input: ProbeInput, here: WaitsHere, nowMs: number): ProbeEffect[] {
    switch (input.kind) {
      case 'begin':
        // Nobody waits for its slots, or somebody does, and then there is none for it.
        if (here.queued.size === 0) return [{ ...NOTHING_FOUND, probe: input.probe }]
        return this.#engage(input.probe, here.self, [slotsOf(here.self)], undefined, here, nowMs)
      case 'asked': {
        const { probe, from, keys, token } = input
        const isHere = keys.every((key) => (here.queued.get(key) ?? here.running.get(key))?.peer === from)
        if (!isHere || keys.length === 0) return [{ kind: 'answer', token, answer: ACTIVE }]
        return this.#engage(probe, from, keys, token, here, nowMs)
      }
      case 'answered':
        return this.#answered(input.ask, input.answer, here)
      case 'tick':
        return this.#expire(nowMs)
    }
  }

  /** Probes that are remembered. */
  size(): number {
    return this.#probes.size
  }

  #engage(
    id: string,
    from: string,
    starts: readonly string[],
    token: number | undefined,
    here: WaitsHere,
    nowMs: number,
  ): ProbeEffect[] {
    const known = this.#probes.get(id)
    const probe = known ?? {
      ...{ id, from, endsAt: nowMs + PROBE_MS, isActive: false },
      ...{ seen: new Map<string, number>(), own: new Set<string>(), vouched: new Map<string, string>() },
      open: new Set<Engagement>(),
    }
    const engagement: Engagement = { probe, token, visited: new Set(), waits: [], peers: [], pending: 0 }
    if (known === undefined && token !== undefined && this.#isFullFor(from, here.self))
      return this.#end(engagement, ACTIVE)
    const asked = probe.isActive ? undefined : this.#look(engagement, starts, here, nowMs)
    if (asked === undefined) return this.#end(engagement, ACTIVE)
    this.#probes.set(id, probe)
    if (token !== undefined) for (const key of starts) probe.vouched.set(key, from)
    if (asked.size === 0) return this.#end(engagement, { blocked: true, waits: engagement.waits })
    probe.open.add(engagement)
    engagement.pending = asked.size
    engagement.peers = [...asked.keys()]
    return [...asked].map(([peer, keys]) => {
      this.#lastAsk += 1
      this.#asks.set(this.#lastAsk, engagement)
      return { kind: 'ask', ask: this.#lastAsk, probe: id, peer, keys, token }
    })
  }

  #isFullFor(from: string, self: string): boolean {
    const others = [...this.#probes.values()].filter((probe) => probe.from !== self)
    return others.length >= MAX_PROBES || others.filter((probe) => probe.from === from).length >= MAX_PEER_PROBES
  }

  /** Goes through all that waits here. @returns whom to ask about what; undefined where something can go on */
  #look(engagement: Engagement, starts: readonly string[], here: WaitsHere, nowMs: number): Asked | undefined {
    const { probe, visited, waits, token } = engagement
    const asked: Asked = new Map()
    const open = [...starts]
    for (let id = open.pop(); id !== undefined; id = open.pop()) {
      if (visited.has(id)) continue
      const wasSeen = probe.seen.has(id)
      // What was seen before, by another question, may have changed since.
      if (wasSeen && !this.#isSame(probe, id, here)) return undefined
      if (probe.own.has(id)) continue
      const found = lookAt(id, here)
      if (found === undefined || (found.since ?? nowMs - STILL_MS) > nowMs - STILL_MS) return undefined
      if (probe.seen.size >= MAX_WAITS || waits.length >= MAX_WAITS) return undefined
      probe.seen.set(id, found.changes)
      if (token === undefined) probe.own.add(id)
      visited.add(id)
      const { on, calls, isQueued } = found
      waits.push({ id, on, ...(isQueued && { isQueued }) })
      if (calls === undefined) open.push(...on)
      for (const { peer, key } of calls ?? []) {
        if (peer === here.self) {
          open.push(key)
          probe.vouched.set(key, here.self)
        } else if (!wasSeen) {
          const keys = asked.get(peer)
          if (keys === undefined) asked.set(peer, [key])
          else keys.push(key)
        }
      }
    }
    return asked
  }

  /** It has waited since it was seen, for the same. */
  #isSame({ seen }: Probe, id: string, here: WaitsHere): boolean {
    const changes = seen.get(id) ?? 0
    if (changes === QUEUED) return here.queued.has(id)
    if (changes >= 0) return here.running.get(id)?.changes === changes
    if (here.running.size !== SLOTS - changes) return false
    return [...here.running].every(([key, running]) => seen.get(key) === running.changes)
  }

  #answered(ask: number, answer: ProbeAnswer, here: WaitsHere): ProbeEffect[] {
    const engagement = this.#asks.get(ask)
    if (engagement === undefined) return []
    this.#asks.delete(ask)
    const { probe } = engagement
    if (!probe.open.has(engagement)) return []
    if (!answer.blocked) return this.#end(engagement, ACTIVE)
    engagement.waits = joined([...engagement.waits, ...answer.waits])
    if (!isWithin(engagement.waits)) return this.#end(engagement, ACTIVE)
    engagement.pending -= 1
    if (engagement.pending > 0) return []
    const isBlocked = [...engagement.visited].every((id) => this.#isSame(probe, id, here))
    return this.#end(engagement, isBlocked ? { blocked: true, waits: engagement.waits } : ACTIVE)
  }

  #end(engagement: Engagement, answer: ProbeAnswer): ProbeEffect[] {
    const { probe, token, peers } = engagement
    probe.open.delete(engagement)
    if (!answer.blocked) probe.isActive = true
    if (token !== undefined) return [{ kind: 'answer', token, answer }]
    return [{ kind: 'concluded', probe: probe.id, answer, vouched: probe.vouched, peers }]
  }

  #expire(nowMs: number): ProbeEffect[] {
    const effects: ProbeEffect[] = []
    for (const probe of this.#probes.values()) {
      if (probe.endsAt > nowMs) continue
      this.#probes.delete(probe.id)
      for (const engagement of probe.open) effects.push(...this.#end(engagement, ACTIVE))
    }
    for (const [ask, { probe }] of this.#asks) if (!this.#probes.has(probe.id)) this.#asks.delete(ask)
    return effects
  }
}
