/**
 * Nodes as the coordinator plans by them: as the journal has them, with what grants that it has asked for will take. State: that.
 */
import type { AllocationPlace, NodeRecord } from '../resource-record.ts'
import { NONE, plus, type Units } from '../units.ts'
import { type GivingNode, isGiving } from './feasibility.ts'
import { placesWhenIdle } from './placement.ts'
import type { Waiting } from './waiting-line.ts'

/** Milliseconds that what idle nodes could give is taken for the same. */
const IDLE_MS = 500

interface PlannedNode {
  readonly record: NodeRecord
  /** By this node's monotonic clock, from when its renewal was applied here. */
  readonly renewedAt: number
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
  /** By shape. */
  readonly #idle = new Map<string, readonly AllocationPlace[] | undefined>()
  #idleSince = 0

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

  /** Those that give this to anybody. @param names of what is asked for */
  openFor(names: Iterable<string>): ReadonlyMap<string, GivingNode> {
    for (const name of names) if (this.#keptNames.has(name)) return this.#open
    return this.#giving
  }

  /** From now on what these have of these names is for nobody else. */
  keep(peers: Iterable<string>, names: Iterable<string>): void {
    for (const name of names) this.#keptNames.add(name)
    for (const peer of peers) {
      this.#kept.add(peer)
      this.#open.delete(peer)
    }
  }

  /** Another look begins: nothing is kept. @param nowMs monotonic */
  begin(nowMs: number): void {
    if (nowMs - this.#idleSince >= IDLE_MS) {
      this.#idleSince = nowMs
      this.#idle.clear()
    }
    const kept = [...this.#kept]
    this.#kept.clear()
    this.#keptNames.clear()
    for (const peer of kept) this.#plan(peer)
  }

  #among(peers: readonly string[]): ReadonlyMap<string, GivingNode> {
    const found = new Map<string, GivingNode>()
    for (const peer of peers) {
      const node = this.#giving.get(peer)
      if (node !== undefined) found.set(peer, node)
    }
    return found
  }

  /** Where somebody would be given it if nothing else were, as of a moment ago: it takes a look at all nodes. */
  placesWhenIdle({ shape, wanted, among }: Waiting): readonly AllocationPlace[] | undefined {
    if (this.#idle.has(shape)) return this.#idle.get(shape)
    const places = placesWhenIdle(wanted, among === undefined ? this.#giving : this.#among(among()))
    this.#idle.set(shape, places)
    return places
  }

  /** @param nowMs monotonic */
  set(peer: string, record: NodeRecord | undefined, nowMs: number): void {
    if (record === undefined) this.#nodes.delete(peer)
    else {
      const before = this.#nodes.get(peer)
      const isRenewed =
        before?.record.renewedAt !== record.renewedAt || before.record.registration !== record.registration
      this.#nodes.set(peer, { record, renewedAt: isRenewed ? nowMs : (before?.renewedAt ?? nowMs) })
    }
    this.#plan(peer)
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
