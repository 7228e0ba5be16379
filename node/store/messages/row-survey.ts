/**
 * What lies in the folder of a row store, all of it read and checked, and nothing changed: the rows, their sums, the mark,
 * and what is wrong. The blocks of the tables are checked, then LevelDB is opened in a copy (level-copy.ts), where it would
 * remove what shows that something is missing.
 */
import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { isParleyError, type ParleyError } from '../../../protocols/errors.ts'
import { systemCode } from '../../platform/private-file.ts'
import { openFolder } from '../files/disk.ts'
import { storeError } from '../log/log-segments.ts'
import { type ReadCommitMarker, readCommitMarker } from './commit-marker.ts'
import { copyLevelDb } from './level-copy.ts'
import { damagedRows, type LevelDb, levelDbError, openLevelDb, reasonOf } from './level-db.ts'
import { isWholeTable } from './level-table.ts'
import {
  addToSum,
  decodeId,
  decodeSums,
  ID_KEY,
  openRow,
  ROW_FORMAT,
  type RowStoreId,
  type StoredRowSums,
  SUMS_KEY,
} from './row-codec.ts'

export const LEVEL_FOLDER = 'db'
const TRIAL_FOLDER = 'trial'
/** Rows that are fetched at once. */
const CHUNK_ROWS = 1_000
const CHUNK_BYTES = 1024 * 1024
/** Names that are kept of rows that are bad, and of kinds of rows. */
const MAX_NAMES = 100
/** Files that a message names. */
const MAX_SHOWN = 3

export interface RowSurvey {
  /** Nothing was ever stored here. */
  readonly isNew: boolean
  readonly id: RowStoreId | undefined
  /** As the rows say; undefined: they say nothing. */
  readonly sums: StoredRowSums | undefined
  readonly mark: ReadCommitMarker
  /** Rows that are good, besides the store's own. */
  readonly rows: number
  /** By what their keys begin with, up to what is neither letter nor digit. */
  readonly kinds: readonly { readonly kind: string; readonly rows: number }[]
  /** Keys of rows that are bad, the first 100, and how many there are. */
  readonly badKeys: readonly string[]
  readonly badRows: number
  /** Rows by which there are less than there should be; below 0: there are more. */
  readonly vanished: number
  /** On disk. */
  readonly bytes: number
  /** STA003 with `details.reason` `damaged` or `newer`. */
  readonly problem: ParleyError | undefined
}

/** What was read of a LevelDB. */
export interface RowScan {
  readonly id: ReturnType<typeof decodeId>
  readonly sums: StoredRowSums | undefined
  /** What the good rows come to, besides the sums. */
  readonly count: number
  readonly sum: number
  readonly rows: number
  readonly kinds: Map<string, number>
  readonly badKeys: readonly string[]
  readonly badRows: number
}

export interface RowScanOptions {
  /** Told of each good row, besides the sums. */
  readonly visit?: VisitRow | undefined
  /** Waited for after some rows each. */
  readonly pause?: () => Promise<void>
}

export type VisitRow = (key: string, value: Uint8Array, crc: number) => void

const kindOf = (key: string): string => /^[A-Za-z0-9-]*/.exec(key)?.[0] ?? ''

/** Reads all rows. @throws what LevelDB says */
export const scanRows = async (level: LevelDb, { visit, pause }: RowScanOptions = {}): Promise<RowScan> => {
  const kinds = new Map<string, number>()
  const badKeys: string[] = []
  let [count, sum, rows, badRows] = [0, 0, 0, 0]
  let id: RowScan['id']
  let sums: StoredRowSums | undefined
  const take = (raw: Buffer, bytes: Uint8Array): void => {
    const key = raw.toString()
    const row = openRow(raw, bytes)
    if (row === undefined) {
      badRows += 1
      if (badKeys.length < MAX_NAMES) badKeys.push(key)
      return
    }
    if (key === SUMS_KEY) {
      sums = decodeSums(row.value)
      return
    }
    count += 1
    sum = addToSum(sum, row.crc)
    visit?.(key, row.value, row.crc)
    if (key === ID_KEY) {
      id = decodeId(row.value)
      return
    }
    rows += 1
    const kind = kindOf(key)
    const counted = kinds.has(kind) || kinds.size < MAX_NAMES ? kind : ''
    kinds.set(counted, (kinds.get(counted) ?? 0) + 1)
  }
  const found = level.iterator<Buffer, Uint8Array>({ keyEncoding: 'buffer', highWaterMarkBytes: CHUNK_BYTES })
  try {
    for (;;) {
      const some = await found.nextv(CHUNK_ROWS)
      if (some.length === 0) return { id, sums, count, sum, rows, kinds, badKeys, badRows }
      for (const [key, value] of some) take(key, value)
      await pause?.()
    }
  } finally {
    await found.close()
  }
}

const newer = (what: string, format: number): ParleyError =>
  storeError(
    'newer',
    `${what} has the format ${format}, and this version knows ${ROW_FORMAT}`,
    'start this node with the version that wrote it, or a later one',
  )

const count = (n: number, one: string): string => `${n} ${one}${n === 1 ? '' : 's'}`

/** What is wrong with what was read. */
const problemOf = (
  { id, sums, badRows, badKeys, ...all }: RowScan,
  mark: ReadCommitMarker,
): ParleyError | undefined => {
  if (id !== undefined && id.format > ROW_FORMAT) return newer('the store of messages', id.format)
  if (badRows > 0) return damagedRows(`${count(badRows, 'row')} with a wrong checksum, the first is ${badKeys[0]}`)
  if (sums === undefined) return damagedRows('nothing says which rows there should be')
  const missing = sums.count - all.count
  if (missing > 0) return damagedRows(`${count(missing, 'row')} of ${sums.count} vanished`)
  if (missing < 0) return damagedRows(`${count(-missing, 'row')} that were removed are back`)
  if (sums.sum !== all.sum) return damagedRows('there are older rows in place of newer ones')
  if (id === undefined) return damagedRows('nothing says whose rows these are')
  if (mark.kind === 'none') return damagedRows('the file that says how far they should go is not there')
  if (mark.kind === 'damaged') return damagedRows('the file that says how far they should go is damaged')
  if (mark.kind === 'newer') return newer('the mark of the store of messages', mark.format)
  if (mark.group > sums.group)
    return damagedRows(`they end at group ${sums.group}, and were answered to group ${mark.group}`)
  if (mark.id !== id.id && !id.formerIds.includes(mark.id))
    return damagedRows('the mark beside them is of another store')
  return undefined
}

export const folderBytes = async (folder: string): Promise<number> => {
  let bytes = 0
  for (const name of await readdir(folder)) {
    try {
      bytes += (await stat(join(folder, name))).size
    } catch (error) {
      // LevelDB removes files as it likes.
      if (systemCode(error) !== 'ENOENT') throw error
    }
  }
  return bytes
}

/** Undefined: there is no such folder. */
const namesIn = async (folder: string): Promise<string[] | undefined> => {
  try {
    return await readdir(folder)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Nothing was ever answered from here: a crash before the first group was durable leaves this. */
const isUnbegun = (names: readonly string[] | undefined): boolean =>
  names === undefined || (!names.includes('CURRENT') && !names.some((name) => /\.(ldb|sst|log)$/.test(name)))

const WORDLESS = {
  sums: undefined,
  id: undefined,
  rows: 0,
  kinds: [],
  badKeys: [],
  badRows: 0,
  vanished: 0,
  bytes: 0,
}

/** Tables that are not whole are left out: where one of them counts, LevelDB does not open. */
const scanTrial = async (from: string, trial: string, visit: VisitRow | undefined): Promise<RowScan> => {
  const broken: string[] = []
  const isWhole = async (table: string): Promise<boolean> => {
    if (isWholeTable(await readFile(table))) return true
    broken.push(basename(table))
    return false
  }
  try {
    await copyLevelDb(from, trial, isWhole)
    const level = await openLevelDb(trial, { create: false })
    try {
      return await scanRows(level, { visit })
    } finally {
      await level.close()
    }
  } catch (error) {
    if (broken.length > 0 && reasonOf(error) === 'damaged')
      throw damagedRows(
        `${broken.slice(0, MAX_SHOWN).join(', ')} ${broken.length === 1 ? 'is' : 'are'} not whole`,
        error,
      )
    throw error
  } finally {
    await rm(trial, { recursive: true, force: true })
  }
}

/**
 * @param visit is told of each good row, besides the sums
 * @throws STA003 with `details.reason` `disk-full` or `disk-failed`
 */
export const surveyRows = async (folder: string, visit?: VisitRow): Promise<RowSurvey> => {
  const db = join(folder, LEVEL_FOLDER)
  try {
    const mark = await readCommitMarker(await openFolder(folder))
    const names = await namesIn(db)
    const nothing = { ...WORDLESS, mark, isNew: false, problem: undefined }
    if (mark.kind === 'newer') return { ...nothing, problem: newer('the store of messages', mark.format) }
    if (mark.kind === 'none' && isUnbegun(names)) return { ...nothing, isNew: true }
    if (names === undefined) return { ...nothing, problem: damagedRows(`the folder ${LEVEL_FOLDER} is not there`) }
    const bytes = await folderBytes(db)
    let scan: RowScan
    try {
      scan = await scanTrial(db, join(folder, TRIAL_FOLDER), visit)
    } catch (error) {
      if (isParleyError(error)) return { ...nothing, bytes, problem: error }
      if (reasonOf(error) !== 'damaged') throw error
      return { ...nothing, bytes, problem: damagedRows(levelDbError('they cannot be read', error).message, error) }
    }
    const { id, sums, rows, badKeys, badRows } = scan
    const isNew = mark.kind === 'none' && rows + badRows === 0 && (sums?.group ?? 0) <= 1
    const kinds = [...scan.kinds].map(([kind, n]) => ({ kind, rows: n })).sort((a, b) => (a.kind < b.kind ? -1 : 1))
    const vanished = sums === undefined ? 0 : sums.count - scan.count - badRows
    const problem = isNew ? undefined : problemOf(scan, mark)
    return { isNew, id, sums, mark, rows, kinds, badKeys, badRows, vanished, bytes, problem }
  } catch (error) {
    throw levelDbError(`the messages in ${folder} could not be read`, error)
  }
}
