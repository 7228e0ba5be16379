/** Allocations as the journal has them. State: those, by what is asked about them. */
import type { ResourceChange } from '../journal/resource-changes.ts'
import { type Allocation, PRIORITY_LEVELS } from '../resource-record.ts'
import type { PlannedVictim } from './preemption.ts'

const peersOf = ({ holder, places = [] }: Allocation): Set<string> =>
  new Set([holder, ...places.map(({ owner }) => owner)])

const endedBy = (change: ResourceChange): readonly string[] => {
  if (change.do === 'expire') return [change.id]
  return change.do === 'grant' ? (change.victims ?? []).map(({ id }) => id) : []
}

/** Those that others may be granted in the place of, but for the ones whose end was asked for already. */
class Preemptible {
  /** By priority. */
  readonly #levels: readonly Map<string, PlannedVictim>[] = Array.from({ length: PRIORITY_LEVELS }, () => new Map())
  readonly #ending = new Set<string>()

  set(id: string, record: Allocation | undefined): void {
    const isOne = record?.status === 'allocated' && record.preemptible === true
    const { fence } = record ?? {}
    for (const [priority, level] of this.#levels.entries()) {
      if (isOne && fence !== undefined && record.priority === priority) level.set(id, { ...record, id, fence })
      else level.delete(id)
    }
  }

  asked(change: ResourceChange): void {
    for (const id of endedBy(change)) this.#ending.add(id)
  }

  answered(change: ResourceChange): void {
    for (const id of endedBy(change)) this.#ending.delete(id)
  }

  /** Those of a lower priority: nobody walks over others. */
  *below(priority: number): Generator<PlannedVictim> {
    for (const level of this.#levels.slice(0, priority))
      for (const [id, one] of level) if (!this.#ending.has(id)) yield one
  }
}

export class KnownAllocations {
  readonly #all = new Map<string, Allocation>()
  /** Those that rest on a node, as their holder or as who gives a part. */
  readonly #byPeer = new Map<string, Set<string>>()
  /** Ended ones, in the order in which they ended. */
  readonly #ended = new Map<string, number>()
  readonly preemptible = new Preemptible()
  #granted = 0

  granted(): number {
    return this.#granted
  }

  get(id: string): Allocation | undefined {
    return this.#all.get(id)
  }

  /** Ids. */
  restingOn(peer: string): Iterable<string> {
    return this.#byPeer.get(peer) ?? []
  }

  /** Ids of those that ended first. @param until milliseconds since 1970 */
  endedUntil(until: number, most: number): string[] {
    const ids: string[] = []
    for (const [id, endedAt] of this.#ended) {
      if (endedAt > until || ids.length >= most) break
      ids.push(id)
    }
    return ids
  }

  set(id: string, record: Allocation | undefined): void {
    const before = this.#all.get(id)
    if (before !== undefined) this.#unlist(id, before)
    this.preemptible.set(id, record)
    if (record === undefined) {
      this.#all.delete(id)
      return
    }
    this.#all.set(id, record)
    for (const peer of peersOf(record)) {
      const ids = this.#byPeer.get(peer) ?? new Set()
      this.#byPeer.set(peer, ids)
      ids.add(id)
    }
    if (record.status === 'allocated') this.#granted += 1
    else if (record.status !== 'waiting') this.#ended.set(id, record.changedAt)
  }

  #unlist(id: string, before: Allocation): void {
    for (const peer of peersOf(before)) {
      const ids = this.#byPeer.get(peer)
      ids?.delete(id)
      if (ids?.size === 0) this.#byPeer.delete(peer)
    }
    if (before.status === 'allocated') this.#granted -= 1
    this.#ended.delete(id)
  }
}
