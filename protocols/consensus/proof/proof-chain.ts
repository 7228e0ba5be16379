/**
 * What was proven of a mesh's coordination: from its beginning over each change of voters to the newest epoch. Pure.
 *
 * It begins with the voters that the mesh id names (chain-beginning.ts), or with an anchor that was pinned. A *link* is a statement
 * of other voters, signed by a majority of them, and by at least half of the voters who are the newest that were proven. An
 * *epoch* is signed by a majority of the voters that are in force where it began. An epoch or an anchor whose voters are
 * others than the newest proven ones has to be signed like a link, and is one where it comes after them.
 *
 * Why a link can be signed whenever a change of one voter could be decided. Whoever committed it is a majority of the new
 * ones, m(n) = floor(n / 2) + 1. One voter more, n to n + 1: at most one of the m(n + 1) signers is new, so floor((n + 1) / 2)
 * of them were voters before: half of n, rounded up. One less: all m(n - 1) signers were voters before, and floor((n - 1) / 2)
 * + 1 is half of n, rounded up. So for a change of one voter the second condition follows from the first; it is what keeps
 * a link over several changes (whose signatures in between were never collected) from being weaker than its steps.
 *
 * Why it is safe. An honest voter signs only what it applied from the committed log (applied-facts.ts), under the member id with
 * which it votes there. Suppose the newest voters that a node holds for proven were in force, and fewer than half of them lie.
 * Then each link and epoch that it takes has an honest signer, so that its entry was committed, with these voters, at this
 * place; by induction all that the chain says is true. Nothing rests on what whoever collected had proven before
 * (`previous`), nor on the order in which links are shown: each is judged by the newest voters of whoever looks at it, and
 * who has proven more skips what another one needs. A pair of voters can be forged by one of them that lies, as Raft itself
 * is not made against voters that lie. Voters who were put out can sign what they want: nobody who has proven later ones
 * takes it; whoever knows nothing but the beginning may.
 *
 * State: the chain, a value; MAX_LINKS of its links. The oldest go: then the last of those that went is where it begins,
 * which who has proven nothing yet takes like an anchor.
 */
import { majority } from '../raft/quorum.ts'
import { type ChainBeginning, firstVoters } from './chain-beginning.ts'
import type { Proof } from './statement.ts'

export const MAX_LINKS = 4_096

/** Voters, by the entry that put them in force. */
export interface PlacedVoters {
  readonly term: number
  readonly index: number
  readonly voters: readonly string[]
}

export interface ProofChain {
  readonly meshId: string
  /** The preimage of the mesh id, where it is known; checked by whoever puts it here. */
  readonly beginning: ChainBeginning | undefined
  /** Where the chain begins instead: an anchor, or the last link that was dropped. */
  readonly pinned: Proof | undefined
  /** By index, ascending. */
  readonly links: readonly Proof[]
  /** The newest one. */
  readonly epoch: Proof | undefined
}

export type ProofRefusal =
  | 'other-mesh'
  | 'no-beginning'
  | 'unknown-signer'
  | 'too-few'
  | 'lower'
  | 'not-pinned'
  | 'bad-signature'
  | 'contradicting'

type Role = 'link' | 'epoch' | 'pin' | 'contradiction'

/** So many of these have to sign. */
interface Quota {
  readonly among: readonly string[]
  readonly least: number
}

export type ProofExamination =
  | { readonly type: 'known' }
  | { readonly type: 'refused'; readonly reason: ProofRefusal }
  /** Good if enough of the signatures are. */
  | { readonly type: 'signed'; readonly role: Role; readonly quotas: readonly Quota[] }

export const emptyChain = (meshId: string, beginning?: ChainBeginning): ProofChain => ({
  meshId,
  beginning,
  pinned: undefined,
  links: [],
  epoch: undefined,
})

const baseOf = ({ beginning, pinned }: ProofChain): PlacedVoters | undefined =>
  pinned ?? (beginning === undefined ? undefined : firstVoters(beginning))

/** The newest proven configuration. */
export const newestConfiguration = (chain: ProofChain): PlacedVoters | undefined => chain.links.at(-1) ?? baseOf(chain)

/** Nothing was signed yet. */
export const hasNoProof = ({ pinned, links, epoch }: ProofChain): boolean =>
  pinned === undefined && links.length === 0 && epoch === undefined

/** The highest term that was proven; 0 before. */
export const provenTermOf = (chain: ProofChain): number =>
  hasNoProof(chain) ? 0 : Math.max(newestConfiguration(chain)?.term ?? 0, chain.epoch?.term ?? 0)

/** Who was in force at `index`; undefined before the chain begins. */
export const votersAt = (chain: ProofChain, index: number): readonly string[] | undefined => {
  const link = chain.links.findLast((one) => one.index <= index)
  if (link !== undefined) return link.voters
  const base = baseOf(chain)
  return base !== undefined && base.index <= index ? base.voters : undefined
}

export const sameVoters = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((one, i) => one === b[i])

const quotasOf = (next: readonly string[], before: readonly string[]): Quota[] => [
  { among: next, least: majority(next.length) },
  { among: before, least: Math.ceil(before.length / 2) },
]

/** Whether voters could be linked if all of them signed. */
export const isLinkable = (chain: ProofChain, next: readonly string[]): boolean => {
  const head = newestConfiguration(chain)
  return head !== undefined && isMet(quotasOf(next, head.voters), new Set(next))
}

const isMet = (quotas: readonly Quota[], signers: ReadonlySet<string>): boolean =>
  quotas.every(({ among, least }) => among.filter((id) => signers.has(id)).length >= least)

/** Entries stand in the order of their terms, one at each place, and one leads a term. */
const isContradicting = (chain: ProofChain, proof: Proof): boolean => {
  const base = baseOf(chain)
  const all: PlacedVoters[] = [...(base === undefined ? [] : [base]), ...chain.links]
  if (chain.epoch !== undefined) all.push(chain.epoch)
  const { epoch } = chain
  if (proof.kind === 'epoch' && epoch?.term === proof.term && epoch.leader !== proof.leader) return true
  return all.some((one) => {
    if (one.index < proof.index) return one.term > proof.term
    if (one.index > proof.index) return one.term < proof.term
    return one.term !== proof.term || !sameVoters(one.voters, proof.voters)
  })
}

const isKnown = (chain: ProofChain, { kind, term, index, leader, voters }: Proof): boolean => {
  const { epoch } = chain
  // Its leader may have begun it once more, with other voters.
  if (kind === 'epoch')
    return (
      epoch?.term === term &&
      epoch.leader === leader &&
      index <= Math.max(epoch.index, newestConfiguration(chain)?.index ?? 0)
    )
  const inForce = votersAt(chain, index)
  return inForce !== undefined && sameVoters(inForce, voters)
}

/** What a proof would be to this chain, without a look at its signatures; no throw, whatever it holds. */
const judge = (chain: ProofChain, proof: Proof): ProofExamination => {
  const { kind, term, index, voters } = proof
  if (proof.meshId !== chain.meshId) return { type: 'refused', reason: 'other-mesh' }
  const own: Quota = { among: voters, least: majority(voters.length) }
  const head = newestConfiguration(chain)
  if (head === undefined) {
    if (kind !== 'anchor') return { type: 'refused', reason: 'no-beginning' }
    return { type: 'signed', role: 'pin', quotas: [own] }
  }
  const inForce = votersAt(chain, index)
  if (isContradicting(chain, proof))
    return { type: 'signed', role: 'contradiction', quotas: quotasOf(voters, inForce ?? head.voters) }
  if (isKnown(chain, proof)) return { type: 'known' }
  const isEpoch = kind === 'epoch'
  if (isEpoch && chain.epoch !== undefined && term < chain.epoch.term) return { type: 'refused', reason: 'lower' }
  const quotas = quotasOf(voters, head.voters)
  // Voters who were put out since say nothing of what they once did without those who are in force.
  if (index <= head.index)
    return isEpoch ? { type: 'signed', role: 'epoch', quotas } : { type: 'refused', reason: 'lower' }
  if (isEpoch && sameVoters(head.voters, voters)) return { type: 'signed', role: 'epoch', quotas: [own] }
  if (kind === 'anchor' && hasNoProof(chain) && !isMet(quotas, new Set(voters)))
    return { type: 'signed', role: 'pin', quotas: [own] }
  return { type: 'signed', role: 'link', quotas }
}

export const examineProof = (chain: ProofChain, proof: Proof): ProofExamination => {
  const examined = judge(chain, proof)
  if (examined.type !== 'signed') return examined
  const signers = proof.signatures.map(({ member }) => member)
  if (signers.some((member) => !proof.voters.includes(member))) return { type: 'refused', reason: 'unknown-signer' }
  return isMet(examined.quotas, new Set(signers)) ? examined : { type: 'refused', reason: 'too-few' }
}

const withLink = (chain: ProofChain, proof: Proof): ProofChain => {
  const links = [...chain.links, proof]
  if (links.length <= MAX_LINKS) return { ...chain, links }
  const at = MAX_LINKS / 2 - 1
  return { ...chain, pinned: links[at], links: links.slice(at + 1) }
}

export interface ChainUpdate {
  readonly chain: ProofChain
  readonly verdict: 'taken' | 'known' | ProofRefusal
}

/**
 * @param valid those whose signatures are good
 * @param mayPin an anchor that nothing links to what is known here may be believed
 */
export const addProof = (chain: ProofChain, proof: Proof, valid: ReadonlySet<string>, mayPin: boolean): ChainUpdate => {
  const examined = examineProof(chain, proof)
  if (examined.type === 'known') return { chain, verdict: 'known' }
  if (examined.type === 'refused') return { chain, verdict: examined.reason }
  const { role, quotas } = examined
  if (!isMet(quotas, valid)) return { chain, verdict: 'bad-signature' }
  if (role === 'contradiction') return { chain, verdict: 'contradicting' }
  if (role === 'pin' && !mayPin) return { chain, verdict: 'not-pinned' }
  if (role === 'pin') return { chain: { ...chain, pinned: proof }, verdict: 'taken' }
  const next = role === 'link' ? withLink(chain, proof) : chain
  return { chain: proof.kind === 'epoch' ? { ...next, epoch: proof } : next, verdict: 'taken' }
}
