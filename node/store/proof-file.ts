/**
 * What a node has proven of who coordinates, on disk: one file of JSON, replaced as a whole, as the founding file is.
 *
 * It is written under another name, synced and renamed, and then the folder is synced. A file that is damaged, or of another
 * mesh, counts as none: what it said can be proven again. Of a newer version it is left alone. Keeps no state.
 */
import { createHash } from 'node:crypto'
import * as z from 'zod'
import { BeginningSchema } from '../../protocols/consensus/proof/beginning.ts'
import { type Chain, MAX_LINKS } from '../../protocols/consensus/proof/chain.ts'
import type { ProofStore } from '../../protocols/consensus/proof/proven-chain.ts'
import { ProofSchema } from '../../protocols/consensus/proof/statement.ts'
import { systemCode } from '../private-file.ts'
import { type Disk, replaceFile } from './disk.ts'
import { refuse } from './segments.ts'

export const PROOF_FILE = 'proof.json'
const PART = `${PROOF_FILE}.part`
const FORMAT = 1

const RecordSchema = z.object({
  meshId: z.string(),
  beginning: BeginningSchema.optional(),
  pinned: ProofSchema.optional(),
  links: z.array(ProofSchema).max(MAX_LINKS),
  epoch: ProofSchema.optional(),
})
const FileSchema = z.object({ format: z.int().positive(), sha256: z.string(), record: z.unknown() })

const checksumOf = (record: unknown): string =>
  createHash('sha256')
    .update(JSON.stringify([FORMAT, record]) ?? '')
    .digest('hex')

const damaged = (what: string, cause?: unknown) =>
  refuse('damaged', `${PROOF_FILE} is damaged: ${what}`, 'nothing is lost: it is proven again', cause)

const decode = (bytes: Uint8Array): Chain => {
  let found: unknown
  try {
    found = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw damaged('it is no JSON', error)
  }
  const file = FileSchema.safeParse(found)
  if (!file.success) throw damaged('it is not in the form that this node writes', file.error)
  if (file.data.format > FORMAT)
    throw refuse('newer', `${PROOF_FILE} was written by a newer version`, 'start that one; this one proves it again')
  if (checksumOf(file.data.record) !== file.data.sha256) throw damaged('its checksum does not match')
  const record = RecordSchema.safeParse(file.data.record)
  if (!record.success) throw damaged('what it says cannot be', record.error)
  const { meshId, beginning, pinned, links, epoch } = record.data
  return { meshId, beginning, pinned, links, epoch }
}

/** The file in this folder. `load` throws STA003 with `details.reason`: `damaged`, `newer`; `save` what the disk says. */
export const createProofFile = (disk: Disk): ProofStore => ({
  async load(meshId) {
    let bytes: Uint8Array
    try {
      bytes = await disk.read(PROOF_FILE)
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined
      throw error
    }
    const chain = decode(bytes)
    return chain.meshId === meshId ? chain : undefined
  },
  async save(record) {
    const text = JSON.stringify({ format: FORMAT, sha256: checksumOf(record), record })
    await replaceFile(disk, PART, PROOF_FILE, `${text}\n`)
  },
})
