/**
 * Founding a mesh, as pure steps: who may promise what, when a promise is free again, when a mesh is founded.
 *
 * Candidates agree on one exact set of `expect` members. It is a commit that all must agree to (as in two-phase commit),
 * numbered by rounds as in Paxos (Lamport, "Paxos Made Simple", section 2.2), so that any of them can ask again for
 * whoever proposed, and a proposal that cannot succeed any more gives its members free.
 *
 * Rules. All of the record is durable before anything that follows from it is said; the driver sees to that.
 *  P  A member promises (round, set) only above `highest`, which becomes that round, and only where it holds no promise,
 *     belongs to no mesh, and is in the set under its present id. The proposer promises first: its rounds do not repeat.
 *  R  It refuses (round, set) only where it does not hold that promise, and either `highest` is at or above that round or
 *     it belongs to another mesh, for ever.
 *  L  It lets a promise go only after a member of that very set refused it.
 *  F  A set is founded once all of its members were heard to promise the same (round, set), or somebody says that it was.
 *  A  A mesh id is adopted only without a promise.
 *
 * Why no two sets with a common member are founded. Call (round, set) dead when one of its members has never promised it
 * and never will. (1) Whatever is refused is dead: take the first refusal of it. By R the refuser does not hold the
 * promise; it has not let it go either, since by L another refusal would have come before; so it never promised, and by P
 * never will, as `highest` is durable and only grows. (2) So a set that all of its members promised was refused by nobody,
 * and by L nobody has let it go: each holds that promise for ever, or concludes by F. (3) A member holds one promise at a
 * time, by P, and none after it concluded or adopted; so a member that two founded sets have in common would hold two.
 * By F everyone concludes a set that was founded in this sense, and nothing else. That messages are lost, late, doubled
 * or reordered changes nothing: each states a fact that stays true. A crash between saving and saying is a lost message.
 *
 * What it costs: a promise whose set has a member that is gone for good, and never refused, stays for ever. And two sets
 * without a common member do not know of each other: `expect` above half of those that start together rules that out.
 */
import type { ProposalAnswer } from './contract.ts'
import {
  compareRounds,
  type FoundingRecord,
  NO_ROUND,
  type Proposal,
  type Round,
  sameProposal,
} from './founding-record.ts'

interface Terms {
  /** This member's present id. */
  readonly member: string
  /** How many found the mesh; undefined: this one never founds. */
  readonly expect: number | undefined
  readonly meshIdOf: (set: readonly string[]) => string
}

export interface FoundingState extends Terms {
  /** What is durable, once the driver has saved it. */
  readonly record: FoundingRecord
  /** Of the promise's set, those who were heard to hold it, this one included. */
  readonly promised: readonly string[]
  /** A founded mesh that was heard of while a promise stands. */
  readonly deferredMeshId: string | undefined
}

/** What a step comes to. It counts once the record of `state` is durable. */
export interface FoundingStep<T> {
  readonly state: FoundingState
  readonly result: T
}

export type Adoption = 'adopted' | 'same' | 'deferred' | 'conflict'

export const meshIdIn = ({ founded, adopted }: FoundingRecord): string | undefined => founded?.meshId ?? adopted?.meshId

/**
 * Where a member goes on after a start. A record of another storage id is that of a log store which is lost: its founding
 * counts as an adoption, since this member has nothing of the log; its promise stands, and it answers for it as the
 * member that it was, until it is decided.
 */
export const resume = (terms: Terms, saved: FoundingRecord | undefined): FoundingState => {
  const record = ((): FoundingRecord => {
    if (saved === undefined) return { member: terms.member, highest: NO_ROUND }
    if (saved.member === terms.member || saved.promise !== undefined) return saved
    const { founded, ...rest } = saved
    const adopted = founded === undefined ? {} : { adopted: { meshId: founded.meshId } }
    return { ...rest, ...adopted, member: terms.member }
  })()
  return { ...terms, record, promised: record.promise === undefined ? [] : [record.member], deferredMeshId: undefined }
}

/** Without a promise, and under its present id. */
const free = (state: FoundingState, rest: Omit<FoundingRecord, 'member' | 'highest'> = {}): FoundingState => ({
  ...state,
  record: { member: state.member, highest: state.record.highest, ...rest },
  promised: [],
  deferredMeshId: undefined,
})

/** Rule F. One that lost its log store meanwhile belongs to the mesh and is no founder. */
const found = (state: FoundingState, members: readonly string[]): FoundingState => {
  const meshId = state.meshIdOf(members)
  return free(state, members.includes(state.member) ? { founded: { meshId, members } } : { adopted: { meshId } })
}

const foundOnceComplete = (state: FoundingState): FoundingState => {
  const { promise } = state.record
  const isComplete = promise?.set.every((member) => state.promised.includes(member))
  return promise !== undefined && isComplete === true ? found(state, promise.set) : state
}

const promise = (state: FoundingState, proposal: Proposal): FoundingState =>
  foundOnceComplete({
    ...state,
    record: { ...state.record, highest: proposal.round, promise: proposal },
    promised: [state.record.member],
  })

/** Rule P, but for the round. */
const mayPromise = ({ record, member, expect }: FoundingState, set: readonly string[]): boolean =>
  record.promise === undefined && meshIdIn(record) === undefined && set.includes(member) && set.length === expect

/**
 * Proposes a set: promises it first. Changes nothing where this member may not promise it.
 * @param above the highest counter that others were heard to have seen
 */
export const propose = (
  state: FoundingState,
  set: readonly string[],
  above: number,
): FoundingStep<Proposal | undefined> => {
  if (!mayPromise(state, set)) return { state, result: undefined }
  const round: Round = { counter: Math.max(state.record.highest.counter, above) + 1, proposer: state.member }
  const proposal = { round, set }
  return { state: promise(state, proposal), result: proposal }
}

/** Somebody asks for a promise: rules P and R. */
export const onProposal = (state: FoundingState, proposal: Proposal): FoundingStep<ProposalAnswer> => {
  const { record } = state
  const answer = (verdict: ProposalAnswer['verdict'], meshId?: string): ProposalAnswer => ({
    verdict,
    member: record.member,
    ...(meshId !== undefined && { meshId }),
  })
  const meshId = meshIdIn(record)
  if (meshId !== undefined) {
    return { state, result: answer(meshId === state.meshIdOf(proposal.set) ? 'founded' : 'refused', meshId) }
  }
  if (record.promise !== undefined && sameProposal(record.promise, proposal))
    return { state, result: answer('promised') }
  if (compareRounds(proposal.round, record.highest) <= 0) return { state, result: answer('refused') }
  if (mayPromise(state, proposal.set)) return { state: promise(state, proposal), result: answer('promised') }
  return { state: { ...state, record: { ...record, highest: proposal.round } }, result: answer('refused') }
}

/** What somebody who was asked for a promise said: rules L and F. Anything but an answer to the promise held is old. */
export const onAnswer = (state: FoundingState, proposal: Proposal, answer: ProposalAnswer): FoundingStep<undefined> => {
  const held = state.record.promise
  const nothing = { state, result: undefined }
  if (held === undefined || !sameProposal(held, proposal)) return nothing
  if (answer.verdict === 'founded' && answer.meshId === state.meshIdOf(held.set)) {
    return { state: found(state, held.set), result: undefined }
  }
  // A peer that lost its disk does not know what the member promised that it was.
  if (!held.set.includes(answer.member)) return nothing
  if (answer.verdict === 'promised' && !state.promised.includes(answer.member)) {
    return {
      state: foundOnceComplete({ ...state, promised: [...state.promised, answer.member] }),
      result: undefined,
    }
  }
  if (answer.verdict !== 'refused') return nothing
  const meshId = answer.meshId ?? state.deferredMeshId
  return { state: free(state, meshId === undefined ? {} : { adopted: { meshId } }), result: undefined }
}

/** There is a founded mesh of this id: rule A. */
export const adoptMeshId = (state: FoundingState, meshId: string): FoundingStep<Adoption> => {
  const own = meshIdIn(state.record)
  if (own !== undefined) return { state, result: own === meshId ? 'same' : 'conflict' }
  const held = state.record.promise
  if (held === undefined) return { state: free(state, { adopted: { meshId } }), result: 'adopted' }
  if (state.meshIdOf(held.set) === meshId) return { state: found(state, held.set), result: 'same' }
  return { state: { ...state, deferredMeshId: meshId }, result: 'deferred' }
}
