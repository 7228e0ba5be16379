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

export interface TableComparison<C> {
  /** What the other node lacks. */
  readonly records: AgedRecord[]
  /** Peers whose record there is newer than what is known here. */
  readonly wants: string[]
  /** Agents that were heard of here well after the other node heard of them, which has the same record. */
  readonly fresher: [peer: string, ageMs: number][]
  /** What became known because the other node heard of agents later. */
  readonly changes: C[]
}

/**
 * @param maxAgents of this node's own table
 * @param hearsay told when the other node heard of an agent later than this one, and when it is connected to it
 */
export const createTableComparison = <C>(
  tables: RecordTables,
  maxAgents: number,
  hearsay: {
    take(peer: string, held: HeldRecord, heardAtMs: number): C[]
    vouch(peer: string, from: string): void
  },
) => {
  const { self, agents, ended, known, ageOf, isRevived } = tables
  let comparisons = 0
  let ownNamedIn = 0

  /** What this node has and can pass on. */
  const digest =
    (nowMs: number): Digest =>
    (visit) => {
      const { own } = tables
      if (own) visit(self, own.record.incarnation, own.record.version, 0)
      // forEach makes no pair of key and value for each entry.
      agents.forEach((held, peer) => {
        visit(peer, held.record.incarnation, held.record.version, ageOf(peer, held, nowMs))
      })
      ended.forEach((end, peer) => {
        if (end.signed) visit(peer, end.incarnation, end.version, ageSince(end.sinceMs, nowMs))
      })
    }

  /** What of it was not heard of for a while here: who heard of it later may say so. */
  const aging =
    (nowMs: number): Digest =>
    (visit) =>
      agents.forEach((held, peer) => {
        const ageMs = ageOf(peer, held, nowMs)
        if (ageMs >= held.record.ttlMs * YOUNG_SHARE) visit(peer, held.record.incarnation, held.record.version, ageMs)
      })

  /** Agents of a digest that were heard of here well after the other node heard of them, which has the same record. */
  const fresher = (theirs: Digest, nowMs: number): [peer: string, ageMs: number][] => {
    const found: [string, number][] = []
    theirs((peer, incarnation, version, ageMs) => {
      const held = agents.get(peer)
      if (held === undefined || compareNumbers(held.record, incarnation, version) !== 0) return
      const mine = ageOf(peer, held, nowMs)
      if (mine + LEAST_GAIN_MS < ageMs) found.push([peer, mine])
    })
    return found
  }

  /** What this node knows of, does not have, and does not want to be told again. */
  const endedDigest =
    (nowMs: number): Digest =>
    (visit) =>
      ended.forEach((end, peer) => {
        if (!end.signed) visit(peer, end.incarnation, end.version, Math.max(0, Math.floor(nowMs - end.sinceMs)))
      })

  const travelling = (peer: string, nowMs: number): AgedRecord | undefined => {
    if (peer === self) return tables.own && { ...tables.own.signed, ageMs: 0 }
    const held = agents.get(peer)
    if (held) return { ...held.signed, ageMs: ageOf(peer, held, nowMs) }
    const end = ended.get(peer)
    return end?.signed && { ...end.signed, ageMs: ageSince(end.sinceMs, nowMs) }
  }
  /** The records of these peers, as far as they are here. */
  const give = (peers: readonly string[], nowMs: number): AgedRecord[] =>
    peers.flatMap((peer) => travelling(peer, nowMs) ?? [])

  /** Marks what the other node has; @returns whom this node knows better, and whom it knows worse. */
  const walk = ({ digest: theirs, from }: RemoteDigest, nowMs: number) => {
    comparisons += 1
    const isFull = agents.size >= maxAgents
    const newer: string[] = []
    const wants: string[] = []
    const later: [string, number][] = []
    const changes: C[] = []
    const name = (peer: string, held: HeldRecord | undefined): void => {
      if (held !== undefined) held.namedIn = comparisons
      else if (peer === self) ownNamedIn = comparisons
      else {
        const end = ended.get(peer)
        if (end !== undefined) end.namedIn = comparisons
      }
    }
    theirs((peer, incarnation, version, ageMs) => {
      const held = agents.get(peer)
      name(peer, held)
      if (ageMs === 0 && from !== undefined) hearsay.vouch(peer, from)
      const here = held?.record ?? known(peer)
      const order = here === undefined ? -1 : compareNumbers(here, incarnation, version)
      if (order > 0) newer.push(peer)
      else if (order < 0 || isRevived(peer, ageMs, nowMs)) {
        if (!isFull || held !== undefined || peer === self) wants.push(peer)
      } else if (held !== undefined) {
        const mine = ageOf(peer, held, nowMs)
        if (ageMs + TRANSIT_MS < mine) changes.push(...hearsay.take(peer, held, nowMs - ageMs - TRANSIT_MS))
        else if (ageMs >= held.record.ttlMs * YOUNG_SHARE && mine + LEAST_GAIN_MS < ageMs) later.push([peer, mine])
      }
    })
    return { newer, wants, fresher: later, changes }
  }

  /** Compares with another node's tables, which were sent at most TRANSIT_MS ago. */
  const compare = (theirs: RemoteDigest, nowMs: number): TableComparison<C> => {
    const { newer, changes, ...found } = walk(theirs, nowMs)
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
    const { own } = tables
    if (own && ownNamedIn !== comparisons) offer(self, own.record, 0, true)
    agents.forEach((held, peer) => {
      if (held.namedIn !== comparisons) offer(peer, held.record, ageOf(peer, held, nowMs), true)
    })
    ended.forEach((end: EndedAgent, peer) => {
      if (end.signed && end.namedIn !== comparisons) offer(peer, end, ageSince(end.sinceMs, nowMs), false)
    })
    // What this node knows only as ended without a record cannot be given.
    return { records: give([...newer, ...lacks], nowMs), ...found, changes }
  }

  return { digest, aging, endedDigest, give, fresher, compare }
}
