/**
 * What a node promised and founded, on disk (record-file.ts): what `save` resolved for is never lost. A file that was
 * changed since is refused, not guessed at: a node that forgot a promise could help to found two meshes.
 *
 * State: the save under way, which the next one waits for.
 */
import {
  type FoundingRecord,
  FoundingRecordSchema,
  type FoundingStore,
} from '../../../protocols/consensus/bootstrap/founding-record.ts'
import { isParleyError, type ParleyError } from '../../../protocols/errors.ts'
import { isFullDisk, systemCode } from '../../platform/private-file.ts'
import type { Disk } from '../files/disk.ts'
import { storeError } from '../log/log-segments.ts'
import { type RecordForm, readRecord, writeRecord } from './record-file.ts'

export const FOUNDING_FILE = 'founding.json'

const FORM: RecordForm<FoundingRecord> = {
  name: FOUNDING_FILE,
  format: 1,
  schema: FoundingRecordSchema,
  hints: {
    damaged:
      'parley store repair says what can be kept; never remove the file alone: this node could found a rival mesh',
    newer: 'start this node with the version that wrote it, or a later one',
  },
}

const failed = (error: unknown): ParleyError => {
  if (isParleyError(error)) return error
  const isFull = isFullDisk(error)
  const message = error instanceof Error ? error.message : String(error)
  return storeError(
    isFull ? 'disk-full' : 'disk-failed',
    `${FOUNDING_FILE} could not be read or written: ${message}`,
    isFull ? 'make room on the disk; nothing is lost, and it goes on by itself' : 'see whether the disk is well',
    error,
  )
}

/** Something says that this node is of a mesh, and nothing says of which. */
export const missingFounding = (): ParleyError =>
  storeError(
    'damaged',
    `${FOUNDING_FILE} is not there, although this node is of a mesh: nothing says of which`,
    'parley store repair says what is needed, and writes it anew where that is known',
  )

/**
 * The founding file in this folder. @param isOfMesh there has to be one. `load` and `save` throw STA003 with `details.reason`: `damaged`, `newer`, `disk-full`
 * (nothing is changed), `disk-failed` (nobody knows what is on the disk).
 */
export const createFoundingFile = (disk: Disk, isOfMesh = false): FoundingStore => {
  let tail: Promise<unknown> = Promise.resolve()
  return {
    async load() {
      try {
        return await readRecord(disk, FORM)
      } catch (error) {
        if (systemCode(error) !== 'ENOENT') throw failed(error)
        if (isOfMesh) throw missingFounding()
        return undefined
      }
    },
    save(record) {
      const done = tail
        .then(() => writeRecord(disk, FORM, record))
        .catch((error: unknown) => Promise.reject(failed(error)))
      tail = done.catch(() => {})
      return done
    },
  }
}
