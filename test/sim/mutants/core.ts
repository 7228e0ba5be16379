/** Deliberate bugs of the core, and of the simulated members that carry out what it asks for. */
import type { Mutant } from './mutant.ts'

const CORE = 'protocols/consensus'
const SIM = 'test/sim/raft'

export const CORE_MUTANTS: readonly Mutant[] = [
  {
    bug: 'the vote is not persisted',
    scenario: 'elections',
    file: `${CORE}/raft/raft.ts`,
    find: 'out.hardState = { ...kept, commit: s.commit }',
    replace: 'out.hardState = { term: s.term, votedFor: undefined, commit: s.commit }',
  },
  {
    bug: 'the term is not persisted',
    file: `${CORE}/raft/raft.ts`,
    find: 'out.hardState = { ...kept, commit: s.commit }',
    replace: 'out.hardState = undefined',
  },
  {
    bug: 'an old term is committed by count',
    scenario: 'disks',
    file: `${CORE}/raft/replication.ts`,
    find: 'if (reached <= s.commit || s.log.termAt(reached) !== s.term) return',
    replace: 'if (reached <= s.commit) return',
  },
  {
    bug: 'acknowledged before it is on the disk',
    file: `${SIM}/member.ts`,
    find: 'for (const entry of entries) {\n      this.#write(budget)\n      disk.entries.push(entry)',
    replace: 'for (const entry of entries) {\n      if (this.#random() < 0.02) break\n      disk.entries.push(entry)',
  },
  {
    bug: 'a vote for a shorter log',
    file: `${CORE}/raft/election.ts`,
    find: 'const isUpToDate = s.log.isUpToDate(m.lastIndex, m.lastTerm)',
    replace: 'const isUpToDate = true',
  },
  {
    bug: 'two votes in one term',
    file: `${CORE}/raft/election.ts`,
    find: 'const isFree = s.votedFor === from || (s.votedFor === undefined && s.leader === undefined)',
    replace: 'const isFree = true',
  },
  {
    bug: 'half of the voters are a majority',
    scenario: 'churn',
    file: `${CORE}/raft/quorum.ts`,
    find: 'Math.floor(voters / 2) + 1',
    replace: 'Math.ceil(voters / 2)',
  },
  {
    bug: 'entries are taken without looking at what is before them',
    file: `${CORE}/raft/replication.ts`,
    find: 'if (s.log.termAt(m.previousIndex) !== m.previousTerm) {',
    replace: 'if (m.previousIndex > s.log.lastIndex) {',
  },
  {
    bug: 'a follower commits what the leader has, not what it has itself',
    file: `${CORE}/raft/replication.ts`,
    find: 's.commit = Math.max(s.commit, Math.min(m.commit, last))',
    replace: 's.commit = Math.max(s.commit, Math.min(m.commit, s.log.lastIndex))',
  },
  {
    bug: 'a leader answers reads without asking anybody',
    scenario: 'partitions',
    file: `${CORE}/raft/replication.ts`,
    find: 's.reads.push({ id, from, index: s.commit, round: s.round + 1 })',
    replace: 'answerRead(s, from, id, s.commit)',
  },
  {
    bug: 'a new leader answers reads before it knows what is committed',
    file: `${CORE}/raft/replication.ts`,
    find: 'else if (!knowsCommit(s)) s.earlyReads.push({ id, from })',
    replace: 'else if (s.commit < 0 && !knowsCommit(s)) s.earlyReads.push({ id, from })',
  },
  {
    bug: 'two changes of the voters at once',
    scenario: 'churn',
    file: `${CORE}/raft/raft.ts`,
    find: '  s.configurations.index <= s.commit &&\n',
    replace: '',
  },
  {
    bug: 'learners vote',
    file: `${CORE}/raft/raft-state.ts`,
    find: '=> s.configurations.current.voters\n',
    replace: '=> [...s.configurations.current.voters, ...s.configurations.current.learners]\n',
  },
  {
    bug: 'the sessions are left out of the snapshot',
    file: `${SIM}/machine.ts`,
    find: 'sessions: new Map(sessions),',
    replace: 'sessions: new Map(),',
  },
  {
    bug: 'configurations that were cut off still count',
    file: `${CORE}/raft/replication.ts`,
    find: '    s.configurations.truncate(conflict.index)\n',
    replace: '',
  },
  {
    bug: 'a refusal counts as a copy',
    file: `${CORE}/raft/replication.ts`,
    find: '  if (!m.accepted) {',
    replace: '  if (!m.accepted && m.index > s.log.lastIndex) {',
  },
  {
    bug: 'a snapshot leaves the old log in place',
    scenario: 'churn',
    file: `${CORE}/raft/raft-log.ts`,
    find: '    this.#base = base\n    this.#entries = []',
    replace: '    this.#entries = this.#entries.slice(base.index - this.#base.index)\n    this.#base = base',
  },
  {
    bug: 'a session is not looked up: a command tried twice has two effects',
    file: `${SIM}/machine.ts`,
    find: '  if ((machine.sessions.get(session) ?? 0) >= serial) return false\n',
    replace: '',
  },
]
