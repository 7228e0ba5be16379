/**
 * The tables of a directory, and what the parts of its machine ask them: no rules of their own.
 *
 * State: the newest record of each other agent, what ended lately (at most `maxEnded`, the oldest goes first), who is
 * connected right now, the own record.
 */
import type { AgentRecord, RecordVersion, SignedRecord } from '../record/agent-record.ts'
import { ageSince, outlives } from './digest.ts'

/**
 * `left` said so itself, `gone` was given up by this node alone, `dead` was found dead by the failure detectors of the
 * mesh, `expired` was not heard of for its ttl.
 */
export type EndReason = 'left' | 'gone' | 'dead' | 'expired'

export interface HeldRecord {
  record: AgentRecord
  signed: SignedRecord
  lastAliveAtMs: number
  state: 'alive' | 'suspect'
  /** Somebody gave it up then; it counts as long as nobody heard of it later. */
  doubtedAtMs?: number
  /** It was called suspect then; only who heard of it later clears it. */
  suspectedAtMs?: number
  /** The comparison that named it last. */
  namedIn: number
  /** It was connected to this node, and admitted. */
  isMet: boolean
  /** The neighbour that told of it first. */
  readonly announcedBy: string | undefined
  /** Neighbours that say they are connected to it, the newest last. */
  vouchers: readonly string[]
}

export interface EndedAgent extends RecordVersion {
  readonly reason: EndReason
  readonly sinceMs: number
  readonly untilMs: number
  /** The leaving record itself, so that it can be passed on; only where `reason` is left. */
  readonly signed?: SignedRecord
  namedIn: number
}

export interface OwnSignedRecord {
  readonly record: AgentRecord
  readonly signed: SignedRecord
}

export interface RecordTables {
  readonly self: string
  readonly agents: ReadonlyMap<string, HeldRecord>
  readonly ended: ReadonlyMap<string, EndedAgent>
  readonly connected: Set<string>
  readonly own: OwnSignedRecord | undefined
  /** Another number after each change of what the tables hold; ages and states do not count. */
  revision(): number
  setOwn(own: OwnSignedRecord): void
  put(peer: string, held: HeldRecord): void
  drop(peer: string): void
  /** What is known of the peer: its record, or the one that it ended with. */
  known(peer: string): RecordVersion | undefined
  ageOf(peer: string, held: HeldRecord, nowMs: number): number
  /** It was given up or expired here, and somebody heard of it after that. */
  isRevived(peer: string, ageMs: number, nowMs: number): boolean
  rememberEnded(peer: string, end: Omit<EndedAgent, 'namedIn'>): void
  forgetEnded(peer: string): void
  endedEvicted(): number
}

export const createRecordTables = (self: string, maxEnded: number): RecordTables => {
  const agents = new Map<string, HeldRecord>()
  const ended = new Map<string, EndedAgent>()
  const connected = new Set<string>()
  let own: OwnSignedRecord | undefined
  let revision = 0
  let endedEvicted = 0

  return {
    self,
    agents,
    ended,
    connected,
    get own() {
      return own
    },
    revision: () => revision,
    setOwn(now) {
      own = now
      revision += 1
    },
    put(peer, held) {
      agents.set(peer, held)
      revision += 1
    },
    drop(peer) {
      agents.delete(peer)
      revision += 1
    },
    known: (peer) => (peer === self ? own?.record : (agents.get(peer)?.record ?? ended.get(peer))),
    ageOf: (peer, { lastAliveAtMs, state }, nowMs) =>
      state === 'alive' && connected.has(peer) ? 0 : ageSince(lastAliveAtMs, nowMs),
    isRevived(peer, ageMs, nowMs) {
      const end = ended.get(peer)
      return end !== undefined && end.reason !== 'left' && outlives(ageMs, nowMs - end.sinceMs)
    },
    rememberEnded(peer, end) {
      revision += 1
      ended.delete(peer)
      ended.set(peer, { ...end, namedIn: 0 })
      const [oldest] = ended.keys()
      if (ended.size <= maxEnded || oldest === undefined) return
      ended.delete(oldest)
      endedEvicted += 1
    },
    forgetEnded(peer) {
      if (ended.delete(peer)) revision += 1
    },
    endedEvicted: () => endedEvicted,
  }
}
