/**
 * Probes that look for a deadlock, as a pure step: the diffusing computation of Chandy, Misra and Haas, "Distributed deadlock
 * detection" (ACM TOCS 1983), for the OR model. Whoever is asked about a request asks on about all that it waits for, and says
 * that it is blocked once all of them are and it has waited unchanged since it was asked. Anything that can go on, is not
 * known, or changed meanwhile is not blocked, and then nothing behind it is.
 *
 * What was asked about before, by the same probe, is answered at once: the one that asked first waits for its answer. Where a
 * probe ends with blocked, nothing that it saw can go on by itself any more; a request that was answered in the meantime is not
 * known at its receiver, so answers of calls and of probes need no common order.
 *
 * State: the probes that came, each with what it saw here, and the answers that it waits for.
 */
import { slotsOf, type Wait, type WaitsHere } from './wait-graph.ts'

export type ProbeAnswer =
  | { readonly blocked: false }
  /** With all that was seen by it, and not told elsewhere. */
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
    }
  | { readonly kind: 'answer'; readonly token: number; readonly answer: ProbeAnswer }
  | { readonly kind: 'concluded'; readonly probe: string; readonly answer: ProbeAnswer }

/** Milliseconds that a probe is remembered. */
export const PROBE_MS = 2_000
export const MAX_PROBES = 256
/** That one peer has brought here. */
export const MAX_PEER_PROBES = 32
/** Of one probe, on all nodes together. */
export const MAX_WAITS = 8_192

const ACTIVE: ProbeAnswer = { blocked: false }
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
  readonly open: Set<Engagement>
}

/** One question, and what was seen for it. */
interface Engagement {
  readonly probe: Probe
  /** Undefined for this node's own. */
  readonly token: number | undefined
  readonly visited: Set<string>
  waits: Wait[]
  pending: number
}

/** Calls to other nodes, by their peers. */
type Asked = Map<string, string[]>

export class WaitProbes {
  readonly #probes = new Map<string, Probe>()
  readonly #asks = new Map<number, Engagement>()
  #lastAsk = 0

  /** @param nowMs monotonic */
  step(input: ProbeInput, here: WaitsHere, nowMs: number): ProbeEffect[] {
    switch (input.kind) {
      case 'begin':
        // Nobody waits for its slots, or somebody does, and then there is none for it.
        if (here.queued.size === 0) return [{ kind: 'concluded', probe: input.probe, answer: ACTIVE }]
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
      id,
      from,
      endsAt: nowMs + PROBE_MS,
      seen: new Map<string, number>(),
      open: new Set<Engagement>(),
    }
    const engagement: Engagement = { probe, token, visited: new Set(), waits: [], pending: 0 }
    if (known === undefined && this.#isFullFor(from)) return this.#end(engagement, ACTIVE)
    const asked = this.#look(engagement, starts, here)
    if (asked === undefined) return this.#end(engagement, ACTIVE)
    this.#probes.set(id, probe)
    if (asked.size === 0) return this.#end(engagement, { blocked: true, waits: engagement.waits })
    probe.open.add(engagement)
    engagement.pending = asked.size
    return [...asked].map(([peer, keys]) => {
      this.#lastAsk += 1
      this.#asks.set(this.#lastAsk, engagement)
      return { kind: 'ask', ask: this.#lastAsk, probe: id, peer, keys }
    })
  }

  #isFullFor(from: string): boolean {
    if (this.#probes.size >= MAX_PROBES) return true
    return [...this.#probes.values()].filter((probe) => probe.from === from).length >= MAX_PEER_PROBES
  }

  /** Goes through all that waits here. @returns whom to ask about what; undefined where something can go on */
  #look({ probe, visited, waits }: Engagement, starts: readonly string[], here: WaitsHere): Asked | undefined {
    const asked: Asked = new Map()
    const slots = slotsOf(here.self)
    const open = [...starts]
    for (let id = open.pop(); id !== undefined; id = open.pop()) {
      if (probe.seen.has(id)) {
        // What was seen before, by another question, may have changed since.
        if (!visited.has(id) && !this.#isSame(probe, id, here)) return undefined
        continue
      }
      if (probe.seen.size >= MAX_WAITS) return undefined
      const running = here.running.get(id)
      const calls = running?.calls ?? []
      const on = id === slots ? [...here.running.keys()] : running === undefined ? [slots] : calls.map(({ key }) => key)
      const isHere = id === slots || running !== undefined || here.queued.has(id)
      if (!isHere || on.length === 0) return undefined
      probe.seen.set(id, id === slots ? SLOTS - on.length : (running?.changes ?? QUEUED))
      visited.add(id)
      waits.push({ id, on, ...(id !== slots && running === undefined && { isQueued: true }) })
      if (running === undefined) open.push(...on)
      for (const { peer, key } of calls) {
        if (peer === here.self) open.push(key)
        else {
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
    if (!answer.blocked || engagement.waits.length + answer.waits.length > MAX_WAITS)
      return this.#end(engagement, ACTIVE)
    engagement.waits = [...engagement.waits, ...answer.waits]
    engagement.pending -= 1
    if (engagement.pending > 0) return []
    const isBlocked = [...engagement.visited].every((id) => this.#isSame(probe, id, here))
    return this.#end(engagement, isBlocked ? { blocked: true, waits: engagement.waits } : ACTIVE)
  }

  #end(engagement: Engagement, answer: ProbeAnswer): ProbeEffect[] {
    const { probe, token } = engagement
    probe.open.delete(engagement)
    return [token === undefined ? { kind: 'concluded', probe: probe.id, answer } : { kind: 'answer', token, answer }]
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
