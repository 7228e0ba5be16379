/**
 * What a person does with a damaged row store: keep the rows that are good, as another store.
 *
 * What vanished may be what was sent, and that it was: so what is kept has another id, by which the peers take this node for
 * a new sender. Good rows are written into a new LevelDB beside the old one; only then the old one is put aside, with
 * `.damaged`, and the new one takes its name. A crash in between leaves the store damaged, or repaired, and never in part:
 * repair is run again. Rows that were removed may be back, where the files had to be put together anew.
 */
import { readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { isParleyError } from '../../../protocols/errors.ts'
import { recordFileIdentity } from '../files/copy-detection.ts'
import { type Disk, openFolder } from '../files/disk.ts'
import { putAside, type RandomBytes } from '../journal/replace-log.ts'
import { COMMIT_MARKER_FILE, writeCommitMarker } from './commit-marker.ts'
import { copyLevelDb } from './level-copy.ts'
import { type LevelDb, levelDbError, openLevelDb, reasonOf } from './level-db.ts'
import { isWholeTable, salvageTable } from './level-table.ts'
import { encodeId, encodeSums, ID_KEY, printOf, type RowStoreId, renewedId, SUMS_KEY, sealRow } from './row-codec.ts'
import { createRowTally, type RowTally } from './row-sums.ts'
import { LEVEL_FOLDER, type RowScan, type RowSurvey, scanRows, surveyRows } from './row-survey.ts'

/** What the new LevelDB is called until it counts. */
const MENDED_FOLDER = 'mended'
const TRIAL_FOLDER = 'trial'

export interface RepairedRows {
  readonly before: RowSurvey
  readonly after: RowSurvey
  /** Names that files and folders have now; none: there was nothing to repair. */
  readonly aside: readonly string[]
  /** Keys of rows that were there and are bad, the first 100, and how many there are. */
  readonly badKeys: readonly string[]
  readonly badRows: number
  /** Rows that there were at the last group that can be read, and are not any more; undefined: nothing tells. */
  readonly vanished: number | undefined
  /** Groups of changes that were answered after the last one that can be read: their rows are gone, and counted nowhere; undefined: nothing tells. */
  readonly lostGroups: number | undefined
}

/** A copy in which all tables are whole, with what can be kept of those that are not. */
const salvage = async (from: string, to: string): Promise<void> => {
  let isChanged = false
  await copyLevelDb(from, to, async (path) => {
    const table = await readFile(path)
    if (isWholeTable(table)) return true
    isChanged = true
    return salvageTable(table) ?? false
  })
  if (isChanged) await ClassicLevel.repair(to)
}

/** Opens what may be damaged; where LevelDB does not, it puts together what it finds first. */
const openAnyhow = async (path: string): Promise<LevelDb> => {
  try {
    return await openLevelDb(path, { create: false })
  } catch (error) {
    if (reasonOf(error) !== 'damaged') throw error
    await ClassicLevel.repair(path)
    return openLevelDb(path, { create: true })
  }
}

/** Copies the good rows of `from` into `to`, besides the store's own. */
const copyRows = async (from: LevelDb, to: LevelDb, tally: RowTally): Promise<RowScan> => {
  let batch = to.batch()
  const scan = await scanRows(from, {
    visit(key, value, crc) {
      if (key === ID_KEY) return
      batch.put(key, sealRow(key, value).bytes)
      tally.change(key, undefined, printOf(crc, value.length))
    },
    async pause() {
      await batch.write({ sync: true })
      batch = to.batch()
    },
  })
  await batch.write()
  return scan
}

/** The good rows as a LevelDB of their own, and what was found. */
const mend = async (
  trial: string,
  mended: string,
  renew: (before: RowStoreId | undefined) => RowStoreId,
  markGroup: number,
): Promise<{ scan: RowScan; id: RowStoreId; group: number }> => {
  await rm(mended, { recursive: true, force: true })
  const from = await openAnyhow(trial)
  try {
    const to = await openLevelDb(mended, { create: true })
    try {
      const tally = createRowTally()
      const scan = await copyRows(from, to, tally)
      const id = renew(scan.id)
      const value = encodeId(id)
      const row = sealRow(ID_KEY, value)
      tally.change(ID_KEY, undefined, printOf(row.crc, value.length))
      // Ahead of the mark: it is no damage if the new mark is not written.
      const group = Math.max(scan.sums?.group ?? 0, markGroup) + 1
      const sums = sealRow(SUMS_KEY, encodeSums({ group, count: tally.count, sum: tally.sum }))
      await to.batch().put(ID_KEY, row.bytes).put(SUMS_KEY, sums.bytes).write({ sync: true })
      return { scan, id, group }
    } finally {
      await to.close()
    }
  } finally {
    await from.close()
  }
}

/** Where a crash came between the two renames. */
const finishRenaming = async (folder: string, disk: Disk): Promise<void> => {
  const names = await disk.list()
  if (names.includes(LEVEL_FOLDER) || !names.includes(MENDED_FOLDER)) return
  await rename(join(folder, MENDED_FOLDER), join(folder, LEVEL_FOLDER))
  await disk.syncNames()
}

const repair = async (folder: string, random: RandomBytes): Promise<RepairedRows> => {
  const disk = await openFolder(folder)
  await finishRenaming(folder, disk)
  const before = await surveyRows(folder)
  const nothing = {
    before,
    after: before,
    aside: [],
    badKeys: [],
    badRows: 0,
    vanished: undefined,
    lostGroups: undefined,
  }
  if (before.problem === undefined) return nothing
  if (before.problem.details.reason === 'newer') throw before.problem
  const db = join(folder, LEVEL_FOLDER)
  const trial = join(folder, TRIAL_FOLDER)
  const mended = join(folder, MENDED_FOLDER)
  const { mark } = before
  const known = mark.kind === 'whole' ? mark : undefined
  const marked = known && { id: known.id, formerIds: [] }
  const renew = (found: RowStoreId | undefined): RowStoreId => renewedId(found ?? marked, random)
  const isThere = (await disk.list()).includes(LEVEL_FOLDER)
  let done: Awaited<ReturnType<typeof mend>>
  try {
    if (isThere) await salvage(db, trial)
    done = await mend(trial, mended, renew, known?.group ?? 0)
  } finally {
    await rm(trial, { recursive: true, force: true })
  }
  const aside = isThere ? await putAside(disk, [LEVEL_FOLDER], '.damaged') : []
  await rename(mended, db)
  await disk.syncNames()
  if (mark.kind !== 'none') aside.push(...(await putAside(disk, [COMMIT_MARKER_FILE], '.damaged')))
  await writeCommitMarker(disk, done.group, done.id.id)
  await recordFileIdentity(folder)
  const { badKeys, badRows, sums, count } = done.scan
  const vanished = sums === undefined ? undefined : Math.max(0, sums.count - count - badRows)
  const lostGroups = sums === undefined || known === undefined ? undefined : Math.max(0, known.group - sums.group)
  return { before, after: await surveyRows(folder), aside, badKeys, badRows, vanished, lostGroups }
}

/**
 * Repairs what can be repaired; a second time there is nothing to do.
 * @throws STA003 with `details.reason`: `newer`, or `disk-full` or `disk-failed`, and then it can be tried again
 */
export const repairRows = async (folder: string, random: RandomBytes): Promise<RepairedRows> => {
  try {
    return await repair(folder, random)
  } catch (error) {
    throw isParleyError(error) ? error : levelDbError(`the messages in ${folder} could not be repaired`, error)
  }
}
