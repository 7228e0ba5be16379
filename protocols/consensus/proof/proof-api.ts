/** The proof of coordination, as the coordinator, the journal and the group use it. */
import type { Port, Stop } from '../../port.ts'
import type { ProvenVoters } from '../group/group-api.ts'
import type { AppliedFacts } from './applied-facts.ts'
import type { ChainBeginning } from './chain-beginning.ts'
import type { ProofMode } from './proof-enforcement.ts'
import type { ProofStore, ProvenEpoch } from './proven-chain.ts'
import type { Proof } from './statement.ts'

/** What travels beside an announcement. */
export interface ShownProof {
  /** Of the epoch. */
  readonly digest: string
  /** Index of the newest link. */
  readonly head: number
  readonly proofs?: readonly Proof[] | undefined
}

/** That a node coordinates. */
export interface LeaderClaim {
  readonly epoch: number
  /** Peer id. */
  readonly leader: string
}

export interface ProofsDeps {
  readonly port: Pick<
    Port,
    'self' | 'clock' | 'timers' | 'log' | 'hash' | 'sign' | 'verify' | 'random' | 'members' | 'to' | 'serve' | 'metrics'
  >
  readonly store?: ProofStore | undefined
  /** This node's member id, where it has a store. */
  member(): string | undefined
  /** The feature level of this node's own journal; undefined: it has none. */
  level(): number | undefined
  /** Peer id of whom this node's own member follows, or this node where it leads. */
  leader(): string | undefined
  /** As a test wants it. */
  readonly mode?: ProofMode | undefined
}

export interface ProofFacts {
  readonly mode: ProofMode
  /** The newest proven epoch; 0 before. */
  readonly epoch: number
  /** Peer id. */
  readonly leader: string | undefined
  /** Links that are kept. */
  readonly links: number
  /** Index of the newest proven configuration. */
  readonly head: number
  readonly voters: readonly string[]
  /** Beginning of the chain; undefined: none is known. */
  readonly base: 'founded' | 'recovered' | 'pinned' | undefined
  readonly refused: Readonly<Record<string, number>>
}

export interface Proofs {
  /** For the group: whose messages may count. */
  readonly voters: ProvenVoters
  /** What this member applies. */
  readonly appliedFacts: AppliedFacts
  setMesh(meshId: string, beginning: ChainBeginning | undefined): Promise<void>
  isEnforced(): boolean
  /** Whether a claim counts now; where it may come to be proven, that is asked for. @param source who made it */
  judgeClaim(claim: LeaderClaim, source: string, proofOf?: ShownProof): boolean
  /** The newest proven epoch. */
  epoch(): ProvenEpoch | undefined
  /** The highest term that was proven, or that this node's own journal began. */
  term(): number
  /**
   * Whether this term began: it is not above the highest that was proven. Otherwise others are asked, and it resolves once one
   * of them shows that, or after 3 s.
   */
  hasBegun(term: number): true | Promise<boolean>
  /** Something was proven, or the mode is another one: what was in doubt may be looked at again. */
  onChange(fn: () => void): Stop
  /** Of a leader whose epoch has begun, each tick: collects what is missing. */
  collectSignatures(term: number, restate: () => void): void
  /** It leads no more. */
  stopCollecting(): void
  /** What to show with the announcement of this epoch; undefined: it is not proven yet. */
  shown(epoch: number, isFull: boolean): ShownProof | undefined
  /** The feature level that a voter to come has to know. */
  minLevel(): number
  /** A statement of these voters, or a newer one, is proven: the next change may come. */
  isChangeProven(voters: readonly string[]): boolean
  facts(): ProofFacts
  counts(): Record<string, number>
  stop(): Promise<void>
}
