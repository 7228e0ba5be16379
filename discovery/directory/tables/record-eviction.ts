/**
 * Who makes room in a full directory. A record proves the key that signed it, not that its owner was ever let in: one
 * member can invent any number of agents. So agents that this node has met, connected and admitted, stay, and all others
 * count for the neighbour that told of them: there the most are given up, those first that nobody was heard of for
 * longest. While there is room nobody makes any, so that one seed may tell a newcomer of everybody.
 */
import type { HeldRecord } from './record-tables.ts'

/** So much longer nobody must have heard of one that makes room for another of the same neighbour. */
export const EVICTION_AGE_MS = 10_000
/** A full table still asks for so many, in case that they are worth more than what it holds. */
const WORTH_ASKING = 8

export interface NewAgent {
  /** The neighbour that tells of it; undefined where that is not known. */
  readonly from: string | undefined
  /** It is connected, or tells of itself. */
  readonly isMet: boolean
  readonly lastAliveAtMs: number
}

/** Unmet agents by the neighbour that told of them. */
const byTeller = (agents: ReadonlyMap<string, HeldRecord>): Map<string | undefined, [string, HeldRecord][]> => {
  const rows = new Map<string | undefined, [string, HeldRecord][]>()
  for (const entry of agents) {
    if (entry[1].isMet) continue
    const row = rows.get(entry[1].announcedBy)
    if (row === undefined) rows.set(entry[1].announcedBy, [entry])
    else row.push(entry)
  }
  return rows
}

/** @returns the agent that makes room for the newcomer; undefined where none has to */
export const chooseEvicted = (
  agents: ReadonlyMap<string, HeldRecord>,
  { from, isMet, lastAliveAtMs }: NewAgent,
): string | undefined => {
  const rows = byTeller(agents)
  let most: [string, HeldRecord][] = []
  let teller: string | undefined
  for (const [told, row] of rows) {
    if (row.length <= most.length) continue
    most = row
    teller = told
  }
  const [first] = most
  if (first === undefined) return undefined
  const [peer, held] = most.reduce((a, b) => (b[1].lastAliveAtMs < a[1].lastAliveAtMs ? b : a), first)
  if (isMet) return peer
  // Those two would take turns otherwise.
  if (teller !== from && most.length > (rows.get(from)?.length ?? 0) + 1) return peer
  return teller === from && lastAliveAtMs - held.lastAliveAtMs >= EVICTION_AGE_MS ? peer : undefined
}

/** How many agents a full table asks for all the same. */
export const roomWhenFull = (agents: ReadonlyMap<string, HeldRecord>): number => {
  let unmet = 0
  for (const { isMet } of agents.values()) if (!isMet) unmet += 1
  return Math.min(WORTH_ASKING, unmet)
}
