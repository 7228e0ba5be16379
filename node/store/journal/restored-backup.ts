/**
 * A store that came back from a backup, or was copied: who a node is when it starts on one.
 *
 * An older copy has forgotten entries that this node said it had, and votes that it gave. So it may not take part as the
 * member that it was: its log is kept, under a storage id of its own, by which the group takes the node for a new one that
 * learns. Its vote is of no use to the new member; its term stays. The founding file follows when the node starts
 * (founding/founding-steps.ts, `resume`): who was a founder is one no more. Only where this node alone votes, as its log knows it,
 * and joins nobody, it goes on as it was: as far as it knows nobody else counts on it.
 *
 * A crash in between leaves a folder that still counts as copied, and all of it is done again at the next start. The old
 * files are put aside under their names with `.abandoned`.
 */
import { memberIdOf } from '../../../protocols/consensus/member-id.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import type { Port } from '../../../protocols/port.ts'
import { isFullDisk, systemCode } from '../../platform/private-file.ts'
import { type CopyVerdict, detectCopy, recordFileIdentity } from '../files/copy-detection.ts'
import type { Disk } from '../files/disk.ts'
import { hex, storeError } from '../log/log-segments.ts'
import { type JournalSurvey, surveyJournal } from './journal-survey.ts'
import { finishReplacing, newStorageId, payloadsOf, type RandomBytes, replaceLog } from './replace-log.ts'

/** `empty`: there is no log. `kept`: this node is the only voter, and alone. */
export type RestoredBackup =
  | { readonly kind: 'empty' }
  | { readonly kind: 'kept'; readonly member: string }
  | { readonly kind: 'renewed'; readonly was: string; readonly member: string; readonly aside: readonly string[] }

const isOnlyVoter = ({ configuration: { voters } }: JournalSurvey, member: string): boolean =>
  voters.length === 1 && voters[0] === member

const failed = (error: unknown): unknown => {
  if (isParleyError(error) || systemCode(error) === undefined) return error
  const isFull = isFullDisk(error)
  return storeError(
    isFull ? 'disk-full' : 'disk-failed',
    `the journal was restored or copied, and a new member id cannot be written: ${(error as Error).message}`,
    isFull ? 'make room on the disk and start it again; nothing was changed' : 'see whether the disk is well',
    error,
  )
}

/**
 * Gives the log of a restored store another storage id.
 * @param peer id of this node
 * @param joins it has somebody to join, so that others may have voted since
 * @throws STA003 with `details.reason`: `damaged` or `newer` for a log that a node does not start with, `disk-full`,
 *   `disk-failed`; it can be done again then
 */
export const renewRestoredJournal = async (
  disk: Disk,
  random: RandomBytes,
  peer: string,
  joins: boolean,
): Promise<RestoredBackup> => {
  try {
    let found = await surveyJournal(disk)
    const aside: string[] = []
    if (found.unfinished !== undefined) {
      aside.push(...(await finishReplacing(disk, found.unfinished, '.abandoned')))
      found = await surveyJournal(disk)
    }
    // The founding file is looked at by whoever reads it.
    const broken = found.problems.find(({ part }) => part !== 'founding')
    if (broken !== undefined) throw broken.error
    if (found.storageId === undefined) return { kind: 'empty' }
    const was = memberIdOf(peer, found.storageId)
    if (!joins && isOnlyVoter(found, was)) return { kind: 'kept', member: was }
    const storageId = newStorageId(random)
    const { hardState, ...log } = found.log.state
    const renewed = { ...log, hardState: { ...hardState, votedFor: undefined } }
    aside.push(...(await replaceLog(disk, random, payloadsOf(renewed), storageId, '.abandoned')))
    return { kind: 'renewed', was, member: memberIdOf(peer, hex(storageId)), aside }
  } catch (error) {
    throw failed(error)
  }
}

export interface RestoredBackupDeps {
  readonly disk: Disk
  /** Where it is. */
  readonly folder: string
  readonly random: RandomBytes
  /** Id of this node. */
  readonly peer: string
  /** It has somebody to join. */
  readonly joins: boolean
  readonly log: Port['log']
}

/** Without room for it the node starts all the same, and a copy that is made until then is not noticed. */
const markLater = async ({ folder, log }: RestoredBackupDeps): Promise<void> => {
  try {
    await recordFileIdentity(folder)
  } catch (error) {
    log.warn('the place of the journal could not be noted; a copy of it would not be noticed', { error })
  }
}

/**
 * Before a node opens its store: sees whether the folder is where it was, and makes the node a new member where it is not.
 * @returns what was found
 * @throws as `renewStore`
 */
export const handleRestoredBackup = async (deps: RestoredBackupDeps): Promise<CopyVerdict> => {
  const { disk, folder, random, peer, joins, log } = deps
  const place = await detectCopy(folder)
  if (place === 'same') return place
  if (place === 'unknown') {
    await markLater(deps)
    return place
  }
  const returned = await renewRestoredJournal(disk, random, peer, joins)
  if (returned.kind === 'renewed') {
    const { was, member, aside } = returned
    await recordFileIdentity(folder)
    log.warn(
      'the journal of this node was restored from a backup or copied: what it promised since is forgotten, so it comes back as a new member that learns first',
      { was, member, aside },
    )
    return place
  }
  await markLater(deps)
  if (returned.kind === 'kept')
    log.warn(
      'the journal of this node was restored from a backup or copied; it goes on as it was, since nobody else votes as far as it knows',
      { member: returned.member, hint: 'where others voted later, stop it at once and use parley store adopt' },
    )
  return place
}
