/**
 * Which nodes are kept for one that has waited long: those that have most of what it asks for, so that the rest comes free there
 * soonest. Where nothing more came free for a while, others are kept that were not kept for it so far, for longer each time: who has
 * the first ones may have them for good.
 *
 * State: of the one that nodes are kept for, those nodes, and which were kept for it before.
 */
import type { AllocationPlace } from '../resource-record.ts'
import type { GivingNode } from './feasibility.ts'
import { fieldOf, idleFieldOf, type Rank, type Steps, search, shortAt } from './search.ts'
import type { Waiting } from './waiting-line.ts'

/** Milliseconds without anything coming free before other nodes are kept; twice as long after each time. */
const MOVE_ON_MS = 5_000
const MOST_DOUBLED = 6
/** Of what was lacking at first, what has to come free to count as something. */
const PROGRESS = 1 / 8

interface Kept {
  readonly id: string
  readonly movedOn: Map<string, number>
  places: readonly AllocationPlace[]
  /** Where those are. */
  peers: ReadonlySet<string>
  /** Of the nodes as they were then. */
  capacities: number
  times: number
  since: number
  /** Shares of what nodes have: what was lacking at first, and what was at least. */
  first: number
  least: number
}

type Nodes = ReadonlyMap<string, GivingNode>

export interface ToKeep {
  readonly waiting: Waiting
  /** Those that may give it. */
  readonly nodes: Nodes
  /** Where it could be granted if nothing else were. */
  readonly places: readonly AllocationPlace[]
  /** Another number where nodes have more or less than before. */
  readonly capacities: number
  /** Monotonic. */
  readonly nowMs: number
}

/** The share of each node that is lacking there. */
const lackingOf = ({ waiting, nodes }: ToKeep, { places }: Kept, steps: Steps): ReadonlyMap<string, number> => {
  const own = new Map<string, GivingNode>()
  for (const { owner } of places) {
    const node = nodes.get(owner)
    if (node !== undefined) own.set(owner, node)
  }
  const lacking = new Map<string, number>()
  for (const [{ peer, capacity }, amounts] of shortAt(fieldOf(waiting.wanted, own, steps, true), places))
    for (const [name, amount] of amounts.entries())
      if (amount > 0) lacking.set(peer, (lacking.get(peer) ?? 0) + amount / (capacity[name] ?? 1))
  return lacking
}

const sumOf = (lacking: ReadonlyMap<string, number>): number => [...lacking.values()].reduce((sum, one) => sum + one, 0)

/** The node where the least is lacking, of those that were kept least often. */
const byLacking =
  (movedOn: ReadonlyMap<string, number>): Rank =>
  ({ peer, capacity, now, free }, { amounts }) => {
    let most = 0
    for (const [name, amount] of amounts) {
      const all = capacity[name] ?? 1
      // Other parts of the same allocation take some of it as well.
      const left = (now[name] ?? 0) - (all - (free[name] ?? 0))
      most = Math.max(most, Math.min(1, (amount - left) / all))
    }
    return 2 * (movedOn.get(peer) ?? 0) + most
  }

export class KeptNodes {
  #kept: Kept | undefined

  /**
   * @param may whether nodes may be looked for now; false: they stay the same ones
   * @returns peers: the same set again while it is for the same one and they are the same ones
   */
  choose(to: ToKeep, may: () => boolean, steps: Steps): ReadonlySet<string> {
    const kept = this.#keptFor(to)
    const lacking = lackingOf(to, kept, steps)
    const sum = sumOf(lacking)
    if (sum <= kept.least - kept.first * PROGRESS) {
      kept.least = sum
      kept.since = to.nowMs
    }
    const hasStalled = to.nowMs - kept.since >= MOVE_ON_MS * 2 ** Math.min(kept.times, MOST_DOUBLED)
    if ((hasStalled || kept.capacities !== to.capacities) && may()) {
      if (hasStalled) {
        for (const peer of lacking.keys()) kept.movedOn.set(peer, (kept.movedOn.get(peer) ?? 0) + 1)
        kept.times += 1
      }
      this.#look(to, kept, steps)
    }
    return kept.peers
  }

  #keptFor({ waiting: { id }, places, nowMs }: ToKeep): Kept {
    if (this.#kept?.id === id) return this.#kept
    const lacking = { first: Infinity, least: Infinity }
    const begun = { times: 0, since: nowMs, movedOn: new Map<string, number>() }
    this.#kept = { id, places, peers: peersOf(places), capacities: -1, ...begun, ...lacking }
    return this.#kept
  }

  #look(to: ToKeep, kept: Kept, steps: Steps): void {
    const field = idleFieldOf(to.waiting.wanted, to.nodes, steps)
    kept.places = search(field, byLacking(kept.movedOn)) ?? to.places
    kept.capacities = to.capacities
    const peers = peersOf(kept.places)
    const isSame = peers.size === kept.peers.size && [...peers].every((peer) => kept.peers.has(peer))
    if (isSame && kept.first !== Infinity) return
    kept.peers = isSame ? kept.peers : peers
    kept.first = sumOf(lackingOf(to, kept, steps))
    kept.least = kept.first
    kept.since = to.nowMs
  }
}

const peersOf = (places: readonly AllocationPlace[]): ReadonlySet<string> => new Set(places.map(({ owner }) => owner))
