/**
 * What the voters of a group say to each other, and what they keep: plain data, as the pure core sees it.
 *
 * Names follow Ongaro, Consensus: Bridging Theory and Practice (2014), called "the dissertation" in this folder.
 */

/** One place in the log. */
export interface Entry {
  readonly index: number
  readonly term: number
  /** `empty` is what a new leader commits first, so that entries of older terms count as committed (section 3.6.2). */
  readonly kind: 'empty' | 'command' | 'configuration'
  readonly data: Uint8Array
}

/** Who decides, and who follows to decide later. Sorted, no peer twice. */
export interface Configuration {
  readonly voters: readonly string[]
  readonly learners: readonly string[]
}

/** What must be on disk before any message of the same step is sent. */
export interface HardState {
  readonly term: number
  /** Whom this node voted for in this term. */
  readonly votedFor: string | undefined
  /** May be older than what is committed: it is learned again. */
  readonly commit: number
}

/** A configuration and where it is in a log, committed or not. */
export interface PlacedConfiguration {
  readonly index: number
  readonly configuration: Configuration
}

/** Where a snapshot ends. Its contents travel by the driver. */
export interface SnapshotMeta {
  readonly index: number
  readonly term: number
  readonly configuration: Configuration
}

interface VoteRequest {
  readonly type: 'vote'
  readonly term: number
  /** Asks whether the vote would be given, and changes nothing (PreVote, section 9.6). */
  readonly isPre: boolean
  readonly lastIndex: number
  readonly lastTerm: number
  /** The leader asked for it: whoever heard of that leader votes all the same (section 3.10). */
  readonly isTransfer: boolean
  /** What the candidate goes by: others may not have heard of voters that it needs. Older versions do not say. */
  readonly placed?: PlacedConfiguration
}
interface VoteAnswer {
  readonly type: 'voted'
  readonly term: number
  readonly isPre: boolean
  readonly granted: boolean
}
interface AppendRequest {
  readonly type: 'append'
  readonly term: number
  readonly previousIndex: number
  readonly previousTerm: number
  readonly entries: readonly Entry[]
  readonly commit: number
  /** Number of the last round of heartbeats that reads wait for (section 6.4). */
  readonly round: number
}
interface AppendAnswer {
  readonly type: 'appended'
  readonly term: number
  /** Accepted: the last index that is known to be the same. Refused: the `previousIndex` that did not fit. */
  readonly index: number
  readonly accepted: boolean
  /** Where refused: the last index at or below it whose term is not above the leader's there, and its term. */
  readonly hintIndex: number
  readonly hintTerm: number
  readonly round: number
}
interface SnapshotRequest {
  readonly type: 'snapshot'
  readonly term: number
  readonly meta: SnapshotMeta
}
/** Elect yourself at once (section 3.10). */
interface TimeoutNow {
  readonly type: 'timeout-now'
  readonly term: number
}
interface ReadRequest {
  readonly type: 'read'
  readonly term: number
  readonly id: number
}
/** `index` 0: there is no index to read at, ask again. */
interface ReadAnswer {
  readonly type: 'read-at'
  readonly term: number
  readonly id: number
  readonly index: number
}

export type RaftMessage =
  | VoteRequest
  | VoteAnswer
  | AppendRequest
  | AppendAnswer
  | SnapshotRequest
  | TimeoutNow
  | ReadRequest
  | ReadAnswer

export interface AddressedMessage {
  readonly to: string
  readonly message: RaftMessage
}

export const EMPTY_DATA = new Uint8Array(0)

export const encodeConfiguration = ({ voters, learners }: Configuration): Uint8Array =>
  new TextEncoder().encode(JSON.stringify({ voters: [...voters].sort(), learners: [...learners].sort() }))

/** Of bytes that this file wrote: they are checked where they arrive. */
export const decodeConfiguration = (bytes: Uint8Array): Configuration => JSON.parse(new TextDecoder().decode(bytes))
