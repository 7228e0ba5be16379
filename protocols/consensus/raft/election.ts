/** Who leads (dissertation, sections 3.4, 3.6.1, 4.2.3, 9.6). */

import { countVotes } from './quorum.ts'
import type { RaftMessage } from './raft-messages.ts'
import { follow, isVoter, type RaftState, resetElectionTimeout, send, voters } from './raft-state.ts'
import { append, EMPTY_ENTRY, trackMembers } from './replication.ts'

type Of<T extends RaftMessage['type']> = Extract<RaftMessage, { type: T }>

const lead = (s: RaftState): void => {
  s.role = 'leader'
  s.leader = s.self
  s.elapsed = 0
  s.sinceHeartbeat = 0
  s.transfer = undefined
  s.progress = new Map()
  trackMembers(s)
  append(s, [EMPTY_ENTRY])
}

/**
 * Stands for election; asks first whether it would win, so that a node that was cut off does not push terms up.
 * @param isTransfer the leader asked for it
 */
export const campaign = (s: RaftState, isPre: boolean, isTransfer: boolean = false): void => {
  if (!isVoter(s)) return
  s.leader = undefined
  s.role = isPre ? 'pre-candidate' : 'candidate'
  if (!isPre) {
    s.term += 1
    s.votedFor = s.self
  }
  resetElectionTimeout(s)
  s.votes = new Map([[s.self, true]])
  const { lastIndex, lastTerm } = s.log
  const term = isPre ? s.term + 1 : s.term
  const { index, current } = s.configurations
  const placed = { index, configuration: current }
  for (const id of voters(s)) {
    if (id !== s.self) send(s, id, { type: 'vote', term, isPre, lastIndex, lastTerm, isTransfer, placed })
  }
  count(s)
}

/** Ticks between the elections of two voters that lost the same leader. */
const RANK_TICKS = 2

/**
 * A follower that lost its connection with the leader does not wait for the whole timeout, and lets the others vote for
 * somebody else; one after the other, by their place among the voters, so that they do not stand against each other. Who
 * lost it alone is not elected: the others still hear the leader, and answer no request for a vote (section 4.2.3).
 */
export const shortenElectionTimeout = (s: RaftState, member: string): void => {
  if (s.role !== 'follower' || s.leader !== member || !isVoter(s)) return
  const rank = voters(s)
    .filter((id) => id !== member)
    .indexOf(s.self)
  s.leader = undefined
  s.electionTimeoutTicks = Math.min(s.electionTimeoutTicks, s.elapsed + 1 + RANK_TICKS * rank)
}

const count = (s: RaftState): void => {
  const result = countVotes(voters(s), s.votes)
  if (result === 'lost') follow(s, s.term, undefined)
  if (result !== 'won') return
  if (s.role === 'pre-candidate') campaign(s, false)
  else lead(s)
}

/** It heard of a leader lately, or is one that a majority answers: others may not vote it out of office (section 4.2.3). */
const isLed = (s: RaftState): boolean => s.leader !== undefined && s.elapsed < s.settings.electionTicks

export const onVote = (s: RaftState, from: string, m: Of<'vote'>): void => {
  if (m.term > s.term) {
    if (!m.isTransfer && isLed(s)) return
    if (!m.isPre) follow(s, m.term, undefined)
  }
  const isUpToDate = s.log.isUpToDate(m.lastIndex, m.lastTerm)
  if (m.isPre) {
    const granted = m.term > s.term && isUpToDate
    send(s, from, { type: 'voted', term: granted ? m.term : s.term, isPre: true, granted })
    return
  }
  const isFree = s.votedFor === from || (s.votedFor === undefined && s.leader === undefined)
  const granted = m.term === s.term && isFree && isUpToDate
  if (granted) {
    s.votedFor = from
    s.elapsed = 0
  }
  send(s, from, { type: 'voted', term: s.term, isPre: false, granted })
}

export const onVoted = (s: RaftState, from: string, m: Of<'voted'>): void => {
  const isAsked = m.isPre ? s.role === 'pre-candidate' : s.role === 'candidate'
  const isOfNow = m.isPre && m.granted ? m.term === s.term + 1 : m.term === s.term
  if (!isAsked || !isOfNow) return
  // The first answer counts.
  if (!s.votes.has(from)) s.votes.set(from, m.granted)
  count(s)
}
