/**
 * What a leader does so that others can be shown who coordinates: it asks the voters for their signatures under what the log
 * says, one statement after the other, until enough of them signed.
 *
 * Which one is due is a pure function of the chain and of what was applied here, so that whoever leads next goes on where the
 * one before stopped: nothing is lost by its death, since each voter signs again what it applied. Changes of voters and
 * the epoch in their order; an anchor where nothing links the voters to what is known of the mesh. Where one does not come
 * about (a voter that has it from a snapshot did not apply it itself), the others are tried in turn, which say the same and
 * more, and at last the epoch is begun once more, with the voters of now. State: the signatures of the statement that is due.
 */
import { toString as encodeText } from 'uint8arrays/to-string'
import type { Port } from '../../port.ts'
import { peerOf } from '../member-id.ts'
import type { AppliedFact, AppliedFacts } from './applied-facts.ts'
import { proofProtocol } from './contract.ts'
import { hasNoProof, isLinkable, newestConfiguration, type ProofChain, sameVoters } from './proof-chain.ts'
import type { ProvenChain } from './proven-chain.ts'
import { type Proof, type Statement, signedBytes, statementOf, votersDigest } from './statement.ts'

/** Looks at one statement before another one is tried. */
const LOOKS_EACH = 10
/** Looks before another one than the first that is due is tried, and before the epoch is begun again. */
const FIRST_LOOKS = 30
const RESTATE_LOOKS = 100
/** Between two questions for one signature, in looks. */
const AGAIN_LOOKS = 3

export type UnsignedProof = Omit<Proof, 'signatures'>

/** What to collect for, the best first; nothing where all is proven. Pure. */
export const dueStatements = (
  chain: ProofChain,
  appliedFacts: Pick<AppliedFacts, 'epochOf' | 'configurationsAfter'>,
  term: number,
): { readonly kind: Proof['kind']; readonly fact: AppliedFact }[] => {
  const epoch = appliedFacts.epochOf(term)
  const head = newestConfiguration(chain)
  if (epoch === undefined) return []
  const changes = appliedFacts.configurationsAfter(head?.index ?? 0)
  const newest = changes.at(-1)
  const anchors = [epoch, ...(newest === undefined ? [] : [newest])].map((fact) => ({ kind: 'anchor', fact }) as const)
  if (head === undefined) return anchors
  const due: { kind: Proof['kind']; fact: AppliedFact }[] = []
  const isOther = ({ voters }: AppliedFact): boolean => !sameVoters(voters, head.voters)
  for (const fact of changes)
    if (isOther(fact) && isLinkable(chain, fact.voters)) due.push({ kind: 'configuration', fact })
  if (chain.epoch?.term !== term && isLinkable(chain, epoch.voters)) due.push({ kind: 'epoch', fact: epoch })
  // In their order: who votes later may not be able to speak for what was before.
  due.sort((a, b) => a.fact.index - b.fact.index)
  return due.length === 0 && hasNoProof(chain) ? anchors : due
}

export interface SignatureCollector {
  /**
   * Of a leader whose epoch has begun, each 100 ms or so.
   * @param restate begins the epoch once more, with the voters of now
   */
  tick(term: number, restate: () => void): void
  /** This node leads no more. */
  stop(): void
}

export interface SignatureCollectorDeps {
  readonly port: Pick<Port, 'self' | 'hash' | 'log' | 'to'>
  readonly proven: ProvenChain
  readonly appliedFacts: AppliedFacts
  /** As this node signs it itself. @throws what it answers others */
  sign(statement: Statement): Promise<{ member: string; signature: string }>
  /** Every voter knows proofs; before that is known all of them have to sign, and so say it. */
  areAllAble(): boolean
  /** It takes long: others may have what is missing here. */
  askOthers(): void
}

export const createSignatureCollector = (deps: SignatureCollectorDeps): SignatureCollector => {
  const { port, proven, appliedFacts, sign } = deps
  let current: { readonly name: string; readonly proof: UnsignedProof; readonly statement: Statement } | undefined
  let signatures = new Map<string, string>()
  const askedAt = new Map<string, number>()
  let looks = 0
  let isOffering = false

  const reset = (): void => {
    current = undefined
    signatures = new Map()
    askedAt.clear()
  }

  const unsigned = (
    chain: ProofChain,
    kind: Proof['kind'],
    { term, index, leader, voters }: AppliedFact,
  ): UnsignedProof => ({
    meshId: chain.meshId,
    kind,
    term,
    index,
    leader,
    previous: votersDigest(port.hash, newestConfiguration(chain)?.voters ?? []),
    voters,
  })

  const offer = async (proof: UnsignedProof): Promise<void> => {
    if (isOffering) return
    isOffering = true
    try {
      const list = [...signatures].map(([member, signature]) => ({ member, signature }))
      const verdict = await proven.submit({ ...proof, signatures: list }, true)
      if (verdict === 'taken') {
        looks = 0
        port.log.info('who coordinates is proven', { kind: proof.kind, epoch: proof.term, voters: proof.voters.length })
      }
      // What one of them signed is not what it should be: all are asked again.
      if (verdict === 'bad-signature') reset()
    } finally {
      isOffering = false
    }
  }

  const ask = async (member: string): Promise<void> => {
    const asked = current
    if (asked === undefined) return
    const isOwn = peerOf(member) === port.self.id
    const answer = await (isOwn ? sign(asked.statement) : port.to(peerOf(member), proofProtocol).sign(asked.statement))
    if (current !== asked || answer.member !== member) return
    signatures.set(member, answer.signature)
    await offerIfEnough(asked.proof)
  }
  const offerIfEnough = async (proof: UnsignedProof): Promise<void> => {
    const all = proof.voters.length
    if (deps.areAllAble() ? 2 * signatures.size > all : signatures.size === all) await offer(proof)
  }

  return {
    tick(term, restate) {
      const chain = proven.chain()
      const due = chain === undefined ? [] : dueStatements(chain, appliedFacts, term)
      if (chain === undefined || (due.length === 0 && chain.epoch?.term === term)) {
        looks = 0
        reset()
        return
      }
      const turn = looks < FIRST_LOOKS ? 0 : Math.floor((looks - FIRST_LOOKS) / LOOKS_EACH)
      looks += 1
      if (looks % LOOKS_EACH === 0) deps.askOthers()
      // Before it is known that all can sign, that all of them do is waited for.
      if (looks % RESTATE_LOOKS === FIRST_LOOKS && deps.areAllAble()) restate()
      const one = due[turn % due.length]
      if (one === undefined) return
      const proof = unsigned(chain, one.kind, one.fact)
      const statement = statementOf(port.hash, proof)
      const name = encodeText(signedBytes(statement))
      if (current?.name !== name) {
        reset()
        current = { name, proof, statement }
      }
      for (const member of proof.voters) {
        if (signatures.has(member) || looks - (askedAt.get(member) ?? Number.NEGATIVE_INFINITY) < AGAIN_LOOKS) continue
        askedAt.set(member, looks)
        ask(member).catch(() => {})
      }
    },
    stop() {
      looks = 0
      reset()
    },
  }
}
