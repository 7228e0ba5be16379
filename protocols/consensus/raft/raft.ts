/**
 * The Raft core: a machine without a clock, a disk or a network.
 *
 * A step takes what happened and says what is to be done. Contract of the driver: it does what an output asks for, in
 * the order of `Output`, before the next step. Messages leave last, so a leader may count its own copy of an entry at
 * once: nobody hears of it before it is on the disk, and if the process dies before, nobody ever does.
 *
 * Guarantees, by that contract (dissertation, figure 3.2): one leader a term; logs that agree at an index agree up to
 * it; what was committed is in every later leader's log; nobody applies another entry at the same index.
 *
 * Leader election with PreVote (section 9.6) and CheckQuorum (6.2), pipelined replication with hints on conflict (10.2),
 * ReadIndex (6.4; reads may go unanswered: ask again after a while), leadership transfer (3.10), snapshots (5.1), learners and changes of one voter at a time (4.1, 4.2).
 */
import { countVoterChanges } from './configuration-history.ts'
import { campaign, onVote, onVoted, shortenElectionTimeout } from './election.ts'
import { type Configuration, encodeConfiguration, type RaftMessage } from './raft-messages.ts'
import {
  createState,
  emptyOutput,
  follow,
  isVoter,
  RAFT_DEFAULTS,
  type RaftOutput,
  type RaftSettings,
  type RaftStart,
  type RaftState,
  send,
} from './raft-state.ts'
import {
  addRead,
  append,
  hasQuorum,
  heartbeat,
  onAppend,
  onAppended,
  onSnapshot,
  sendTimeoutNowIfCaughtUp,
  startRound,
} from './replication.ts'

export type { RaftOutput, RaftSettings, RaftStart } from './raft-state.ts'

export type RaftInput =
  | { readonly type: 'tick' }
  | { readonly type: 'message'; readonly from: string; readonly message: RaftMessage }
  /** Commands; taken by a leader that is not handing over, see `proposed`. */
  | { readonly type: 'propose'; readonly commands: readonly Uint8Array[] }
  /** Another configuration, of at most one other voter; taken by a leader without a pending one, see `proposed`. */
  | { readonly type: 'change'; readonly configuration: Configuration }
  /** Ask from which index on a read is up to date; anyone may. The answer is in `reads`. */
  | { readonly type: 'read'; readonly id: number }
  /** Hand over to this voter, or to the one that is furthest. */
  | { readonly type: 'transfer'; readonly to?: string }
  | { readonly type: 'campaign' }
  /** The connection with this member is gone: if it leads, it probably died. */
  | { readonly type: 'lost'; readonly member: string }
  /** The snapshot for this peer did not arrive. */
  | { readonly type: 'snapshot-failed'; readonly to: string }

export interface RaftStatus {
  readonly term: number
  readonly role: RaftState['role']
  readonly leader: string | undefined
  readonly commit: number
  /** Of the entry that was committed last: a leader knows all that is committed once it is its own. */
  readonly commitTerm: number
  readonly lastIndex: number
  readonly lastTerm: number
  readonly baseIndex: number
  readonly configuration: Configuration
  /** Where it stands in the log: pending until that is committed. */
  readonly configurationIndex: number
}

export interface Raft {
  step(...inputs: readonly RaftInput[]): RaftOutput
  /** Forgets entries up to `index`, which a snapshot holds and the state machine has applied. */
  compact(index: number): void
  /** The term of an entry that is still here, or where the snapshot ends. */
  termAt(index: number): number | undefined
  configurationAt(index: number): Configuration
  /** What a member is by the configuration that was committed last, or by one after it. */
  roleOf(id: string): 'voter' | 'learner' | undefined
  term(): number
  status(): RaftStatus
  /** Of a leader: how far this member is, as far as is known. */
  matchOf(id: string): number
}

const tick = (s: RaftState): void => {
  s.elapsed += 1
  if (s.role !== 'leader') {
    if (s.elapsed >= s.electionTimeoutTicks) campaign(s, true)
    return
  }
  if (s.transfer !== undefined) {
    s.transfer.ticks += 1
    if (s.transfer.ticks >= s.settings.electionTicks) s.transfer = undefined
  }
  s.sinceHeartbeat += 1
  if (s.elapsed >= s.settings.electionTicks) {
    s.elapsed = 0
    if (!hasQuorum(s)) {
      follow(s, s.term, undefined)
      return
    }
  }
  if (s.sinceHeartbeat >= s.settings.heartbeatTicks) heartbeat(s)
}

const isOfLeader = ({ type }: RaftMessage): boolean => type === 'append' || type === 'snapshot'

/** An older term gets no hearing; who thinks that it leads is told, so that it steps down. */
const onOld = (s: RaftState, from: string, m: RaftMessage): void => {
  if (m.type === 'vote') send(s, from, { type: 'voted', term: s.term, isPre: m.isPre, granted: false })
  else if (isOfLeader(m)) {
    const index = m.type === 'append' ? m.previousIndex : 0
    const answer = { type: 'appended', term: s.term, accepted: false, hintIndex: 0, hintTerm: 0, round: 0 } as const
    send(s, from, { ...answer, index })
  } else if (m.type === 'read') send(s, from, { type: 'read-at', term: s.term, id: m.id, index: 0 })
}

const receive = (s: RaftState, from: string, m: RaftMessage): void => {
  if (m.term < s.term) {
    onOld(s, from, m)
    return
  }
  // Whether a request for a vote counts is decided there; a vote that would be given is of a term to come.
  const isOfTermToCome = m.type === 'vote' || (m.type === 'voted' && m.isPre && m.granted)
  if (m.term > s.term && !isOfTermToCome) follow(s, m.term, isOfLeader(m) ? from : undefined)
  switch (m.type) {
    case 'vote':
      onVote(s, from, m)
      return
    case 'voted':
      onVoted(s, from, m)
      return
    case 'append':
      onAppend(s, from, m)
      return
    case 'appended':
      onAppended(s, from, m)
      return
    case 'snapshot':
      onSnapshot(s, from, m)
      return
    case 'timeout-now':
      if (s.role === 'follower') campaign(s, false, true)
      return
    case 'read':
      if (s.role === 'leader') addRead(s, from, m.id)
      else send(s, from, { type: 'read-at', term: s.term, id: m.id, index: 0 })
      return
    case 'read-at':
      s.out.reads.push({ id: m.id, index: m.index })
  }
}

/** Section 4.1, and the rule that was added to it later: not before an entry of this term is committed. */
const mayChange = (s: RaftState, configuration: Configuration): boolean =>
  s.configurations.index <= s.commit &&
  s.log.termAt(s.commit) === s.term &&
  configuration.voters.length > 0 &&
  configuration.voters.every((id) => !configuration.learners.includes(id)) &&
  countVoterChanges(s.configurations.current, configuration) <= 1

const propose = (s: RaftState, parts: Parameters<typeof append>[1]): void => {
  append(s, parts)
  s.out.proposed = { index: s.log.lastIndex, term: s.term }
}

const transfer = (s: RaftState, wanted: string | undefined): void => {
  if (s.role !== 'leader') return
  const others = s.configurations.current.voters.filter((id) => id !== s.self)
  const matchOf = (id: string): number => s.progress.get(id)?.match ?? 0
  const to = wanted ?? others.reduce<string | undefined>((a, b) => (a && matchOf(a) >= matchOf(b) ? a : b), undefined)
  if (to === undefined || !others.includes(to)) return
  s.transfer = { to, ticks: 0 }
  sendTimeoutNowIfCaughtUp(s)
}

const handle = (s: RaftState, input: RaftInput): void => {
  const takesProposals = s.role === 'leader' && s.transfer === undefined
  switch (input.type) {
    case 'tick':
      tick(s)
      return
    case 'message':
      receive(s, input.from, input.message)
      return
    case 'propose':
      if (takesProposals && input.commands.length > 0)
        propose(
          s,
          input.commands.map((data) => ({ kind: 'command', data })),
        )
      return
    case 'change':
      if (takesProposals && mayChange(s, input.configuration))
        propose(s, [{ kind: 'configuration', data: encodeConfiguration(input.configuration) }])
      return
    case 'read':
      if (s.role === 'leader') addRead(s, s.self, input.id)
      else if (s.leader === undefined) s.out.reads.push({ id: input.id, index: 0 })
      else send(s, s.leader, { type: 'read', term: s.term, id: input.id })
      return
    case 'transfer':
      transfer(s, input.to)
      return
    case 'campaign':
      if (s.role !== 'leader' && isVoter(s)) campaign(s, true)
      return
    case 'lost':
      shortenElectionTimeout(s, input.member)
      return
    case 'snapshot-failed': {
      const progress = s.progress.get(input.to)
      if (progress?.state === 'snapshot') progress.startProbe()
    }
  }
}

/** @param random from 0 to 1: spreads the elections of several nodes */
export const createRaft = (start: RaftStart, random: () => number, settings: Partial<RaftSettings> = {}): Raft => {
  const s = createState(start, { ...RAFT_DEFAULTS, ...settings }, random)
  let kept = { term: s.term, votedFor: s.votedFor }

  return {
    step(...inputs) {
      s.out = emptyOutput()
      s.firstNew = Number.POSITIVE_INFINITY
      for (const input of inputs) handle(s, input)
      startRound(s)
      const { out } = s
      if (kept.term !== s.term || kept.votedFor !== s.votedFor) {
        kept = { term: s.term, votedFor: s.votedFor }
        out.hardState = { ...kept, commit: s.commit }
      }
      if (s.firstNew <= s.log.lastIndex) out.entries = s.log.from(s.firstNew)
      out.committed = s.log.from(s.emitted + 1, s.commit - s.emitted)
      s.emitted = s.commit
      return out
    },
    compact(index) {
      const to = Math.min(index, s.emitted)
      if (to <= s.log.base.index) return
      s.configurations.compact(to)
      s.log.compact(to)
    },
    termAt: (index) => s.log.termAt(index),
    configurationAt: (index) => s.configurations.at(index),
    roleOf: (id) => s.configurations.roleSince(s.commit, id),
    term: () => s.term,
    status: () => ({
      term: s.term,
      role: s.role,
      leader: s.leader,
      commit: s.commit,
      commitTerm: s.log.termAt(s.commit) ?? 0,
      lastIndex: s.log.lastIndex,
      lastTerm: s.log.lastTerm,
      baseIndex: s.log.base.index,
      configuration: s.configurations.current,
      configurationIndex: s.configurations.index,
    }),
    matchOf: (id) => s.progress.get(id)?.match ?? 0,
  }
}
