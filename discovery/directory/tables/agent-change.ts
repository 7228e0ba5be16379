/** What the directory shows of an agent, what it says when that changes, and what became of a record. */
import type { Activity } from '../../agent-activity.ts'
import type { AgentRecord, Departure } from '../record/agent-record.ts'
import type { EndReason } from './record-tables.ts'

export interface Agent {
  readonly peer: string
  readonly name: string
  /** This node's own judgement; a suspect gets no new work while others are there. */
  readonly state: 'alive' | 'suspect'
  readonly connected: boolean
  readonly self: boolean
  /** As the agent's node judges it; absent where that is not known: of one that is far, or of an earlier release. */
  readonly activity?: Activity | undefined
  readonly record: AgentRecord
}

export type Change =
  | { readonly type: 'joined' | 'changed'; readonly agent: Agent }
  /** `departure`: of one that said so itself, whether it means to come back. */
  | { readonly type: 'left'; readonly agent: Agent; readonly reason: EndReason; readonly departure?: Departure }

/**
 * `own`: a record of this node's identity that this life did not write; write one above it.
 * `full`: the table has no room for another agent.
 */
export type RecordOutcome = 'accepted' | 'stale' | 'duplicate' | 'own' | 'full'
