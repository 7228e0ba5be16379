/** Deliberate bugs of what keeps a member without a vote out of the group, found by one that lies. */
import type { Mutant } from './mutant.ts'

const INBOUND = 'protocols/consensus/group/raft-server.ts'

const FOUND_BY_INTRUDER: readonly Mutant[] = [
  {
    bug: 'messages count from whoever is admitted',
    file: INBOUND,
    find: "  if (!isVoter && !(role === 'learner' && isOfLearners)) return isOfLearners ? 'notAMember' : 'notAVoter'\n",
    replace: '',
  },
  {
    bug: 'votes, answers and offers count from whoever is admitted',
    file: INBOUND,
    find: "  if (!isVoter && !(role === 'learner' && isOfLearners)) return",
    replace: "  if (!isVoter && type === 'append') return",
  },
  {
    bug: 'entries count from learners',
    file: INBOUND,
    find: "['appended', 'read']",
    replace: "['appended', 'read', 'append']",
  },
  {
    bug: 'answers to reads count from learners',
    file: INBOUND,
    find: "['appended', 'read']",
    replace: "['appended', 'read', 'read-at']",
  },
  {
    bug: 'snapshots count from learners',
    file: INBOUND,
    find: "['appended', 'read']",
    replace: "['appended', 'read', 'snapshot']",
  },
  {
    bug: 'learners move the term',
    file: INBOUND,
    find: "  if (!isVoter && term > raft.term()) return 'termOfALearner'\n",
    replace: '',
  },
  {
    bug: 'a peer may speak for another member',
    file: INBOUND,
    find: 'to !== self || peerOf(from) !== peer)',
    replace: "to !== self || peerOf(from) === '')",
  },
  {
    bug: 'who is not known is not asked who it is',
    file: INBOUND,
    find: "    if (rejection !== 'termOfALearner') proven?.requestProof(",
    replace: "    if (rejection === 'termOfALearner') proven?.requestProof(",
  },
]

export const INTRUDER_MUTANTS: readonly Mutant[] = FOUND_BY_INTRUDER.map((mutant) => ({
  ...mutant,
  scenario: 'intruder',
}))
