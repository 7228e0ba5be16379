/** Who coordinates, as one node sees it: a member by its own Raft, any other node by what it heard. */
import { LEADERLESS_MS, liveLeaderOf } from '../consensus/group/live-leader.ts'
import { peerOf } from '../consensus/member-id.ts'
import { isMember } from '../consensus/raft/configuration-history.ts'
import type { JournalMember } from '../journal/journal-server.ts'
import type { LeaderTracker } from './leader-tracker.ts'

export interface CoordinatorStatus {
  readonly meshId: string | undefined
  readonly epoch: number
  /** Peer id. */
  readonly leader: string | undefined
  /** This node coordinates, and acts. */
  readonly acting: boolean
  readonly role: 'voter' | 'learner' | 'none'
  /** This node does not want to vote: it has withdrawn, or is about to. */
  readonly withdrawn: boolean
  /** Member ids; of a node that is no member the peers that it heard of. */
  readonly voters: readonly string[]
  readonly learners: readonly string[]
  /** Whether decisions can be made, as far as this node knows. */
  readonly quorum: boolean
  readonly version: number
}

export interface StatusFacts {
  /** Peer id of this node. */
  readonly self: string
  readonly meshId: string | undefined
  readonly member: JournalMember | undefined
  readonly leaderTracker: Pick<LeaderTracker, 'latest' | 'leader'>
  readonly acting: boolean
  readonly withdrawn: boolean
  /** Milliseconds since this node's own member followed a leader or led. */
  readonly leaderlessMs: number
}

/** Who is put out hears nothing of that from its group; without a leader of its own it believes the coordinator. */
const isMemberStill = ({ group }: JournalMember, self: string, heard: ReturnType<LeaderTracker['latest']>): boolean => {
  const { configuration } = group.status()
  if (!isMember(configuration, group.self)) return false
  return liveLeaderOf(group) !== undefined || !heard.isPresent || heard.seats.includes(self)
}

export const coordinatorStatus = (facts: StatusFacts): CoordinatorStatus => {
  const { self, meshId, member, leaderTracker, acting, withdrawn, leaderlessMs } = facts
  const heard = leaderTracker.latest()
  if (member === undefined || !isMemberStill(member, self, heard)) {
    const { epoch, version, seats: voters, isPresent } = heard
    return {
      meshId,
      epoch,
      leader: leaderTracker.leader()?.peer,
      acting: false,
      role: 'none',
      withdrawn,
      voters,
      learners: [],
      quorum: isPresent,
      version,
    }
  }
  const { term, configuration } = member.group.status()
  const leader = liveLeaderOf(member.group)
  return {
    meshId,
    epoch: term,
    leader: leader === undefined ? undefined : peerOf(leader),
    acting,
    role: configuration.voters.includes(member.group.self) ? 'voter' : 'learner',
    withdrawn,
    ...configuration,
    quorum: leader !== undefined || leaderlessMs < LEADERLESS_MS,
    version: member.machine.version(),
  }
}
