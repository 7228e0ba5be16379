/** The coordinator as the rest of a node sees it. */
import type { RaftStatus } from '../consensus/raft/raft.ts'
import type { JournalMember } from '../journal/journal-server.ts'
import type { Registration } from '../registration.ts'
import type { CoordinatorStatus } from './coordinator-status.ts'
import type { ActingFacts } from './leadership.ts'

export interface CoordinatorFeature {
  status(): CoordinatorStatus
  /** Of this node's member, when its Raft moved on. */
  onStatus(member: JournalMember, status: RaftStatus): void
  act(fn: (facts: ActingFacts) => void | Promise<void>): Registration
  /** The epoch in which this node acts. */
  acting(): number | undefined
  onChange(fn: (status: CoordinatorStatus) => void): Registration
  /** Hands over, wherever the coordinator is. Resolves once another one leads. */
  transfer(to: string | undefined, signal: AbortSignal): Promise<{ epoch: number; leader: string }>
  /** This node votes no more, for good. Resolves once it is no member, with how many vote, as far as it heard. */
  withdraw(signal: AbortSignal): Promise<number | undefined>
  /** This node offers to vote again. */
  volunteer(): Promise<void>
  stop(): Promise<void>
}
