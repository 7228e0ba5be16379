/**
 * What a member of a group knows, and what a step asks its driver to do. Shared by the parts of the core, which are
 * functions over it; no part calls a clock, a disk or a network.
 */
import { ConfigurationHistory } from './configuration-history.ts'
import type { FollowerProgress } from './follower-progress.ts'
import type { RaftLog } from './raft-log.ts'
import type { AddressedMessage, Configuration, Entry, HardState, RaftMessage, SnapshotMeta } from './raft-messages.ts'

export type RaftRole = 'follower' | 'pre-candidate' | 'candidate' | 'leader'

export interface RaftSettings {
  /** Ticks without a leader after which a voter stands for election; up to twice as many at random. */
  readonly electionTicks: number
  readonly heartbeatTicks: number
  /** Entries and bytes of data in one message; a larger entry travels alone. */
  readonly maxEntries: number
  readonly maxBytes: number
  /** Reads that wait; further ones are answered with index 0. */
  readonly maxReads: number
}

export const RAFT_DEFAULTS: RaftSettings = {
  electionTicks: 10,
  heartbeatTicks: 2,
  maxEntries: 512,
  maxBytes: 262_144,
  maxReads: 4_096,
}

export interface RaftStart {
  readonly self: string
  readonly hardState: HardState
  /** That of the snapshot, or the one that the group was founded with. */
  readonly configuration: Configuration
  readonly log: RaftLog
}

export interface ReadAt {
  readonly id: number
  /** State machines that have applied it may answer the read; 0: ask again. */
  readonly index: number
}

/** Somebody who may speak says what cannot be true together with what is known here: it lies, or lost what it knew. */
export interface Contradiction {
  readonly from: string
  readonly what: 'second-leader' | 'committed-entry'
  /** The term of two leaders, or the index of two entries. */
  readonly at: number
}

/** What the driver does, in this order, before the next step; messages leave last. */
export interface RaftOutput {
  hardState: HardState | undefined
  /** Takes the place of the log and of the state machine. */
  snapshot: SnapshotMeta | undefined
  /** To be written; whatever the log has at or after the first of them is cut off before. */
  entries: Entry[]
  /** To be applied, once each, in this order. */
  committed: Entry[]
  reads: ReadAt[]
  /** What members of a group that keeps the rules never send: it was not taken. */
  contradictions: Contradiction[]
  /** Where what was proposed in this step stands; undefined: nothing was taken. */
  proposed: { readonly index: number; readonly term: number } | undefined
  messages: AddressedMessage[]
}

export interface PendingRead {
  readonly id: number
  readonly from: string
  readonly index: number
  readonly round: number
}

export interface RaftState {
  readonly self: string
  readonly settings: RaftSettings
  /** From 0 to 1. */
  readonly random: () => number
  readonly log: RaftLog
  readonly configurations: ConfigurationHistory
  term: number
  votedFor: string | undefined
  commit: number
  /** The last entry that was given out to be applied. */
  emitted: number
  role: RaftRole
  leader: string | undefined
  /** Ticks since a leader was heard, or since quorum was checked last. */
  elapsed: number
  sinceHeartbeat: number
  /** Ticks after which this node stands for election. */
  electionTimeoutTicks: number
  votes: Map<string, boolean>
  progress: Map<string, FollowerProgress>
  /** Who is to lead next, and for how many ticks nothing is proposed for its sake. */
  transfer: { readonly to: string; ticks: number } | undefined
  round: number
  isRoundDue: boolean
  /** Reads that wait for a round, oldest first. */
  reads: PendingRead[]
  /** Reads that came before this term's first entry was committed. */
  earlyReads: { readonly id: number; readonly from: string }[]
  /** First entry that is new in this step. */
  firstNew: number
  out: RaftOutput
}

export const emptyOutput = (): RaftOutput => ({
  hardState: undefined,
  snapshot: undefined,
  entries: [],
  committed: [],
  reads: [],
  contradictions: [],
  proposed: undefined,
  messages: [],
})

export const createState = (
  { self, hardState, configuration, log }: RaftStart,
  settings: RaftSettings,
  random: () => number,
): RaftState => {
  const state: RaftState = {
    self,
    settings,
    random,
    log,
    configurations: new ConfigurationHistory({ index: log.base.index, configuration }, log.from(log.base.index + 1)),
    term: hardState.term,
    votedFor: hardState.votedFor,
    commit: Math.min(log.lastIndex, Math.max(hardState.commit, log.base.index)),
    emitted: log.base.index,
    role: 'follower',
    leader: undefined,
    elapsed: 0,
    sinceHeartbeat: 0,
    electionTimeoutTicks: 0,
    votes: new Map(),
    progress: new Map(),
    transfer: undefined,
    round: 0,
    isRoundDue: false,
    reads: [],
    earlyReads: [],
    firstNew: Number.POSITIVE_INFINITY,
    out: emptyOutput(),
  }
  resetElectionTimeout(state)
  return state
}

export const resetElectionTimeout = (s: RaftState): void => {
  s.elapsed = 0
  s.electionTimeoutTicks = s.settings.electionTicks + Math.floor(s.random() * s.settings.electionTicks)
}

export const send = (s: RaftState, to: string, message: RaftMessage): void => {
  s.out.messages.push({ to, message })
}

export const voters = (s: RaftState): readonly string[] => s.configurations.current.voters
export const isVoter = (s: RaftState): boolean => voters(s).includes(s.self)

/** Adds entries to the own log; the caller has cut off what they replace. */
export const extend = (s: RaftState, entries: readonly Entry[]): void => {
  const [first] = entries
  if (first === undefined) return
  s.log.push(...entries)
  s.configurations.push(entries)
  s.firstNew = Math.min(s.firstNew, first.index)
}

/** Follows `leader` in `term`, or nobody yet. What waited for this node to lead is given back. */
export const follow = (s: RaftState, term: number, leader: string | undefined): void => {
  if (term > s.term) {
    s.term = term
    s.votedFor = undefined
  }
  for (const { id, from } of [...s.earlyReads, ...s.reads]) answerRead(s, from, id, 0)
  s.earlyReads = []
  s.reads = []
  s.role = 'follower'
  s.leader = leader
  s.transfer = undefined
  s.votes = new Map()
  s.progress = new Map()
  resetElectionTimeout(s)
}

export const answerRead = (s: RaftState, from: string, id: number, index: number): void => {
  if (from === s.self) s.out.reads.push({ id, index })
  else send(s, from, { type: 'read-at', term: s.term, id, index })
}
