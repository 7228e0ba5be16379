/**
 * Nodes as the coordinator plans by them: as the journal has them, with what grants that it has asked for will take. State: that.
 */
import type { AllocationPlace, NodeRecord } from '../resource-record.ts'
import { amountOf, fits, NONE, plus, type Units } from '../units.ts'
import { type GivingNode, isGiving } from './feasibility.ts'
import { placesWhenIdle } from './placement.ts'
import type { Steps } from './search.ts'
import type { Waiting } from './waiting-line.ts'

/** Milliseconds that nodes which could work on a task are taken for the same. */
const WORKERS_MS = 500
/** Shapes more than there are of those who wait, before what idle nodes could give of them is forgotten. */
const SLACK = 1_024

interface PlannedNode {
  readonly record: NodeRecord
  /** By this node's monotonic clock, from when its renewal was applied here. */
  readonly renewedAt: number
}

interface Idle {
  /** Undefined: it could not be given. */
  readonly places: readonly AllocationPlace[] | undefined
  readonly capacities: number
  readonly sinceMs: number
}

/** Units at a node. */
export type Taken = readonly [owner: string, units: Units]

export class PlannedNodes {
  readonly #nodes = new Map<string, PlannedNode>()
  /** What grants that were asked for will take, by allocation and by node. */
  readonly #grants = new Map<string, readonly Taken[]>()
  readonly #taking = new Map<string, Units>()
  /** Those that give, as they would be; and those of them that are kept for nobody. */
  readonly #giving = new Map<string, GivingNode>()
  readonly #open = new Map<string, GivingNode>()
  readonly #kept = new Set<string>()
  readonly #keptNames = new Set<string>()
  #keptLast: ReadonlySet<string> | undefined
  /** By shape: places, as of when, and of the nodes as they were then. */
  readonly #idle = new Map<string, Idle>()
  /** Grows where nodes have more or less than before. */
  #capacities = 0
  #nowMs = 0

  size(): number {
    return this.#nodes.size
  }

  all(): IterableIterator<[peer: string, node: PlannedNode]> {
    return this.#nodes.entries()
  }

  get(peer: string): NodeRecord | undefined {
    return this.#nodes.get(peer)?.record
  }

  /** Those that give, with what was asked for already. */
  giving(): ReadonlyMap<string, GivingNode> {
    return this.#giving
  }

  /** Whether some nodes are kept for others. @param names of what is asked for */
  isKeptFrom(names: Iterable<string>): boolean {
    for (const name of names) if (this.#keptNames.has(name)) return true
    return false
  }

  /** Those that give this to anybody. @param names of what is asked for */
  openFor(names: Iterable<string>): ReadonlyMap<string, GivingNode> {
    return this.isKeptFrom(names) ? this.#open : this.#giving
  }

  /** From now on what these have of these names is for nobody else. @returns whether others were kept last */
  keep(peers: ReadonlySet<string>, names: Iterable<string>): boolean {
    for (const name of names) this.#keptNames.add(name)
    for (const peer of peers) {
      this.#kept.add(peer)
      this.#open.delete(peer)
    }
    const isOther = peers !== this.#keptLast
    this.#keptLast = peers
    return isOther
  }

  /** Another look begins: nothing is kept. @param nowMs monotonic @param waiting how many wait */
  begin(nowMs: number, waiting: number): void {
    this.#nowMs = nowMs
    if (this.#idle.size > 2 * (waiting + SLACK)) this.#idle.clear()
    const kept = [...this.#kept]
    this.#kept.clear()
    this.#keptNames.clear()
    for (const peer of kept) this.#plan(peer)
  }

  capacities(): number {
    return this.#capacities
  }

  /** Those that give, of these who may. */
  among({ among }: Waiting): ReadonlyMap<string, GivingNode> {
    if (among === undefined) return this.#giving
    const found = new Map<string, GivingNode>()
    for (const peer of among()) {
      const node = this.#giving.get(peer)
      if (node !== undefined) found.set(peer, node)
    }
    return found
  }

  /** @returns undefined: that has to be looked for */
  knownIdle({ shape, among }: Waiting): Idle | undefined {
    const known = this.#idle.get(shape)
    const isOld = among !== undefined && known !== undefined && this.#nowMs - known.sinceMs >= WORKERS_MS
    return known?.capacities === this.#capacities && !isOld ? known : undefined
  }

  /** Where somebody would be given it if nothing else were: where that is not known it takes a look at all nodes. */
  placesWhenIdle(waiting: Waiting, steps?: Steps): readonly AllocationPlace[] | undefined {
    const known = this.knownIdle(waiting)
    if (known !== undefined) return known.places
    const places = placesWhenIdle(waiting.wanted, this.among(waiting), steps)
    this.#idle.set(waiting.shape, { places, capacities: this.#capacities, sinceMs: this.#nowMs })
    return places
  }

  /** @param nowMs monotonic @returns whether it gives more than before */
  set(peer: string, record: NodeRecord | undefined, nowMs: number): boolean {
    const had = this.#giving.get(peer)
    if (record === undefined) this.#nodes.delete(peer)
    else {
      const before = this.#nodes.get(peer)
      const isRenewed =
        before?.record.renewedAt !== record.renewedAt || before.record.registration !== record.registration
      this.#nodes.set(peer, { record, renewedAt: isRenewed ? nowMs : (before?.renewedAt ?? nowMs) })
    }
    this.#plan(peer)
    const has = this.#giving.get(peer)
    if (!isAlike(had, has)) this.#capacities += 1
    return hasMore(had, has)
  }

  take(id: string, taken: readonly Taken[]): void {
    this.#grants.set(id, taken)
    for (const [owner, units] of taken) {
      this.#taking.set(owner, plus(this.#taking.get(owner) ?? NONE, units))
      this.#plan(owner)
    }
  }

  takeBack(id: string): void {
    for (const [owner, units] of this.#grants.get(id) ?? []) {
      const taking = plus(this.#taking.get(owner) ?? NONE, units, -1)
      if (Object.keys(taking).length > 0) this.#taking.set(owner, taking)
      else this.#taking.delete(owner)
      this.#plan(owner)
    }
    this.#grants.delete(id)
  }

  #plan(peer: string): void {
    const record = this.#nodes.get(peer)?.record
    const taking = this.#taking.get(peer)
    this.#giving.delete(peer)
    this.#open.delete(peer)
    if (!isGiving(record)) return
    const node = taking === undefined ? record : { ...record, used: plus(record.used, taking) }
    this.#giving.set(peer, node)
    if (!this.#kept.has(peer)) this.#open.set(peer, node)
  }
}

const isAlike = (one: GivingNode | undefined, other: GivingNode | undefined): boolean =>
  one?.capacity === other?.capacity ||
  (one !== undefined &&
    other !== undefined &&
    fits(one.capacity, NONE, other.capacity) &&
    fits(other.capacity, NONE, one.capacity))

const hasMore = (before: GivingNode | undefined, after: GivingNode | undefined): boolean => {
  if (before === undefined || after === undefined) return after !== undefined
  const freeOf = ({ capacity, used }: GivingNode, name: string): number =>
    amountOf(capacity, name) - amountOf(used, name)
  return Object.keys(after.capacity).some((name) => freeOf(after, name) > freeOf(before, name))
}
