/**
 * Where an allocation could be granted: which node gives each part, and which others would be ended for it. Pure: it proposes,
 * and `obstacle` (feasibility.ts) decides about each proposal, here as where it is applied.
 *
 * A part goes where the least is left over of what it asks for, so that large nodes stay free for large parts; the largest parts
 * are placed first. Where that comes to nothing, other ways are tried, a bounded number of them.
 */
import type { Fence } from '../../journal/fencing/fence.ts'
import type { AllocationPlace, Ask } from '../resource-record.ts'
import { amountOf, fits, NONE, plus, type Units } from '../units.ts'
import { type GivingNode, isGiving, type NodeOf, obstacle, type Victim } from './feasibility.ts'

/** Nodes that are tried for one part before it is given up. */
const MAX_STEPS = 2_000
/** Of one allocation, as many as one decision may end (journal/resource-changes.ts). */
const MAX_VICTIMS = 64

export interface PlannedVictim extends Victim {
  readonly id: string
  readonly fence: Fence
  /** When it was granted. */
  readonly changedAt: number
}

export interface Plan {
  readonly places: AllocationPlace[]
  readonly victims: readonly PlannedVictim[]
}

export type Wanted = Pick<Ask, 'parts' | 'spread' | 'priority' | 'preempts'>

/** What of a node would be left, at most, of what the part asks for: 0 where it takes all of it. */
const leftOver = ({ capacity, used }: Pick<GivingNode, 'capacity' | 'used'>, asked: Units): number => {
  let most = 0
  for (const name of Object.keys(asked)) {
    const all = amountOf(capacity, name)
    if (all > 0) most = Math.max(most, (all - amountOf(used, name) - amountOf(asked, name)) / all)
  }
  return most
}

/** Of all nodes together, so that amounts of different names can be compared. */
const sizeOf = (units: Units, totals: Units): number =>
  Object.keys(units).reduce((sum, name) => sum + amountOf(units, name) / Math.max(1, amountOf(totals, name)), 0)

class Search {
  readonly #wanted: Wanted
  readonly #nodes: ReadonlyMap<string, GivingNode>
  /** As it would be, by node. */
  readonly #used = new Map<string, Units>()
  readonly #taken = new Map<number, string>()
  readonly #order: readonly number[]
  #steps = 0

  constructor(wanted: Wanted, nodes: ReadonlyMap<string, GivingNode>) {
    this.#wanted = wanted
    this.#nodes = nodes
    for (const [peer, { used }] of nodes) this.#used.set(peer, used)
    let totals = NONE
    if (wanted.parts.length > 1) for (const { capacity } of nodes.values()) totals = plus(totals, capacity)
    const order = wanted.parts.map((part, i) => ({
      i,
      size: sizeOf(part.units, totals),
      isBound: part.owner !== undefined,
    }))
    // Those that have no choice, then the largest.
    order.sort((a, b) => Number(b.isBound) - Number(a.isBound) || b.size - a.size || a.i - b.i)
    this.#order = order.map(({ i }) => i)
  }

  run(): AllocationPlace[] | undefined {
    if (!this.#place(0)) return undefined
    return this.#wanted.parts.map((_, i) => {
      const owner = this.#taken.get(i) ?? ''
      return { owner, registration: this.#nodes.get(owner)?.registration ?? 0 }
    })
  }

  #place(depth: number): boolean {
    const i = this.#order[depth]
    if (i === undefined) return true
    const units = this.#wanted.parts[i]?.units ?? NONE
    for (const peer of this.#candidates(i)) {
      this.#steps += 1
      if (this.#steps > MAX_STEPS) return false
      const before = this.#used.get(peer) ?? NONE
      this.#used.set(peer, plus(before, units))
      this.#taken.set(i, peer)
      if (this.#place(depth + 1)) return true
      this.#used.set(peer, before)
      this.#taken.delete(i)
    }
    return false
  }

  /** Nodes that could give the part, the closest fit first. */
  #candidates(i: number): string[] {
    const { parts, spread } = this.#wanted
    const { units = NONE, owner } = parts[i] ?? {}
    const others = spread === true ? new Set(this.#taken.values()) : undefined
    const found: { peer: string; left: number }[] = []
    for (const peer of owner === undefined ? this.#nodes.keys() : [owner]) {
      const node = this.#nodes.get(peer)
      const used = this.#used.get(peer) ?? NONE
      if (!isGiving(node) || others?.has(peer) === true || !fits(node.capacity, used, units)) continue
      found.push({ peer, left: leftOver({ capacity: node.capacity, used }, units) })
    }
    // The last part needs one alone.
    if (this.#taken.size === parts.length - 1) return found.length === 0 ? [] : [found.reduce(closer).peer]
    return found.sort((a, b) => a.left - b.left || (a.peer < b.peer ? -1 : 1)).map(({ peer }) => peer)
  }
}

const closer = <T extends { peer: string; left: number }>(a: T, b: T): T =>
  b.left < a.left || (b.left === a.left && b.peer < a.peer) ? b : a

/**
 * Nodes that have room for parts of the same units, the closest fit first, as of one moment: what is granted after it is looked at
 * again, and the order stays. State: where it is in that order.
 */
export class RoomFor {
  readonly #units: Units
  readonly #nodes: ReadonlyMap<string, GivingNode>
  readonly #peers: readonly string[]
  #at = 0

  constructor(units: Units, peers: Iterable<string>, nodes: ReadonlyMap<string, GivingNode>) {
    this.#units = units
    this.#nodes = nodes
    const found: { peer: string; left: number }[] = []
    for (const peer of peers) {
      const node = nodes.get(peer)
      if (node !== undefined && fits(node.capacity, node.used, units)) found.push({ peer, left: leftOver(node, units) })
    }
    this.#peers = found.sort((a, b) => a.left - b.left || (a.peer < b.peer ? -1 : 1)).map(({ peer }) => peer)
  }

  /** @param isFree whether it takes one more for another reason @returns undefined: there is no room */
  next(isFree: (peer: string) => boolean): AllocationPlace | undefined {
    for (; this.#at < this.#peers.length; this.#at += 1) {
      const owner = this.#peers[this.#at] ?? ''
      const node = this.#nodes.get(owner)
      if (isGiving(node) && fits(node.capacity, node.used, this.#units) && isFree(owner))
        return { owner, registration: node.registration }
    }
    return undefined
  }
}

/** Nobody is ended for it. @returns undefined: there is no room */
export const choosePlaces = (wanted: Wanted, nodes: ReadonlyMap<string, GivingNode>): AllocationPlace[] | undefined =>
  new Search(wanted, nodes).run()

/** Where it could be granted by these nodes if they had nothing else to give: the same ones each time. */
export const placesWhenIdle = (wanted: Wanted, nodes: ReadonlyMap<string, GivingNode>): AllocationPlace[] | undefined =>
  choosePlaces(wanted, new Map([...nodes].map(([peer, node]) => [peer, { ...node, used: NONE }] as const)))

const freed = (nodes: ReadonlyMap<string, GivingNode>, victims: readonly Victim[]): Map<string, GivingNode> => {
  const after = new Map(nodes)
  for (const { parts, places = [] } of victims)
    for (const [i, { owner }] of places.entries()) {
      const node = after.get(owner)
      if (node !== undefined) after.set(owner, { ...node, used: plus(node.used, parts[i]?.units ?? NONE, -1) })
    }
  return after
}

/** The least urgent first, and of those the ones that were granted last: they lose least. */
const byLoss = (a: PlannedVictim, b: PlannedVictim): number => a.priority - b.priority || b.changedAt - a.changedAt

/**
 * @param granted allocations that may be ended for it
 * @returns undefined: it does not fit, whoever is ended
 */
export const planGrant = (
  wanted: Wanted,
  nodes: ReadonlyMap<string, GivingNode>,
  granted: Iterable<PlannedVictim> = [],
): Plan | undefined => {
  const places = choosePlaces(wanted, nodes)
  if (places !== undefined) return { places, victims: [] }
  if (wanted.preempts !== true) return undefined
  const may = [...granted]
    .filter((one) => one.status === 'allocated' && one.preemptible === true && one.priority < wanted.priority)
    .sort(byLoss)
  const chosen: PlannedVictim[] = []
  for (const victim of may) {
    if (chosen.length >= MAX_VICTIMS) return undefined
    chosen.push(victim)
    const with_ = choosePlaces(wanted, freed(nodes, chosen))
    if (with_ !== undefined) return withoutUseless(wanted, with_, nodes, chosen)
  }
  return undefined
}

/** @param places that fit once all of these are ended */
const withoutUseless = (
  wanted: Wanted,
  places: AllocationPlace[],
  nodes: ReadonlyMap<string, GivingNode>,
  victims: readonly PlannedVictim[],
): Plan | undefined => {
  const nodeOf: NodeOf = (peer) => nodes.get(peer)
  let left = [...victims]
  // The most urgent ones are spared first.
  for (const victim of victims.toReversed()) {
    const others = left.filter((one) => one !== victim)
    const after = freed(nodes, others)
    if (obstacle({ ...wanted, preempts: true }, places, (peer) => after.get(peer)) === undefined) left = others
  }
  return obstacle(wanted, places, nodeOf, left) === undefined ? { places, victims: left } : undefined
}
