/** What becomes of a record that comes: whether it is news, and whether there is room for it. Pure; the tables are only read. */
import { equals } from 'uint8arrays/equals'
import { type AgentRecord, compareVersions, type SignedRecord } from '../record/agent-record.ts'
import type { RecordOutcome } from './agent-change.ts'
import { chooseEvicted } from './record-eviction.ts'
import type { RecordTables } from './record-tables.ts'

export interface DirectoryLimits {
  readonly maxAgents: number
  readonly maxEnded: number
}

/** Twice the ttl: longer than anyone who is not connected to the agent can still hold its record. */
export const remembranceMs = (record: AgentRecord): number => 2 * record.ttlMs

/** The neighbour tells of itself, or the peer is connected. */
export const isMetBy = ({ connected }: RecordTables, peer: string, from: string | undefined): boolean =>
  from === peer || connected.has(peer)

/** Who makes room for this one in a full table. */
export const roomFor = (
  tables: RecordTables,
  peer: string,
  lastAliveAtMs: number,
  from: string | undefined,
): string | undefined => chooseEvicted(tables.agents, { from, isMet: isMetBy(tables, peer, from), lastAliveAtMs })

/** The last quarter of what ended is for agents that were here: anybody can sign that invented ones left. */
const mayEnd = ({ agents, ended }: RecordTables, peer: string, maxEnded: number): boolean =>
  agents.has(peer) || ended.has(peer) || ended.size < maxEnded - maxEnded / 4

const judgeOwn = (
  { own }: RecordTables,
  signed: SignedRecord,
  /** Of the record, against what is known of this node. */
  order: number,
): RecordOutcome => {
  if (own === undefined || order > 0) return 'own'
  return order < 0 ? 'stale' : equals(signed.bytes, own.signed.bytes) ? 'duplicate' : 'own'
}

/**
 * @param revives false where nobody says how old the record is
 * @param from the neighbour that tells of it
 */
export const judgeRecord = (
  tables: RecordTables,
  { maxAgents, maxEnded }: DirectoryLimits,
  record: AgentRecord,
  signed: SignedRecord,
  ageMs: number,
  nowMs: number,
  revives: boolean,
  from: string | undefined,
): RecordOutcome => {
  const { peerId: peer } = record
  const { agents, connected } = tables
  const before = tables.known(peer)
  const order = before === undefined ? 1 : compareVersions(record, before)
  if (peer === tables.self) return judgeOwn(tables, signed, order)
  const isNews = order > 0 || (order === 0 && revives && tables.isRevived(peer, ageMs, nowMs))
  if (!isNews) return order < 0 ? 'stale' : 'duplicate'
  if (record.leaving) return ageMs >= remembranceMs(record) || !mayEnd(tables, peer, maxEnded) ? 'stale' : 'accepted'
  if (ageMs >= record.ttlMs && !connected.has(peer)) return 'stale'
  if (agents.has(peer) || agents.size < maxAgents) return 'accepted'
  return roomFor(tables, peer, nowMs - ageMs, from) === undefined ? 'full' : 'accepted'
}
