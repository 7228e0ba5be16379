/**
 * What a person does with damaged messages: look, and keep what is good, as another store.
 *
 * Good rows are written into a folder beside the old one; only then the old one is put aside, with `.damaged`, and the new one
 * takes its name. A crash in between leaves the store damaged, or repaired, and never in part: it is run again. What is lost
 * may be what was sent, and that it was: so what is kept has another id, by which the peers take this node for a new sender.
 */
import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { ParleyError } from '../../../protocols/errors.ts'
import { recordFileIdentity } from '../files/copy-detection.ts'
import { type Disk, lookIntoFolder, openFolder } from '../files/disk.ts'
import { putAside, type RandomBytes } from '../journal/replace-log.ts'
import { LEVEL_FOLDER, ROWS_FOLDER } from '../known-stores.ts'
import { storeError } from '../log/log-segments.ts'
import { copyGoodRows } from '../rows/row-copy.ts'
import { type RowSurvey, surveyRows, type VisitRow } from '../rows/row-survey.ts'
import { DAMAGE_NOTE, readDamageNote } from './damage-note.ts'
import { rowsFailure } from './row-session.ts'

const MENDED_FOLDER = 'mended'

export interface MessageSurvey extends RowSurvey {
  /** The first problem; undefined: all of it is whole. */
  readonly problem: ParleyError | undefined
  /** An earlier version wrote them: they are taken over when the node starts, and not read before. */
  readonly isEarlier: boolean
}

const damaged = (what: string, how: string): ParleyError =>
  storeError('damaged', `the stored ${what} are damaged: ${how}`, 'parley store repair keeps what is good')

/**
 * Reads all of the messages, and changes nothing.
 * @param visit is told of each row that is there
 * @param what they are, for a person
 * @throws STA003 with `details.reason` `disk-full` or `disk-failed`
 */
export const surveyMessages = async (folder: string, visit?: VisitRow, what = 'messages'): Promise<MessageSurvey> => {
  try {
    const names = await lookIntoFolder(folder).list()
    const isThere = names.includes(ROWS_FOLDER)
    const found = await surveyRows(lookIntoFolder(join(folder, ROWS_FOLDER)), visit)
    const problems: ParleyError[] = [...found.problems]
    const noted = await readDamageNote(folder)
    if (noted !== undefined && problems.length === 0) problems.push(damaged(what, noted))
    const isEarlier = !isThere && names.includes(LEVEL_FOLDER)
    const isNew = found.isNew && problems.length === 0 && !isEarlier
    return { ...found, problems, isNew, problem: problems[0], isEarlier }
  } catch (error) {
    throw rowsFailure(`the ${what} in ${folder} could not be read`, error)
  }
}

export interface RepairedMessages {
  readonly before: MessageSurvey
  readonly after: MessageSurvey
  /** Names that files and folders have now; none: there was nothing to repair. */
  readonly aside: readonly string[]
}

/** Where a crash came between the two renames. */
const finishRenaming = async (folder: string, disk: Disk): Promise<void> => {
  const names = await disk.list()
  if (names.includes(ROWS_FOLDER) || !names.includes(MENDED_FOLDER)) return
  await rename(join(folder, MENDED_FOLDER), join(folder, ROWS_FOLDER))
  await disk.syncNames()
}

/**
 * Repairs what can be repaired; a second time there is nothing to do.
 * @throws STA003 with `details.reason`: `newer`, or `disk-full` or `disk-failed`, and then it can be tried again
 */
export const repairMessages = async (folder: string, random: RandomBytes, what?: string): Promise<RepairedMessages> => {
  const disk = await openFolder(folder)
  await finishRenaming(folder, disk)
  const before = await surveyMessages(folder, undefined, what)
  const { problem } = before
  if (problem === undefined) return { before, after: before, aside: [] }
  const names = await disk.list()
  if (problem.details.reason === 'newer' || !names.includes(ROWS_FOLDER)) throw problem
  const mended = join(folder, MENDED_FOLDER)
  try {
    await rm(mended, { recursive: true, force: true })
    await copyGoodRows(await openFolder(join(folder, ROWS_FOLDER)), await openFolder(mended), {
      random,
      log: { warn: () => {} },
    })
    const aside = await putAside(disk, [ROWS_FOLDER], '.damaged')
    await rename(mended, join(folder, ROWS_FOLDER))
    await disk.syncNames()
    await disk.remove(DAMAGE_NOTE)
    await disk.syncNames()
    await recordFileIdentity(folder)
    return { before, after: await surveyMessages(folder, undefined, what), aside }
  } catch (error) {
    throw rowsFailure(`the ${what ?? 'messages'} in ${folder} could not be repaired`, error)
  }
}
