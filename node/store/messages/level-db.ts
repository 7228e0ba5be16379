/**
 * LevelDB as the row store uses it, and what its errors mean.
 *
 * LevelDB checks its log and its list of files (CRC-32C) when it opens, leaves out what does not match without a word, and
 * removes the old log then: what it opens must have been looked at before (row-survey.ts). It does not sync the folder
 * where it begins another log; ext4, XFS and btrfs keep the name of a new file whose contents were synced.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import type { ParleyError } from '../../../protocols/errors.ts'
import { systemCode } from '../../platform/private-file.ts'
import { storeError } from '../log/log-segments.ts'

export type LevelDb = ClassicLevel<string, Uint8Array>

/** Of the log, which is read as a whole when the store is opened; twice as much may be in memory. */
const LOG_BYTES = 32 * 1024 * 1024

/**
 * LevelDB takes what its file CURRENT holds for a name, and its own words end where that has a zero byte: nothing would tell
 * then that it is damage.
 */
const checkCurrent = async (path: string): Promise<void> => {
  const current = await readFile(join(path, 'CURRENT'), 'latin1').catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  })
  if (current !== undefined && !/^MANIFEST-\d+\n$/.test(current)) throw new Error('CURRENT is corrupt')
}

/** @throws what `levelError` understands */
export const openLevelDb = async (path: string, { create }: { create: boolean }): Promise<LevelDb> => {
  await checkCurrent(path)
  const level: LevelDb = new ClassicLevel(path, {
    keyEncoding: 'utf8',
    valueEncoding: 'view',
    createIfMissing: create,
    writeBufferSize: LOG_BYTES,
    compression: false,
  })
  await level.open()
  return level
}

export type LevelDbReason = 'disk-full' | 'disk-failed' | 'damaged' | 'locked'

/** The error and what caused it, as one text. */
const wordsOf = (error: unknown): string =>
  error instanceof Error ? `${systemCode(error) ?? ''} ${error.message} ${wordsOf(error.cause)}` : ''

/** LevelDB tells it in words alone; what lies behind a colon is the system's text. */
export const reasonOf = (error: unknown): LevelDbReason => {
  const words = wordsOf(error)
  if (/ENOSPC|EDQUOT|No space left|quota exceeded|not enough space/i.test(words)) return 'disk-full'
  if (/LEVEL_LOCKED/.test(words)) return 'locked'
  const isDamage = /LEVEL_CORRUPTION|corrupt|No such file|does not exist|missing files|bad block|not an sstable/i
  return isDamage.test(words) ? 'damaged' : 'disk-failed'
}

const HINTS: Record<LevelDbReason, string> = {
  'disk-full': 'make room on the disk; nothing that was answered is lost, and it goes on by itself',
  'disk-failed': 'see whether the disk is well; the store is tried again by itself',
  damaged: 'parley store verify shows what is left, parley store repair keeps it',
  locked: 'stop the other process that uses this data directory',
}

export const closedRows = (): ParleyError =>
  storeError('closed', 'the store of messages is closed', 'the node is stopping; nothing that was answered is lost')

/** The innermost text, which says what happened. */
const lastWords = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? lastWords(error.cause) : error.message
}

/** @param what for a person, as in `the messages could not be written` */
export const levelDbError = (what: string, error: unknown): ParleyError => {
  const reason = reasonOf(error)
  return storeError(reason, `${what}: ${lastWords(error)}`, HINTS[reason], error)
}

export const damagedRows = (what: string, cause?: unknown): ParleyError =>
  storeError('damaged', `the stored messages are damaged: ${what}`, HINTS.damaged, cause)
