/** Documents cut into batches: enough in each that the journal's decisions stay few, and no more than is soon done again. Pure. */
import type { ListedDocument } from './collection.ts'
import { MAX_BATCH } from './contracts.ts'

const MIN_BATCH = 16
/** Bytes beyond which a batch takes no further document. */
const BATCH_BYTES = 512 * 1024
/** Batches that a folder is cut into, about. */
const BATCHES = 32

export interface DocumentBatch {
  /** Place of its first document. */
  readonly from: number
  readonly documents: readonly ListedDocument[]
}

/** The same for the same documents. */
export const batchesOf = (documents: readonly ListedDocument[]): DocumentBatch[] => {
  const most = Math.min(MAX_BATCH, Math.max(MIN_BATCH, Math.ceil(documents.length / BATCHES)))
  const batches: DocumentBatch[] = []
  for (let from = 0; from < documents.length; ) {
    let bytes = documents[from]?.bytes ?? 0
    let to = from + 1
    for (; to < documents.length && to - from < most; to += 1) {
      bytes += documents[to]?.bytes ?? 0
      if (bytes > BATCH_BYTES) break
    }
    batches.push({ from, documents: documents.slice(from, to) })
    from = to
  }
  return batches
}

/** @param most items of one group */
export const inGroups = <T>(items: readonly T[], most: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / most) }, (_, i) => items.slice(i * most, (i + 1) * most))
