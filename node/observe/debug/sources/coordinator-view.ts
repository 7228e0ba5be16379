/** Who coordinates, as the debug endpoint shows it. */
import type { ProofFacts } from '../../../../protocols/consensus/proof/proof-api.ts'
import type { CoordinatorStatus } from '../../../../protocols/coordinator/coordinator-status.ts'
import type { JournalMember } from '../../../../protocols/journal/journal-server.ts'
import type { Epoch } from '../../../../protocols/journal/state/built-in-kinds.ts'
import type { CoordinatorView } from '../debug-schemas.ts'

/** What the debug endpoint shows beside the status. */
export interface CoordinatorFacts extends CoordinatorStatus {
  /** What is waited for, or went wrong, for a person. */
  readonly problem: string | undefined
  readonly members: readonly {
    readonly member: string
    readonly peer: string
    readonly role: 'voter' | 'learner'
    /** As far as the coordinator knows: the last index that is the same there. */
    readonly match: number | undefined
    readonly silentMs: number | undefined
  }[]
  readonly log:
    | { readonly commit: number; readonly applied: number; readonly last: number; readonly base: number }
    | undefined
  readonly records: number
  readonly bytes: number
  readonly sessions: number
  /** What was proven of it to this node. */
  readonly proof: ProofFacts
}

interface Looked {
  readonly at: JournalMember | undefined
  readonly status: CoordinatorStatus
  readonly problem: string | undefined
  readonly proof: ProofFacts
}

export const coordinatorFactsOf = ({ at, status, problem, proof }: Looked): CoordinatorFacts => {
  const raft = at?.group.status()
  const leads = raft?.role === 'leader'
  const memberFacts = (role: 'voter' | 'learner') => (id: string) => ({
    member: id,
    peer: id.split('.')[0] ?? id,
    role,
    match: leads ? (id === at?.group.self ? raft.lastIndex : at?.group.matchOf(id)) : undefined,
    silentMs: at?.group.silentMs(id),
  })
  return {
    ...status,
    problem,
    members: [...status.voters.map(memberFacts('voter')), ...status.learners.map(memberFacts('learner'))],
    log:
      raft === undefined || at === undefined
        ? undefined
        : { commit: raft.commit, applied: at.group.applied(), last: raft.lastIndex, base: raft.baseIndex },
    records: at?.machine.records.count() ?? 0,
    bytes: at?.machine.records.bytes() ?? 0,
    sessions: at?.machine.sessions.count() ?? 0,
    proof,
  }
}

/** @param history asked for only where there is a coordinator to ask */
export const coordinatorView = async (
  facts: CoordinatorFacts,
  nameOf: (peer: string) => string,
  history: () => Promise<Epoch[]>,
): Promise<CoordinatorView> => {
  const { meshId, leader, problem, log, members, records, bytes, sessions } = facts
  // A page that is looked at while there is no quorum still shows the rest.
  const epochs = meshId === undefined || leader === undefined ? [] : await history().catch(() => [])
  return {
    epoch: facts.epoch,
    seat: facts.role,
    acting: facts.acting,
    quorum: facts.quorum,
    version: facts.version,
    journal: { records, bytes, sessions },
    proof: {
      mode: facts.proof.mode,
      epoch: facts.proof.epoch,
      links: facts.proof.links,
      head: facts.proof.head,
      refused: Object.values(facts.proof.refused).reduce((sum, count) => sum + count, 0),
      ...(facts.proof.base !== undefined && { base: facts.proof.base }),
    },
    history: epochs,
    seats: members.map(({ member, peer, role, match, silentMs }) => ({
      member,
      peer,
      name: nameOf(peer),
      role,
      ...(match !== undefined && { match }),
      ...(silentMs !== undefined && { silentMs: Math.round(silentMs) }),
    })),
    ...(meshId !== undefined && { meshId }),
    ...(leader !== undefined && { leader: { id: leader, name: nameOf(leader) } }),
    ...(problem !== undefined && { problem }),
    ...(log !== undefined && { log }),
  }
}
