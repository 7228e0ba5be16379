/**
 * Comparing the tables with another node's: who is behind, and who was heard of later where.
 *
 * State: the number of the last comparison; entries that it named carry that number, so that what the other node lacks
 * is found without a table of its own.
 */
import { compareVersions } from '../record/agent-record.ts'
import {
  type AgedRecord,
  ageSince,
  compareNumbers,
  type Digest,
  endedTable,
  outlives,
  type RemoteDigest,
  TRANSIT_MS,
} from './digest.ts'
import type { EndedAgent, HeldRecord, RecordTables } from './record-tables.ts'

/** Ages that differ by less are the same. */
const LEAST_GAIN_MS = 1_000
/** An age below this part of the ttl is young enough: nobody needs to be told a younger one. */
const YOUNG_SHARE = 1 / 4

export interface ComparisonResult<C> {
  /** What the other node lacks. */
  readonly records: AgedRecord[]
  /** Peers whose record there is newer than what is known here. */
  readonly wants: string[]
  /** Agents that were heard of here well after the other node heard of them, which has the same record. */
  readonly fresher: [peer: string, ageMs: number][]
  /** What became known because the other node heard of agents later. */
  readonly changes: C[]
}

/** What the other node tells of who is alive (indirect-liveness.ts). */
export interface LivenessReports<C> {
  /** It heard of an agent later than this one. */
  take(peer: string, held: HeldRecord, heardAtMs: number): C[]
  /** It is connected to the agent. */
  vouch(peer: string, from: string): void
}

export class TableComparison<C> {
  readonly #tables: RecordTables
  readonly #maxAgents: number
  readonly #liveness: LivenessReports<C>
  readonly #self: string
  readonly #agents: ReadonlyMap<string, HeldRecord>
  readonly #ended: ReadonlyMap<string, EndedAgent>
  #comparisons = 0
  #ownNamedIn = 0

  /** @param maxAgents of this node's own table */
  constructor(tables: RecordTables, maxAgents: number, liveness: LivenessReports<C>) {
    this.#tables = tables
    this.#maxAgents = maxAgents
    this.#liveness = liveness
    const { self, agents, ended } = tables
    this.#self = self
    this.#agents = agents
    this.#ended = ended
  }

  /** What this node has and can pass on. */
  digest(nowMs: number): Digest {
    return (visit) => {
      const { own } = this.#tables
      if (own) visit(this.#self, own.record.incarnation, own.record.version, 0)
      // forEach makes no pair of key and value for each entry.
      this.#agents.forEach((held, peer) => {
        visit(peer, held.record.incarnation, held.record.version, this.#tables.ageOf(peer, held, nowMs))
      })
      this.#ended.forEach((end, peer) => {
        if (end.signed) visit(peer, end.incarnation, end.version, ageSince(end.sinceMs, nowMs))
      })
    }
  }

  /** What of it was not heard of for a while here: who heard of it later may say so. */
  aging(nowMs: number): Digest {
    return (visit) =>
      this.#agents.forEach((held, peer) => {
        const ageMs = this.#tables.ageOf(peer, held, nowMs)
        if (ageMs >= held.record.ttlMs * YOUNG_SHARE) visit(peer, held.record.incarnation, held.record.version, ageMs)
      })
  }

  /** What this node knows of, does not have, and does not want to be told again. */
  endedDigest(nowMs: number): Digest {
    return (visit) =>
      this.#ended.forEach((end, peer) => {
        if (!end.signed) visit(peer, end.incarnation, end.version, Math.max(0, Math.floor(nowMs - end.sinceMs)))
      })
  }

  /** The records of these peers, as far as they are here. */
  give(peers: readonly string[], nowMs: number): AgedRecord[] {
    return peers.flatMap((peer) => this.#travelling(peer, nowMs) ?? [])
  }

  /** Agents of a digest that were heard of here well after the other node heard of them, which has the same record. */
  fresher(theirs: Digest, nowMs: number): [peer: string, ageMs: number][] {
    const found: [string, number][] = []
    theirs((peer, incarnation, version, ageMs) => {
      const held = this.#agents.get(peer)
      if (held === undefined || compareNumbers(held.record, incarnation, version) !== 0) return
      const mine = this.#tables.ageOf(peer, held, nowMs)
      if (mine + LEAST_GAIN_MS < ageMs) found.push([peer, mine])
    })
    return found
  }

  /** Compares with another node's tables, which were sent at most TRANSIT_MS ago. */
  compare(theirs: RemoteDigest, nowMs: number): ComparisonResult<C> {
    const { newer, changes, ...found } = this.#walk(theirs, nowMs)
    const gone = endedTable(theirs.ended)
    const isUnwanted = (peer: string, incarnation: number, version: number, ageMs: number): boolean => {
      const end = gone.get(peer)
      if (end === undefined) return false
      const order = compareVersions({ incarnation, version }, end)
      return order < 0 || (order === 0 && !outlives(ageMs, end.ageMs))
    }
    let { room } = theirs
    const lacks: string[] = []
    const offer = (peer: string, of: { incarnation: number; version: number }, ageMs: number, takesRoom: boolean) => {
      if (isUnwanted(peer, of.incarnation, of.version, ageMs)) return
      if (takesRoom) room -= 1
      if (!takesRoom || room >= 0) lacks.push(peer)
    }
    const { own } = this.#tables
    if (own && this.#ownNamedIn !== this.#comparisons) offer(this.#self, own.record, 0, true)
    this.#agents.forEach((held, peer) => {
      if (held.namedIn !== this.#comparisons) offer(peer, held.record, this.#tables.ageOf(peer, held, nowMs), true)
    })
    this.#ended.forEach((end: EndedAgent, peer) => {
      if (end.signed && end.namedIn !== this.#comparisons) offer(peer, end, ageSince(end.sinceMs, nowMs), false)
    })
    // What this node knows only as ended without a record cannot be given.
    return { records: this.give([...newer, ...lacks], nowMs), ...found, changes }
  }

  #travelling(peer: string, nowMs: number): AgedRecord | undefined {
    if (peer === this.#self) return this.#tables.own && { ...this.#tables.own.signed, ageMs: 0 }
    const held = this.#agents.get(peer)
    if (held) return { ...held.signed, ageMs: this.#tables.ageOf(peer, held, nowMs) }
    const end = this.#ended.get(peer)
    return end?.signed && { ...end.signed, ageMs: ageSince(end.sinceMs, nowMs) }
  }

  /** Marks what the other node has; @returns whom this node knows better, and whom it knows worse. */
  #walk(
    { digest: theirs, from }: RemoteDigest,
    nowMs: number,
  ): { newer: string[]; wants: string[]; fresher: [string, number][]; changes: C[] } {
    this.#comparisons += 1
    const isFull = this.#agents.size >= this.#maxAgents
    const newer: string[] = []
    const wants: string[] = []
    const later: [string, number][] = []
    const changes: C[] = []
    const name = (peer: string, held: HeldRecord | undefined): void => {
      if (held !== undefined) held.namedIn = this.#comparisons
      else if (peer === this.#self) this.#ownNamedIn = this.#comparisons
      else {
        const end = this.#ended.get(peer)
        if (end !== undefined) end.namedIn = this.#comparisons
      }
    }
    theirs((peer, incarnation, version, ageMs) => {
      const held = this.#agents.get(peer)
      name(peer, held)
      if (ageMs === 0 && from !== undefined) this.#liveness.vouch(peer, from)
      const here = held?.record ?? this.#tables.known(peer)
      const order = here === undefined ? -1 : compareNumbers(here, incarnation, version)
      if (order > 0) newer.push(peer)
      else if (order < 0 || this.#tables.isRevived(peer, ageMs, nowMs)) {
        if (!isFull || held !== undefined || peer === this.#self) wants.push(peer)
      } else if (held !== undefined) {
        const mine = this.#tables.ageOf(peer, held, nowMs)
        if (ageMs + TRANSIT_MS < mine) changes.push(...this.#liveness.take(peer, held, nowMs - ageMs - TRANSIT_MS))
        else if (ageMs >= held.record.ttlMs * YOUNG_SHARE && mine + LEAST_GAIN_MS < ageMs) later.push([peer, mine])
      }
    })
    return { newer, wants, fresher: later, changes }
  }
}
