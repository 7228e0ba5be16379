/**
 * Where the proof of coordination begins: the preimage of the mesh id, which names the first voters. Whoever knows the mesh
 * id can check it, whoever shows it.
 *
 * A founded mesh is named after its name and its founders (founding/record.ts); a recovered one after the mesh that was
 * before, its only voter and a nonce (node/store/journal/journal-recovery.ts). Stores that were recovered by older versions did not keep the
 * nonce: their meshes begin with an anchor (proof-chain.ts).
 */
import * as z from 'zod'
import type { Port } from '../../port.ts'
import {
  FoundingSetSchema,
  foundedMeshId,
  foundingVoters,
  RecoverySchema,
  recoveredMeshId,
} from '../bootstrap/founding-record.ts'

export const ChainBeginningSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('founded'), mesh: z.string().min(1).max(64), founders: FoundingSetSchema }).readonly(),
  z.object({ type: z.literal('recovered'), recovery: RecoverySchema }).readonly(),
])
export type ChainBeginning = z.output<typeof ChainBeginningSchema>

export const meshIdOf = (hash: Port['hash'], beginning: ChainBeginning): string =>
  beginning.type === 'founded'
    ? foundedMeshId(hash, beginning.mesh, beginning.founders)
    : recoveredMeshId(hash, beginning.recovery)

/** Where the log of a founded mesh begins; that of a recovered one goes on from what was there, at a place that it does not name. */
export const firstVoters = (beginning: ChainBeginning): { term: number; index: number; voters: readonly string[] } =>
  beginning.type === 'founded'
    ? { term: 1, index: 1, voters: foundingVoters(beginning.founders) }
    : { term: 0, index: 0, voters: [beginning.recovery.member] }
