/**
 * What a node promised and founded, on disk: one small file of JSON, replaced as a whole.
 *
 * It is written under another name, synced and renamed, and then the folder is synced, so that a power cut leaves what
 * was there before or what was saved, and what `save` resolved for is never lost. A checksum finds what was changed since;
 * such a file is refused, not guessed at: a node that forgot a promise could help to found two meshes.
 *
 * State: the save under way, which the next one waits for.
 */
import { createHash } from 'node:crypto'
import * as z from 'zod'
import {
  type FoundingRecord,
  FoundingRecordSchema,
  type FoundingStore,
} from '../../protocols/consensus/founding/record.ts'
import { isParleyError, type ParleyError } from '../../protocols/errors.ts'
import { systemCode } from '../private-file.ts'
import { type Disk, replaceFile } from './disk.ts'
import { refuse } from './segments.ts'

export const FOUNDING_FILE = 'founding.json'
const PART = `${FOUNDING_FILE}.part`
const FORMAT = 1

const FileSchema = z.object({ format: z.literal(FORMAT), sha256: z.string(), record: z.unknown() })
const FormatSchema = z.object({ format: z.int().positive() })

/** Of the record as it is written. */
const checksumOf = (record: unknown): string =>
  createHash('sha256')
    .update(JSON.stringify([FORMAT, record]) ?? '')
    .digest('hex')

const damaged = (what: string, cause?: unknown): ParleyError =>
  refuse(
    'damaged',
    `${FOUNDING_FILE} is damaged: ${what}`,
    'parley store repair says what can be kept; never remove the file alone: this node could found a rival mesh',
    cause,
  )

const decode = (bytes: Uint8Array): FoundingRecord => {
  let found: unknown
  try {
    found = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw damaged('it is no JSON', error)
  }
  const format = FormatSchema.safeParse(found)
  if (format.success && format.data.format > FORMAT) {
    throw refuse(
      'newer',
      `${FOUNDING_FILE} has the format ${format.data.format}, and this version knows ${FORMAT}`,
      'start this node with the version that wrote it, or a later one',
    )
  }
  const file = FileSchema.safeParse(found)
  if (!file.success) throw damaged('it is not in the form that this node writes', file.error)
  // JSON keeps the order of names, so that the same bytes are checked.
  if (checksumOf(file.data.record) !== file.data.sha256) throw damaged('its checksum does not match')
  const record = FoundingRecordSchema.safeParse(file.data.record)
  if (!record.success) throw damaged('what it says cannot be', record.error)
  return record.data
}

const failed = (error: unknown): ParleyError => {
  if (isParleyError(error)) return error
  const code = systemCode(error)
  const isFull = code === 'ENOSPC' || code === 'EDQUOT'
  const message = error instanceof Error ? error.message : String(error)
  return refuse(
    isFull ? 'disk-full' : 'disk-failed',
    `${FOUNDING_FILE} could not be read or written: ${message}`,
    isFull ? 'make room on the disk; nothing is lost, and it goes on by itself' : 'see whether the disk is well',
    error,
  )
}

const write = async (disk: Disk, record: FoundingRecord): Promise<void> => {
  const text = JSON.stringify({ format: FORMAT, sha256: checksumOf(record), record })
  await replaceFile(disk, PART, FOUNDING_FILE, `${text}\n`)
}

/** Something says that this node is of a mesh, and nothing says of which. */
export const missingFounding = (): ParleyError =>
  refuse(
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
        return decode(await disk.read(FOUNDING_FILE))
      } catch (error) {
        if (systemCode(error) !== 'ENOENT') throw failed(error)
        if (isOfMesh) throw missingFounding()
        return undefined
      }
    },
    save(record) {
      const done = tail.then(() => write(disk, record)).catch((error: unknown) => Promise.reject(failed(error)))
      tail = done.catch(() => {})
      return done
    },
  }
}
