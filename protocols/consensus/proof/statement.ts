/**
 * What the voters of a mesh sign about its coordination: that a configuration was decided, and that an epoch began.
 *
 * A statement says that the voters `voters` were in force, by the committed and applied entry (`term`, `index`). The bytes
 * that are signed are those of one JSON array, so that no two statements have the same: member ids in full, sorted, lists of
 * them as digests, each with a prefix of its own. The leader of a configuration is left empty: its entry does not say who
 * led. `previous` is what whoever collected the signatures had proven before; it is signed, and nothing rests on it (proof-chain.ts
 * says why). Signatures are Ed25519 by the peer's key that the member id names. Pure.
 */
import { toString as encodeText } from 'uint8arrays/to-string'
import * as z from 'zod'
import type { Port } from '../../port.ts'
import { MemberIdSchema } from '../member-id.ts'

type Hash = Port['hash']

/** Voters of one configuration; five vote, and one more while one is replaced. */
export const MAX_VOTERS = 16
/** Exact in a number, and far above what any log reaches. */
export const MAX_COUNT = 2 ** 50
/** An Ed25519 signature in base64url, without padding. */
const SIGNATURE = /^[A-Za-z0-9_-]{86}$/
const MAX_MEMBER = 192

const MeshIdSchema = z.string().min(1).max(64)

const MemberSchema = MemberIdSchema.refine((id) => id.length <= MAX_MEMBER, `at most ${MAX_MEMBER} characters`)
const CountSchema = z.int().min(1).max(MAX_COUNT)
const DigestSchema = z.string().regex(/^[0-9a-f]{64}$/, 'a digest is 64 lowercase hexadecimal digits')

const isAscending = (list: readonly string[]): boolean => list.every((one, i) => i === 0 || (list[i - 1] ?? '') < one)

export const VotersSchema = z
  .array(MemberSchema)
  .min(1)
  .max(MAX_VOTERS)
  .refine(isAscending, 'the voters are sorted, and none is there twice')
  .readonly()

/** What a statement says beside its voters. */
const SAYS = {
  meshId: MeshIdSchema,
  kind: z.enum(['configuration', 'epoch', 'anchor']),
  term: CountSchema,
  index: CountSchema,
  /** Member id; empty for a configuration. */
  leader: z.union([MemberSchema, z.literal('')]),
  previous: DigestSchema,
}

/** As it travels: lists as digests, since whoever is asked to sign knows them. */
export const StatementSchema = z.object({ ...SAYS, voters: DigestSchema }).readonly()
export type Statement = z.output<typeof StatementSchema>

/** A statement with its voters in full, and who signed it. */
export const ProofSchema = z
  .object({
    ...SAYS,
    voters: VotersSchema,
    signatures: z
      .array(z.object({ member: MemberSchema, signature: z.string().regex(SIGNATURE) }).readonly())
      .max(MAX_VOTERS)
      .readonly(),
  })
  .refine(({ kind, leader, voters }) => (kind === 'configuration' ? leader === '' : voters.includes(leader)), {
    message: 'an epoch is led by one of its voters',
  })
  .refine(({ signatures }) => new Set(signatures.map(({ member }) => member)).size === signatures.length, {
    message: 'nobody signs twice',
  })
  .readonly()
export type Proof = z.output<typeof ProofSchema>

const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))

const hexOf = (bytes: Uint8Array): string => encodeText(bytes, 'base16')

/** @param voters sorted */
export const votersDigest = (hash: Hash, voters: readonly string[]): string =>
  hexOf(hash(json(['parley/voters/1', ...voters])))

export const statementOf = (hash: Hash, proof: Omit<Proof, 'signatures'>): Statement => {
  const { meshId, kind, term, index, leader, previous, voters } = proof
  return { meshId, kind, term, index, leader, previous, voters: votersDigest(hash, voters) }
}

/** Exactly what is signed. */
export const signedBytes = ({ meshId, kind, term, index, leader, previous, voters }: Statement): Uint8Array =>
  json(['parley/proof/1', meshId, kind, term, index, leader, previous, voters])

/** What names a proof: that of its statement, whoever signed it. */
export const proofDigest = (hash: Hash, proof: Omit<Proof, 'signatures'>): string =>
  hexOf(hash(signedBytes(statementOf(hash, proof))))
