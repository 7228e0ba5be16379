/** `parley store accept-loss`: lets a node start although something that it alone had is gone for good. */

import { join } from 'node:path'
import type { ParleyError } from '../../../../protocols/errors.ts'
import { escapeText } from '../../../observe/log/log-fields.ts'
import { acceptFenceLoss } from '../../../store/fences/fence-store.ts'
import { type Disk, openFolder } from '../../../store/files/disk.ts'
import { FOUNDING_FILE } from '../../../store/journal/founding-file.ts'
import { recoverJournal } from '../../../store/journal/journal-recovery.ts'
import { repairJournal } from '../../../store/journal/journal-repair.ts'
import { type JournalSurvey, surveyJournal } from '../../../store/journal/journal-survey.ts'
import { putAside } from '../../../store/journal/replace-log.ts'
import { snapshotFiles } from '../../../store/journal/snapshot-survey.ts'
import { FENCE_FOLDER, forgetStores, type KnownJournal } from '../../../store/known-stores.ts'
import { LOG_MARKER_FILE } from '../../../store/log/log-marker.ts'
import { storeError } from '../../../store/log/log-segments.ts'
import { processTerminalPrompt, type TerminalPrompt } from '../../input/terminal-prompt.ts'
import { remark } from '../../output/print.ts'
import { ownerPeer, withStoppedNode } from './stopped-node.ts'
import { type ConfirmedCommandOptions, confirm, printResult, random, recordNewMember } from './store-change.ts'
import { conditionOf, inspectStores, type StoreProblem } from './store-condition.ts'
import { factsOf, type JournalFacts, logLine, type StoreOwner } from './store-facts.ts'

const lossPlanText = ({ dataDir }: StoreOwner, losses: readonly string[]): string =>
  `This lets the node in ${escapeText(dataDir)} start although something that it had is gone for good:
${losses.map((loss) => `  ${escapeText(loss)}`).join('\n')}
If there is a backup, put that back instead.
`

const lossText = ({ dataDir }: StoreOwner, store: JournalFacts | undefined): string => {
  const on =
    store === undefined
      ? 'what is gone is made anew'
      : `its journal goes on with ${logLine(store)}, as the mesh ${store.meshId}; bring other nodes over with parley store adopt`
  return `the loss in ${escapeText(dataDir)} is accepted: ${on}`
}

const leftOf = async (disk: Disk): Promise<string[]> => {
  const names = await disk.list()
  return [...names.filter((name) => name === FOUNDING_FILE), ...(await snapshotFiles(disk))]
}

const notNeeded = ([first]: readonly StoreProblem[]): ParleyError =>
  storeError(
    'not-needed',
    `there is no loss that has to be accepted${first === undefined ? '' : `; ${first.error.message}`}`,
    first?.error.hint ?? 'start the node',
  )

/** Beside fences that are gone: it would miss them. */
const putFenceMarkerAside = async (dataDir: string): Promise<void> => {
  const disk = await openFolder(join(dataDir, FENCE_FOLDER))
  await putAside(
    disk,
    (await disk.list()).filter((name) => name === LOG_MARKER_FILE),
    '.abandoned',
  )
}

/** With what is good of a journal as another mesh, or, where nothing of it can stand, without one. */
const recoverOrDrop = async (
  disk: Disk,
  peer: string,
  noted: KnownJournal | undefined,
): Promise<{ before: JournalSurvey; after: JournalSurvey }> => {
  const repaired = await repairJournal(disk, { random, peer, noted })
  if (repaired.after.configuration.voters.length > 0) return recoverJournal(disk, random, peer)
  await putAside(disk, [...(await leftOf(disk)), ...repaired.after.files, LOG_MARKER_FILE], '.abandoned')
  return { before: repaired.before, after: await surveyJournal(disk) }
}

/**
 * What a node does not start without: that it is gone is accepted. A journal in which it voted alone goes on as another mesh,
 * as with `force-recover`: what is gone may have been that others vote.
 */
export const acceptLoss = (
  options: ConfirmedCommandOptions,
  terminal: TerminalPrompt = processTerminalPrompt(),
): Promise<void> =>
  withStoppedNode(options, async (stopped) => {
    const { disk, owner } = stopped
    const { dataDir } = owner
    const { missing, alone, fences, known } = await conditionOf(stopped)
    const gone = missing.filter(({ isAlone }) => isAlone)
    const parts = gone.map(({ part }) => part)
    const errors = [...gone.map(({ error }) => error), ...[fences, alone].filter((error) => error !== undefined)]
    const losses = errors.map(({ message }) => message)
    if (losses.length === 0) throw notNeeded((await inspectStores(stopped)).condition.problems)
    const peer = ownerPeer(owner)
    remark(lossPlanText(owner, losses))
    await confirm('Type accept-loss to go on: ', 'accept-loss', options.yes, '--yes', terminal)
    // Without its log a founding file would hold the node in a mesh that nobody decides in any more.
    if (parts.includes('journal') && disk !== undefined) await putAside(disk, await leftOf(disk), '.abandoned')
    if (fences !== undefined) await acceptFenceLoss(await openFolder(join(dataDir, FENCE_FOLDER)), random)
    else if (parts.includes('fences')) await putFenceMarkerAside(dataDir)
    await forgetStores(dataDir, fences === undefined ? parts : [...parts, 'fences'])
    const now = alone && disk && (await recoverOrDrop(disk, peer, known.journal))
    if (now !== undefined) await recordNewMember(owner, now)
    if (now !== undefined && now.after.storageId === undefined) await forgetStores(dataDir, ['journal'])
    const store = now?.after.storageId === undefined ? undefined : factsOf(now.after, owner)
    printResult(options, { dataDir, accepted: losses, store }, lossText(owner, store))
  })
