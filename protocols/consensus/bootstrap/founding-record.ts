/** What a member keeps of a founding, and what a mesh is named after. */
import { toString as encodeText } from 'uint8arrays/to-string'
import * as z from 'zod'
import type { Port } from '../../port.ts'
import { MemberIdSchema, peerOf } from '../member-id.ts'

/** Members that found a mesh together; any number may join it later. */
export const MAX_FOUNDERS = 64
/** Far above what attempts can reach, and exact in a number. */
const MAX_COUNTER = 2 ** 50
const MESH_ID_LENGTH = 32

/** Rounds are ordered by counter, then proposer; a proposer binds each of its rounds to one set. */
export const RoundSchema = z.object({ counter: z.int().min(1).max(MAX_COUNTER), proposer: MemberIdSchema })
export type Round = Readonly<z.output<typeof RoundSchema>>

/** Lower than all that anybody proposes. */
export const NO_ROUND: Round = { counter: 0, proposer: '' }

export const compareRounds = (a: Round, b: Round): number =>
  a.counter - b.counter || (a.proposer < b.proposer ? -1 : a.proposer > b.proposer ? 1 : 0)

export const MeshIdSchema = z.string().regex(/^[0-9a-f]{32}$/, 'a mesh id is 32 lowercase hexadecimal digits')

/** What a recovered mesh is named after. Nobody can guess the nonce, so that no two recoveries come to the same. */
export const RecoverySchema = z
  .object({
    /** The mesh that was before; empty where that could not be read. */
    before: z.union([MeshIdSchema, z.literal('')]),
    member: MemberIdSchema,
    nonce: z.string().regex(/^[0-9a-f]{32}$/, 'a nonce is 32 lowercase hexadecimal digits'),
  })
  .readonly()
export type MeshRecovery = z.output<typeof RecoverySchema>

const isSorted = (set: readonly string[]): boolean => set.every((member, i) => i === 0 || (set[i - 1] ?? '') < member)

/** Sorted, and no peer with two of its disks. */
export const FoundingSetSchema = z
  .array(MemberIdSchema)
  .min(1)
  .max(MAX_FOUNDERS)
  .refine(isSorted, 'the members of a founding set are sorted, and none is there twice')
  // Not by `peerOf`, which throws: this runs for malformed members too.
  .refine((set) => new Set(set.map((member) => member.split('.')[0])).size === set.length, 'no peer is there twice')
  .readonly()

/** Exactly these members, in this round. */
export const ProposalSchema = z
  .object({ round: RoundSchema, set: FoundingSetSchema })
  .refine(({ round, set }) => set.includes(round.proposer), 'whoever proposes is one of the set')
export type Proposal = Readonly<z.output<typeof ProposalSchema>>

export const sameProposal = (a: Proposal, b: Proposal): boolean =>
  compareRounds(a.round, b.round) === 0 && a.set.length === b.set.length && a.set.every((one, i) => one === b.set[i])

/** What is durable. `founded` and `adopted` are final, and exclude each other and a promise. */
export const FoundingRecordSchema = z
  .object({
    /** Whose words these are. */
    member: MemberIdSchema,
    /** No proposal of this round or a lower one will ever be promised from now on. */
    highest: z.union([RoundSchema, z.object({ counter: z.literal(0), proposer: z.literal('') })]),
    promise: ProposalSchema.optional(),
    /** This member is one of those who founded the mesh; `members` is the whole set, sorted. */
    founded: z.object({ meshId: MeshIdSchema, members: FoundingSetSchema }).readonly().optional(),
    /** `recovered`: what its id was made of, where this node made it (proof/chain-beginning.ts). */
    adopted: z.object({ meshId: MeshIdSchema, recovered: RecoverySchema.optional() }).readonly().optional(),
  })
  .refine(
    ({ promise, founded, adopted }) => [promise, founded, adopted].filter((one) => one !== undefined).length <= 1,
    'a promise, a founding and an adoption exclude one another',
  )
  .refine(
    ({ member, promise, founded }) => (promise?.set ?? founded?.members ?? [member]).includes(member),
    'a member promises and founds only what it is part of',
  )
  .refine(
    ({ highest, promise }) => promise === undefined || compareRounds(promise.round, highest) <= 0,
    'a promise is never above the highest round',
  )
  .readonly()
export type FoundingRecord = z.output<typeof FoundingRecordSchema>

export interface FoundingStore {
  /** What was saved last; undefined: nothing yet. @throws where it cannot be trusted */
  load(): Promise<FoundingRecord | undefined>
  /** Takes the place of what was saved before. Resolves once it survives a power cut. */
  save(record: FoundingRecord): Promise<void>
}

/**
 * The first 32 hexadecimal digits of a SHA-256 over the mesh's name and the founding set.
 * @param set sorted
 */
export const foundedMeshId = (hash: Port['hash'], meshName: string, set: readonly string[]): string => {
  // JSON, so that no two lists of names give the same bytes.
  const bytes = new TextEncoder().encode(JSON.stringify(['parley/mesh/1', meshName, ...set]))
  return encodeText(hash(bytes), 'base16').slice(0, MESH_ID_LENGTH)
}

/** Of a mesh that was recovered from one store, as `meshIdFor` is of one that was founded. */
export const recoveredMeshId = (hash: Port['hash'], { before, member, nonce }: MeshRecovery): string => {
  const bytes = new TextEncoder().encode(JSON.stringify(['parley/recovered/1', before, member, nonce]))
  return encodeText(hash(bytes), 'base16').slice(0, MESH_ID_LENGTH)
}

/** Who votes first, of a sorted set: 1 below three members, 3 below five, 5 from then on. */
export const foundingVoters = (set: readonly string[]): string[] =>
  set.slice(0, set.length < 3 ? 1 : set.length < 5 ? 3 : 5)

/** As a person reads them: peers, in their order. */
export const peersOf = (members: readonly string[]): string[] => members.map(peerOf)
