/** A leader's log on its way to the others (dissertation, sections 3.5, 3.6.2, 5.1 to 5.3, 6.4, 10.2). */
import { isMember } from './configuration-history.ts'
import { FollowerProgress } from './follower-progress.ts'
import { majority, reachedByMajority } from './quorum.ts'
import { EMPTY_DATA, type Entry, type RaftMessage } from './raft-messages.ts'
import { answerRead, extend, follow, type RaftState, send, voters } from './raft-state.ts'

type Of<T extends RaftMessage['type']> = Extract<RaftMessage, { type: T }>

/** @param always also when there is nothing new: a heartbeat, or a new commit index */
export const sendAppend = (s: RaftState, to: string, always: boolean): void => {
  const progress = s.progress.get(to)
  if (progress === undefined) return
  const isPaused = progress.isPaused
  if (isPaused && !always) return
  const at = progress.state === 'snapshot' ? 0 : progress.next - 1
  const previousTerm = at === 0 ? 0 : s.log.termAt(at)
  const isGone = previousTerm === undefined || (progress.state !== 'snapshot' && progress.next <= s.log.base.index)
  if (isGone) {
    const { index, term } = s.log.base
    progress.startSnapshot(index)
    const meta = { index, term, configuration: s.configurations.at(index) }
    send(s, to, { type: 'snapshot', term: s.term, meta })
    return
  }
  const entries = isPaused ? [] : s.log.from(progress.next, s.settings.maxEntries, s.settings.maxBytes)
  const last = entries.at(-1)
  if (last === undefined && !always) return
  if (last !== undefined) progress.onSent(last.index)
  const { term, commit, round } = s
  send(s, to, { type: 'append', term, previousIndex: at, previousTerm, entries, commit, round })
}

export const broadcast = (s: RaftState, always: boolean): void => {
  for (const id of s.progress.keys()) sendAppend(s, id, always)
}

/** A heartbeat repeats a probe that may be lost. */
export const heartbeat = (s: RaftState): void => {
  s.sinceHeartbeat = 0
  for (const progress of s.progress.values()) progress.onHeartbeat()
  broadcast(s, true)
}

/** Follows members: new ones are sent the log, those that are gone are not any more. */
export const trackMembers = (s: RaftState): void => {
  const members = s.configurations.current
  for (const id of s.progress.keys()) if (!isMember(members, id)) s.progress.delete(id)
  for (const id of [...members.voters, ...members.learners]) {
    if (id !== s.self && !s.progress.has(id)) s.progress.set(id, new FollowerProgress(s.log.lastIndex + 1))
  }
}

/** Puts entries into a leader's log, and sends them. */
export const append = (s: RaftState, parts: readonly Pick<Entry, 'kind' | 'data'>[]): void => {
  const first = s.log.lastIndex + 1
  extend(
    s,
    parts.map(({ kind, data }, i) => ({ index: first + i, term: s.term, kind, data })),
  )
  trackMembers(s)
  broadcast(s, false)
  // A voter that is alone is a majority.
  advanceCommit(s)
}

/** An entry of the own term is committed: only then does the leader know all that is (section 6.4). */
const knowsCommit = (s: RaftState): boolean => s.log.termAt(s.commit) === s.term

/** Entries of the own term count as committed once a majority has them, older ones with them (section 3.6.2). */
export const advanceCommit = (s: RaftState): void => {
  if (s.role !== 'leader') return
  const reached = reachedByMajority(voters(s), (id) =>
    id === s.self ? s.log.lastIndex : (s.progress.get(id)?.match ?? 0),
  )
  if (reached <= s.commit || s.log.termAt(reached) !== s.term) return
  s.commit = reached
  if (s.earlyReads.length > 0) for (const { id, from } of s.earlyReads.splice(0)) addRead(s, from, id)
  broadcast(s, true)
  // Section 4.2.2: a leader that is no voter any more leads until that is committed.
  if (s.configurations.index <= s.commit && !voters(s).includes(s.self)) follow(s, s.term, undefined)
}

/** @returns whether this node is still led by a majority that answers (CheckQuorum, section 6.2) */
export const hasQuorum = (s: RaftState): boolean => {
  const active = voters(s).filter((id) => id === s.self || s.progress.get(id)?.isActive === true)
  for (const progress of s.progress.values()) progress.isActive = false
  return active.length >= majority(voters(s).length)
}

export const onAppended = (s: RaftState, from: string, m: Of<'appended'>): void => {
  const progress = s.progress.get(from)
  if (s.role !== 'leader' || progress === undefined) return
  progress.isActive = true
  progress.round = Math.max(progress.round, m.round)
  if (!m.accepted) {
    const next = s.log.lastAtMost(m.hintIndex, m.hintTerm) + 1
    if (progress.onRefused(m.index, next)) sendAppend(s, from, true)
  } else {
    const wasPaused = progress.isPaused
    const isNews = progress.onAccepted(Math.min(m.index, s.log.lastIndex))
    if (isNews) advanceCommit(s)
    if (isNews || wasPaused) sendAppend(s, from, false)
    sendTimeoutNowIfCaughtUp(s)
  }
  serveReads(s)
}

/** Tells the next leader to stand for election once it has everything (section 3.10). */
export const sendTimeoutNowIfCaughtUp = (s: RaftState): void => {
  const to = s.transfer?.to
  if (s.role !== 'leader' || to === undefined) return
  if (s.progress.get(to)?.match === s.log.lastIndex) send(s, to, { type: 'timeout-now', term: s.term })
  else sendAppend(s, to, false)
}

/** Whoever sent an entry of this term leads it. @returns false where somebody else does */
const accept = (s: RaftState, from: string): boolean => {
  if (s.role === 'leader' || (s.leader !== undefined && s.leader !== from)) {
    s.out.contradictions.push({ from, what: 'second-leader', at: s.term })
    return false
  }
  if (s.role !== 'follower') follow(s, s.term, from)
  s.leader = from
  s.elapsed = 0
  return true
}

export const onAppend = (s: RaftState, from: string, m: Of<'append'>): void => {
  if (!accept(s, from)) return
  const answer = { type: 'appended', term: s.term, hintIndex: 0, hintTerm: 0, round: m.round } as const
  // What a snapshot holds is committed, so the leader has the same.
  if (m.previousIndex < s.log.base.index) {
    send(s, from, { ...answer, index: s.commit, accepted: true })
    return
  }
  if (s.log.termAt(m.previousIndex) !== m.previousTerm) {
    const hintIndex = s.log.lastAtMost(m.previousIndex, m.previousTerm)
    const hintTerm = s.log.termAt(hintIndex) ?? 0
    send(s, from, { ...answer, index: m.previousIndex, accepted: false, hintIndex, hintTerm })
    return
  }
  const first = m.entries.findIndex(({ index, term }) => s.log.termAt(index) !== term)
  const fresh = first < 0 ? [] : m.entries.slice(first)
  const [conflict] = fresh
  if (conflict !== undefined) {
    if (conflict.index <= s.commit) {
      s.out.contradictions.push({ from, what: 'committed-entry', at: conflict.index })
      return
    }
    s.log.truncate(conflict.index)
    s.configurations.truncate(conflict.index)
    extend(s, fresh)
  }
  const last = m.previousIndex + m.entries.length
  s.commit = Math.max(s.commit, Math.min(m.commit, last))
  send(s, from, { ...answer, index: last, accepted: true })
}

export const onSnapshot = (s: RaftState, from: string, { meta }: Of<'snapshot'>): void => {
  if (!accept(s, from)) return
  if (meta.index > s.commit) {
    if (s.log.termAt(meta.index) === meta.term) s.commit = meta.index
    else {
      s.log.restore(meta)
      s.configurations.restore(meta)
      s.commit = meta.index
      s.emitted = meta.index
      s.firstNew = Number.POSITIVE_INFINITY
      s.out.snapshot = meta
    }
  }
  const answer = { type: 'appended', term: s.term, hintIndex: 0, hintTerm: 0, round: 0 } as const
  send(s, from, { ...answer, index: s.commit, accepted: true })
}

/** A read may be answered from what is committed now, once a majority has shown that nobody else leads (section 6.4). */
export const addRead = (s: RaftState, from: string, id: number): void => {
  if (s.earlyReads.length + s.reads.length >= s.settings.maxReads) answerRead(s, from, id, 0)
  else if (!knowsCommit(s)) s.earlyReads.push({ id, from })
  else {
    s.reads.push({ id, from, index: s.commit, round: s.round + 1 })
    s.isRoundDue = true
  }
}

/** One round for all reads of a step. */
export const startRound = (s: RaftState): void => {
  if (!s.isRoundDue) return
  s.isRoundDue = false
  if (s.role !== 'leader') return
  s.round += 1
  broadcast(s, true)
  serveReads(s)
}

const serveReads = (s: RaftState): void => {
  if (s.reads.length === 0) return
  const round = reachedByMajority(voters(s), (id) => (id === s.self ? s.round : (s.progress.get(id)?.round ?? 0)))
  while (s.reads[0] !== undefined && s.reads[0].round <= round) {
    const reading = s.reads.shift()
    if (reading) answerRead(s, reading.from, reading.id, reading.index)
  }
}

export const EMPTY_ENTRY = { kind: 'empty', data: EMPTY_DATA } as const
