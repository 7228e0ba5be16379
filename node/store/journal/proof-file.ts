/**
 * What a node has proven of who coordinates, on disk (record-file.ts). A file that is damaged, or of another mesh, counts as
 * none: what it said can be proven again. Of a newer version it is left alone.
 */
import * as z from 'zod'
import { ChainBeginningSchema } from '../../../protocols/consensus/proof/chain-beginning.ts'
import { MAX_LINKS, type ProofChain } from '../../../protocols/consensus/proof/proof-chain.ts'
import type { ProofStore } from '../../../protocols/consensus/proof/proven-chain.ts'
import { ProofSchema } from '../../../protocols/consensus/proof/statement.ts'
import { systemCode } from '../../platform/private-file.ts'
import type { Disk } from '../files/disk.ts'
import { type RecordForm, readRecord, writeRecord } from './record-file.ts'

export const PROOF_FILE = 'proof.json'

const RecordSchema = z.object({
  meshId: z.string(),
  beginning: ChainBeginningSchema.optional(),
  pinned: ProofSchema.optional(),
  links: z.array(ProofSchema).max(MAX_LINKS).readonly(),
  epoch: ProofSchema.optional(),
})

const FORM: RecordForm<z.output<typeof RecordSchema>> = {
  name: PROOF_FILE,
  format: 1,
  schema: RecordSchema,
  hints: {
    damaged: 'nothing is lost: it is proven again',
    newer: 'start the version that wrote it; this one proves it again',
  },
}

/** The file in this folder. `load` throws STA003 with `details.reason`: `damaged`, `newer`; `save` what the disk says. */
export const createProofFile = (disk: Disk): ProofStore => ({
  async load(meshId): Promise<ProofChain | undefined> {
    try {
      const { beginning, pinned, links, epoch, ...record } = await readRecord(disk, FORM)
      return record.meshId === meshId ? { meshId, beginning, pinned, links, epoch } : undefined
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined
      throw error
    }
  },
  save: (record) => writeRecord(disk, FORM, record),
})
