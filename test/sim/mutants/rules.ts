/** Deliberate bugs that lose nothing but time, or need a rare moment: found by the scripts, which show each rule. */
import type { Mutant } from './mutant.ts'

const CORE = 'protocols/consensus'

const FOUND_BY_SCRIPTS: readonly Mutant[] = [
  {
    bug: 'no PreVote: who is cut off pushes terms up',
    file: `${CORE}/raft/raft.ts`,
    find: 'if (s.elapsed >= s.electionTimeoutTicks) campaign(s, true)',
    replace: 'if (s.elapsed >= s.electionTimeoutTicks) campaign(s, false)',
  },
  {
    bug: 'no CheckQuorum: a leader that nobody hears stays',
    file: `${CORE}/raft/raft.ts`,
    find: 'if (!hasQuorum(s)) {',
    replace: 'if (!hasQuorum(s) && s.commit < 0) {',
  },
  {
    bug: 'votes for others while a leader is heard',
    file: `${CORE}/raft/election.ts`,
    find: '    if (!m.isTransfer && isLed(s)) return\n',
    replace: '',
  },
  {
    bug: 'the next leader is told to stand before it has everything',
    file: `${CORE}/raft/replication.ts`,
    find: 'if (s.progress.get(to)?.match === s.log.lastIndex) send',
    replace: 'if (s.progress.has(to)) send',
  },
  {
    bug: 'a leader that removed itself goes on',
    file: `${CORE}/raft/replication.ts`,
    find: 'if (s.configurations.index <= s.commit && !voters(s).includes(s.self)) follow(s, s.term, undefined)',
    replace: '',
  },
  {
    bug: 'learners stand for election',
    file: `${CORE}/raft/election.ts`,
    find: '  if (!isVoter(s)) return\n',
    replace: '',
  },
  {
    bug: 'the voters are changed before an entry of the term is committed',
    file: `${CORE}/raft/raft.ts`,
    find: '  s.log.termAt(s.commit) === s.term &&\n',
    replace: '',
  },
]

export const RULE_MUTANTS: readonly Mutant[] = FOUND_BY_SCRIPTS.map((mutant) => ({ ...mutant, scenario: 'scripts' }))
