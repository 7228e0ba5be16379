/**
 * What other members say, on its way into the core: whose messages count.
 *
 * Noise has proven the peer; that it is admitted to the mesh makes it no voter. A message counts from a voter of a
 * configuration that this member has in its log (the one that was committed last, or one after it), that was proven to
 * it by links, or that such a voter names when it stands for election: where only some have a change of voters in their
 * logs, they need the votes of those who do not. Learners count where they answer a leader or read, as far as their term
 * is not above this member's: they never move its term. A term more than 1,000 above what is known needs a proof of its
 * own, so that nobody spends the terms that there are. Whose messages do not count is asked for links, and repeats them by
 * the algorithm.
 *
 * State: when each member was heard last; whom candidates named; what did not count, by reason.
 */

import { ParleyError, stateError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import { raftProtocol } from '../contract.ts'
import { isMemberId, peerOf } from '../member-id.ts'
import type { Raft, RaftInput } from '../raft/raft.ts'
import { decodeRaftPacket } from '../raft/raft-codec.ts'
import type { PlacedConfiguration, RaftMessage } from '../raft/raft-messages.ts'
import type { Contradiction } from '../raft/raft-state.ts'
import type { ProvenVoters, RaftGroupDeps, SenderRejection, SenderRejectionCounts } from './group-api.ts'
import type { Snapshotting } from './snapshotting.ts'

/** Terms that a message may be above what is known. */
export const MAX_TERMS_AHEAD = 1_000
/** Snapshots that are read for others at the same time. */
const MAX_FETCHES = 4
/** One line of the log for contradictions in this time. */
const ALARM_EACH_MS = 10_000
/** Members and those who were members lately, whose last word is remembered. */
const MAX_HEARD = 128

const OF_LEARNERS: readonly RaftMessage['type'][] = ['appended', 'read']

/**
 * @param proven without it nothing is known beyond the own log
 * @param isNamed whether a voter named it as one
 */
export const senderRejection = (
  raft: Pick<Raft, 'roleOf' | 'term'>,
  proven: Pick<ProvenVoters, 'isVoter' | 'term'> | undefined,
  from: string,
  { type, term }: RaftMessage,
  isNamed: (id: string) => boolean = () => false,
): SenderRejection | undefined => {
  const role = raft.roleOf(from)
  const isOfLearners = OF_LEARNERS.includes(type)
  if (role === 'learner' && isOfLearners && term <= raft.term()) return undefined
  const isVoter = role === 'voter' || proven?.isVoter(from) === true || isNamed(from)
  if (!isVoter && !(role === 'learner' && isOfLearners)) return isOfLearners ? 'notAMember' : 'notAVoter'
  if (!isVoter && term > raft.term()) return 'termOfALearner'
  const isFar = (from: number): boolean => term > from + MAX_TERMS_AHEAD
  return isFar(raft.term()) && isFar(proven?.term() ?? 0) ? 'termTooHigh' : undefined
}

export interface RaftServerDeps {
  readonly port: Pick<Port, 'clock' | 'log' | 'serve'>
  readonly group: string
  /** This member's id. */
  readonly self: string
  readonly raft: Pick<Raft, 'roleOf' | 'term' | 'status'>
  readonly snapshots: Pick<Snapshotting, 'receive' | 'read'>
  readonly proven: RaftGroupDeps['proven']
  /** @returns whether the core will see it */
  enqueue(input: RaftInput): boolean
}

export interface RaftServer {
  /** Milliseconds since a member was heard; undefined: not since this one started. */
  silentMs(id: string): number | undefined
  /** What the core found that cannot be true. */
  reportContradictions(all: readonly Contradiction[]): void
  counts(): RaftServerCounts
  /** Nobody is heard any more. */
  close(): Promise<void>
}

export interface RaftServerCounts extends SenderRejectionCounts {
  /** Messages for another group or store, and those that somebody sent in another one's name. */
  readonly misdirected: number
  /** Messages from voters that contradict what is known: they were not taken. */
  readonly contradictions: number
}

const noRejections = (): Record<SenderRejection, number> => ({
  notAVoter: 0,
  notAMember: 0,
  termOfALearner: 0,
  termTooHigh: 0,
})

/**
 * Whom voters name. State: what each voter went by when it stood for election, until this member has as much in its own log,
 * or the one who said so votes no more.
 */
const createNamed = (raft: RaftServerDeps['raft'], proven: RaftServerDeps['proven']) => {
  const placedBy = new Map<string, PlacedConfiguration>()
  const isVoter = (id: string): boolean => raft.roleOf(id) === 'voter' || proven?.isVoter(id) === true
  return {
    has(id: string): boolean {
      if (placedBy.size === 0) return false
      const { commit } = raft.status()
      for (const [by, { index }] of placedBy) if (index <= commit || !isVoter(by)) placedBy.delete(by)
      return [...placedBy.values()].some(({ configuration }) => configuration.voters.includes(id))
    },
    /** The word of a voter counts, not of one that is only named. */
    hear(from: string, message: RaftMessage): void {
      if (message.type !== 'vote') return
      const { placed } = message
      if (placed === undefined || senderRejection(raft, proven, from, message) !== undefined) placedBy.delete(from)
      else if (placedBy.has(from) || placedBy.size < MAX_HEARD) placedBy.set(from, placed)
    },
  }
}

/** Resolves once members are heard. */
export const serveRaft = async (deps: RaftServerDeps): Promise<RaftServer> => {
  const { port, group, self, raft, snapshots, proven, enqueue } = deps
  /** When each member was heard last, by the monotonic clock. */
  const lastHeardAt = new Map<string, number>()
  const named = createNamed(raft, proven)
  const rejected = noRejections()
  let misdirected = 0
  let contradictions = 0
  let alarmedAt = Number.NEGATIVE_INFINITY
  let fetches = 0

  const hear = (from: string): void => {
    lastHeardAt.set(from, port.clock.monotonic())
    if (lastHeardAt.size <= MAX_HEARD) return
    for (const id of lastHeardAt.keys()) if (raft.roleOf(id) === undefined) lastHeardAt.delete(id)
  }

  /** @returns whether it counts */
  const mayCount = (from: string, message: RaftMessage): boolean => {
    const rejection = senderRejection(raft, proven, from, message, named.has)
    named.hear(from, message)
    if (rejection === undefined) return true
    rejected[rejection] += 1
    if (rejection !== 'termOfALearner') proven?.requestProof(from, rejection === 'termTooHigh' ? 'term' : 'voter')
    return proven?.isEnforced() !== true
  }

  const isMemberPeer = (peer: string): boolean => {
    const { voters, learners } = raft.status().configuration
    return [...voters, ...learners].some((id) => peerOf(id) === peer)
  }

  const unserve = await port.serve(raftProtocol, {
    async step(bytes, { peer }) {
      const { group: addressed, from, to, message } = decodeRaftPacket(bytes)
      // Who speaks for a member is its peer, and to the store that is here now, not to one that was lost.
      if (addressed !== group || to !== self || peerOf(from) !== peer) misdirected += 1
      else if (mayCount(from, message)) {
        hear(from)
        if (message.type === 'snapshot') void snapshots.receive(from, message)
        else enqueue({ type: 'message', from, message })
      }
    },
    async *fetch({ group: named, index, term }, { peer }) {
      if (named !== group)
        throw stateError('other-group', `this node is no member of the group ${named}`, 'ask a member of that group')
      if (!isMemberPeer(peer))
        throw stateError('not-seated', 'snapshots are for members of the group', 'offer a seat first')
      if (fetches >= MAX_FETCHES)
        throw new ParleyError('COM003', `${MAX_FETCHES} snapshots are being read already`, {
          hint: 'ask again a second later',
          details: { retryAfterMs: 1_000 },
        })
      fetches += 1
      try {
        yield* snapshots.read({ index, term })
      } finally {
        fetches -= 1
      }
    },
    async missed({ group: named, from }, { peer }) {
      if (named === group && isMemberId(from) && peerOf(from) === peer) enqueue({ type: 'snapshot-failed', to: from })
      else misdirected += 1
    },
  })
  let isServed = true

  return {
    silentMs(id) {
      const at = id === self ? port.clock.monotonic() : lastHeardAt.get(id)
      return at === undefined ? undefined : port.clock.monotonic() - at
    },
    reportContradictions(all) {
      const [first] = all
      if (first === undefined) return
      contradictions += all.length
      const now = port.clock.monotonic()
      if (now - alarmedAt < ALARM_EACH_MS) return
      alarmedAt = now
      port.log.error('a voter contradicts what is decided; it is not believed', { ...first, contradictions })
    },
    counts: () => ({ misdirected, contradictions, ...rejected }),
    async close() {
      if (!isServed) return
      isServed = false
      await unserve()
    },
  }
}
