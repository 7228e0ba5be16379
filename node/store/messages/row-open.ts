/**
 * Opens a row store: looks at all of it first, makes what is new, and gives another id to one that came back from a backup
 * or was copied: it has forgotten what it sent and what it was sent since.
 *
 * A crash in between leaves a store that counts as new, or as copied, again.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isParleyError } from '../../../protocols/errors.ts'
import type { Port } from '../../../protocols/port.ts'
import { detectCopy, recordFileIdentity } from '../files/copy-detection.ts'
import { openFolder } from '../files/disk.ts'
import { writeCommitMarker } from './commit-marker.ts'
import { damagedRows, levelDbError, openLevelDb } from './level-db.ts'
import {
  encodeId,
  encodeSums,
  ID_KEY,
  printOf,
  type RowPrint,
  type RowStoreId,
  renewedId,
  SUMS_KEY,
  sealRow,
} from './row-codec.ts'
import { SLACK_BYTES } from './row-compaction.ts'
import { beginRowSession, type RowSession, type RowSessionDeps } from './row-session.ts'
import { createRowTally, type RowTally } from './row-sums.ts'
import { LEVEL_FOLDER, surveyRows } from './row-survey.ts'

export interface RowOpenDeps extends Pick<Port, 'random' | 'log' | 'timers'> {
  /** Rows whose CRCs are kept in memory (row-sums.ts). */
  readonly maxKnown?: number
  /** Bytes on disk that are out of date and do not matter (row-compaction.ts). */
  readonly slackBytes?: number
}

export interface OpenedRows {
  readonly session: RowSession
  readonly id: RowStoreId
}

/** One group that says whose rows these are. */
const writeId = async (folder: string, tally: RowTally, group: number, id: RowStoreId): Promise<void> => {
  const level = await openLevelDb(join(folder, LEVEL_FOLDER), { create: true })
  try {
    const value = encodeId(id)
    const row = sealRow(ID_KEY, value)
    tally.change(ID_KEY, tally.printOf(ID_KEY), printOf(row.crc, value.length))
    const { count, sum } = tally
    const sums = sealRow(SUMS_KEY, encodeSums({ group, count, sum }))
    await level.batch().put(ID_KEY, row.bytes).put(SUMS_KEY, sums.bytes).write({ sync: true })
  } finally {
    await level.close()
  }
  await writeCommitMarker(await openFolder(folder), group, id.id)
}

/** Without room for it the store opens all the same, and a copy that is made until then is not noticed. */
const markLater = async (folder: string, log: Port['log']): Promise<void> => {
  try {
    await recordFileIdentity(folder)
  } catch (error) {
    log.warn('the place of the messages could not be noted; a copy of them would not be noticed', { error })
  }
}

interface Begun {
  readonly id: RowStoreId
  readonly tally: RowTally
  readonly group: number
}

const begin = async (folder: string, { random, log, maxKnown }: RowOpenDeps, isFirst: boolean): Promise<Begun> => {
  const tally = createRowTally(maxKnown)
  let idPrint: RowPrint | undefined
  const found = await surveyRows(folder, (key, value, crc) => {
    if (key === ID_KEY) idPrint = printOf(crc, value.length)
    else tally.change(key, undefined, printOf(crc, value.length))
  })
  if (found.problem !== undefined) throw found.problem
  if (found.isNew) {
    const id = renewedId(undefined, random)
    const fresh = createRowTally(maxKnown)
    await rm(join(folder, LEVEL_FOLDER), { recursive: true, force: true })
    await writeId(folder, fresh, 1, id)
    await markLater(folder, log)
    return { id, tally: fresh, group: 1 }
  }
  const { id, sums } = found
  if (id === undefined || sums === undefined) throw damagedRows('nothing says whose rows these are')
  // Last, so that it is among those that are known.
  tally.change(ID_KEY, undefined, idPrint)
  const place = isFirst ? await detectCopy(folder) : 'same'
  if (place !== 'copied') {
    if (place === 'unknown') await markLater(folder, log)
    return { id, tally, group: sums.group }
  }
  const renewed = renewedId(id, random)
  await writeId(folder, tally, sums.group + 1, renewed)
  await recordFileIdentity(folder)
  log.warn(
    'the messages of this node were restored from a backup or copied: what was sent and received since is forgotten, so its peers take it for a new sender',
    { was: id.id, id: renewed.id },
  )
  return { id: renewed, tally, group: sums.group + 1 }
}

/**
 * @param isFirst the folder may have been copied since it was used last
 * @param atLeast number of a group that was durable: with less it is damaged
 * @throws STA003 with `details.reason` `damaged`, `newer`, `locked`, `disk-full` or `disk-failed`; nothing was changed then
 */
export const openRowSession = async (
  folder: string,
  deps: RowOpenDeps,
  { isFirst, atLeast, onEnd }: { isFirst: boolean; atLeast: number } & Pick<RowSessionDeps, 'onEnd'>,
): Promise<OpenedRows> => {
  try {
    const { timers, log, slackBytes = SLACK_BYTES } = deps
    const begun = await begin(folder, deps, isFirst)
    const { id, group } = begun
    if (group < atLeast) throw damagedRows(`they end at group ${group}, and were answered to group ${atLeast}`)
    return { id, session: await beginRowSession({ ...begun, folder, timers, log, slackBytes, onEnd }) }
  } catch (error) {
    if (isParleyError(error)) throw error
    throw levelDbError(`the messages in ${folder} could not be opened`, error)
  }
}
