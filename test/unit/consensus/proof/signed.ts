/** Statements signed by hand, for tests of the proof of coordination. Signatures are texts; which are good is told. */
import { createHash } from 'node:crypto'
import { meshIdOf } from '../../../../protocols/consensus/proof/chain-beginning.ts'
import {
  addProof,
  type ChainUpdate,
  emptyChain,
  type ProofChain,
} from '../../../../protocols/consensus/proof/proof-chain.ts'
import { type Proof, ProofSchema, votersDigest } from '../../../../protocols/consensus/proof/statement.ts'

export const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(bytes).digest())

/** The member of this letter or number. */
export const memberOf = (name: string | number): string => `peer${name}.${'ab'.repeat(4)}`
export const membersOf = (names: string): string[] => [...names].map(memberOf).sort()

const SIGNATURE = 'A'.repeat(86)

export const proofOf = (
  meshId: string,
  kind: Proof['kind'],
  [term, index]: readonly [number, number],
  voters: readonly string[],
  signers: readonly string[],
  more: Partial<Proof> = {},
): Proof =>
  ProofSchema.parse({
    meshId,
    kind,
    term,
    index,
    leader: kind === 'configuration' ? '' : (voters[0] ?? ''),
    previous: votersDigest(sha256, []),
    voters: [...voters].sort(),
    signatures: signers.map((member) => ({ member, signature: SIGNATURE })),
    ...more,
  })

export const founders = (names: string): { meshId: string; chain: ProofChain } => {
  const beginning = { type: 'founded', mesh: 'test', founders: membersOf(names) } as const
  const meshId = meshIdOf(sha256, beginning)
  return { meshId, chain: emptyChain(meshId, beginning) }
}

/** As a driver does: signatures of these are good, and no others. */
export const shownTo = (chain: ProofChain, proof: Proof, good?: readonly string[], mayPin = false): ChainUpdate => {
  const honest = new Set(good ?? proof.signatures.map(({ member }) => member))
  const valid = new Set(proof.signatures.map(({ member }) => member).filter((member) => honest.has(member)))
  return addProof(chain, proof, valid, mayPin)
}
