/**
 * Where an allocation could be granted: which node gives each part, and which others would be ended for it. Pure: it proposes,
 * and `obstacle` (feasibility.ts) decides about each proposal, here as where it is applied.
 */
import type { AllocationPlace, Ask } from '../resource-record.ts'
import { fits, NONE, type Units } from '../units.ts'
import { type GivingNode, isBelow, isGiving, obstacle } from './feasibility.ts'
import { type PlannedVictim, planByEnding } from './preemption.ts'
import { fieldOf, idleFieldOf, leftOverOf, Steps, search } from './search.ts'

export interface Plan {
  readonly places: AllocationPlace[]
  readonly victims: readonly PlannedVictim[]
}

export type Wanted = Pick<Ask, 'parts' | 'spread' | 'priority' | 'preempts'>

interface OnePart {
  readonly shape: string
  readonly wanted: Wanted
  readonly demand?: { free(): Iterable<string> }
}

/**
 * Nodes that have room for parts of the same units, the closest fit first, as of one moment: what is granted after it is looked at
 * again, and the order stays. State: where it is in that order.
 */
export class RoomFor {
  readonly #units: Units
  readonly #nodes: ReadonlyMap<string, GivingNode>
  readonly #peers: readonly string[]
  #at = 0

  /** @param steps counts what it costs */
  constructor(units: Units, peers: Iterable<string>, nodes: ReadonlyMap<string, GivingNode>, steps = new Steps()) {
    this.#units = units
    this.#nodes = nodes
    const found: { peer: string; left: number }[] = []
    for (const peer of peers) {
      steps.take(1)
      const node = nodes.get(peer)
      if (node !== undefined && fits(node.capacity, node.used, units))
        found.push({ peer, left: leftOverOf(node, units) })
    }
    this.#peers = found.sort((a, b) => a.left - b.left || (a.peer < b.peer ? -1 : 1)).map(({ peer }) => peer)
  }

  /** @param isFree whether it takes one more for another reason @returns undefined: there is no room */
  next(isFree: (peer: string) => boolean = () => true): AllocationPlace | undefined {
    for (; this.#at < this.#peers.length; this.#at += 1) {
      const owner = this.#peers[this.#at] ?? ''
      const node = this.#nodes.get(owner)
      if (isGiving(node) && fits(node.capacity, node.used, this.#units) && isFree(owner))
        return { owner, registration: node.registration }
    }
    return undefined
  }
}

/** Of one look, for all who ask for one part of the same. State: nodes that have room, by shape. */
export class Rooms {
  readonly #all = new Map<string, RoomFor>()

  has(shape: string): boolean {
    return this.#all.has(shape)
  }

  of({ shape, wanted, demand }: OnePart, nodes: ReadonlyMap<string, GivingNode>, steps: Steps): RoomFor {
    const units = wanted.parts[0]?.units ?? NONE
    const room = this.#all.get(shape) ?? new RoomFor(units, demand?.free() ?? nodes.keys(), nodes, steps)
    this.#all.set(shape, room)
    return room
  }

  clear(): void {
    this.#all.clear()
  }
}

/** Where it could be granted by these nodes if they had nothing else to give: the same ones each time. */
export const placesWhenIdle = (
  wanted: Wanted,
  nodes: ReadonlyMap<string, GivingNode>,
  steps = new Steps(),
): AllocationPlace[] | undefined => search(idleFieldOf(wanted, nodes, steps))

function* endable(wanted: Wanted, granted: Iterable<PlannedVictim>, steps: Steps): Generator<PlannedVictim> {
  for (const one of granted) {
    steps.take(1)
    if (isBelow(one, wanted)) yield one
  }
}

/**
 * @param granted allocations that may be ended for it
 * @param steps counts what it costs
 * @returns undefined: it does not fit, whoever is ended
 */
export const planGrant = (
  wanted: Wanted,
  nodes: ReadonlyMap<string, GivingNode>,
  granted: Iterable<PlannedVictim> = [],
  steps = new Steps(),
): Plan | undefined => {
  const places = search(fieldOf(wanted, nodes, steps))
  if (places !== undefined) return { places, victims: [] }
  if (wanted.preempts !== true) return undefined
  const plan = planByEnding(fieldOf(wanted, nodes, steps, true), endable(wanted, granted, steps))
  if (plan === undefined || obstacle(wanted, plan.places, (peer) => nodes.get(peer), plan.victims)) return undefined
  return plan
}
