/** A group as a program sees it, and what it asks of a program. */
import type { ParleyError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import type { RaftSettings, RaftStatus } from '../raft/raft.ts'
import type { Configuration, Entry } from '../raft/raft-messages.ts'
import type { GroupStorage, SavedRows, StateChange, StateRow } from './group-storage.ts'

/** What has changed since the last snapshot, as of one moment. */
export interface StateChanges {
  /** Read while more is applied. */
  readonly rows: Iterable<StateChange> | AsyncIterable<StateChange>
  /**
   * @param saved all of it is in this snapshot; undefined: it could not be saved, and belongs to the next one, or the state
   *   machine was restored meanwhile
   */
  settle(saved: SavedRows | undefined): void
}

/**
 * What the members of a group agree on. Deterministic: no clock, no randomness, no defaults that may change. It keeps what it
 * has as rows in snapshots, each of them on top of the one before, so that one costs as much as has changed.
 */
export interface StateMachine {
  /**
   * Reads what these need that is not in memory: they are applied next, in this order, and wait for nothing then.
   * @returns undefined: there is nothing to read
   * @throws STA003 `damaged`
   */
  prepare?(entries: readonly Pick<Entry, 'kind' | 'data'>[]): Promise<void> | undefined
  /** @returns what whoever proposed it here is told */
  apply(command: Uint8Array, at: { readonly index: number; readonly term: number }): unknown
  /** Settled before it is called again. */
  changes(): StateChanges
  /** What `changes` would tell takes so much memory, about, bytes; absent: no more than the entries that it came from. */
  changedBytes?(): number
  /** These take the place of everything. They are its to let go. */
  restore(saved: SavedRows): Promise<void>
  /** A snapshot as members send it to one another, in chunks of at most about 1 MiB. */
  encode(saved: SavedRows): AsyncIterable<Uint8Array>
  /** @throws STA003 `newer`; anything for what another version, or nobody, encoded */
  decode(chunks: AsyncIterable<Uint8Array>): AsyncIterable<StateRow>
}

export interface RaftGroupOptions {
  readonly group: string
  /** This member's id, `<peer>.<storage id>`. */
  readonly self: string
  /** Who votes in a group that is founded now; ignored where the store has a log already. */
  readonly founders?: Configuration | undefined
  /** Milliseconds; 50 unless told: with the core's defaults an election after 500 to 1,000, a heartbeat each 100. */
  readonly tickMs?: number
  readonly raft?: Partial<RaftSettings>
  /** Entries after which a snapshot is taken, where it is not due by their size; 30,000 unless told. */
  readonly snapshotEvery?: number
}

/** What was proven to this node beyond its own log (proof/): whose messages may count although it does not list them. */
export interface ProvenVoters {
  /** It votes in the newest proven configuration. */
  isVoter(member: string): boolean
  /** The highest term that was proven by an epoch or a link; 0 before. */
  term(): number
  /** Messages of this member do not count until links (or, for `term`, an epoch) were shown; asks it for them, at a bounded rate. */
  requestProof(member: string, why: 'voter' | 'term'): void
  /** False: what would be refused is counted and taken all the same. */
  isEnforced(): boolean
}

export interface RaftGroupDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'random' | 'log' | 'to' | 'serve' | 'onMember'>
  readonly storage: GroupStorage
  readonly machine: StateMachine
  /** Absent: the member's own log is all that is known. */
  readonly proven?: ProvenVoters | undefined
  /**
   * A configuration counts from here on, by what was committed and applied: an entry of it, or else a snapshot. In the order
   * in which the state machine is told.
   */
  onConfiguration?(configuration: Configuration, at: { index: number; term: number }, isEntry: boolean): void
  /** Called in order, after what it tells of was applied. */
  onStatus?(status: RaftStatus): void
  /** The disk has no room, and again when it has (undefined). */
  onStall?(problem: ParleyError | undefined): void
  /** It can go on no more: open the store again. */
  onFailure?(error: unknown): void
}

/** Why a message of Raft does not count: see raft-server.ts. */
export type SenderRejection = 'notAVoter' | 'notAMember' | 'termOfALearner' | 'termTooHigh'
/** Messages that did not count, or would not where proofs are not enforced yet. */
export type SenderRejectionCounts = Readonly<Record<SenderRejection, number>>

export interface RaftGroupCounts extends SenderRejectionCounts {
  readonly steps: number
  readonly proposed: number
  readonly sent: number
  readonly unsent: number
  readonly snapshots: number
  readonly restored: number
  /** Inputs that found no room, and messages of another group or for another store. */
  readonly dropped: number
  /** Messages of voters that contradict what is known: they were not taken. */
  readonly contradictions: number
}

export interface RaftGroup {
  /** This member's id. */
  readonly self: string
  /**
   * Resolves with what the state machine said, once it was committed and applied here.
   * @throws STA003 with `details.reason`: `not-leader` (`details.leader`, where known), `superseded` (it was not committed
   *   at its place; it has had no effect), `unknown` (this node stopped first: it may have an effect yet); COM003
   */
  propose(command: Uint8Array): Promise<unknown>
  /** Another configuration, of at most one other voter. Resolves once it is committed. Throws as `propose` does. */
  change(configuration: Configuration): Promise<void>
  /** Resolves once what is read here is at least as new as when it was asked. @throws STA003 `no-leader`, `unknown` */
  readable(signal?: AbortSignal): Promise<number>
  /** Hands over to this voter, or to the one that is furthest. */
  transfer(to?: string): void
  status(): RaftStatus
  applied(): number
  /** How far a member is, as a leader knows. */
  matchOf(id: string): number
  /** Milliseconds since a member was heard by this one; undefined: not since it started. */
  silentMs(id: string): number | undefined
  counts(): RaftGroupCounts
  stop(): Promise<void>
}
