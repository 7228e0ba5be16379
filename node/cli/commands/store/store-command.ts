/**
 * `parley store`: what a stopped node keeps on disk, looked at, repaired, recovered for a mesh that lost its voters, or
 * called moved.
 *
 * All of it holds the lock of the data directory, so that no node runs there meanwhile. What these commands do, and why it
 * is safe: node/store/. Results go to stdout, warnings and questions to stderr.
 */

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { MeshIdSchema } from '../../../../protocols/consensus/bootstrap/founding-record.ts'
import { ParleyError } from '../../../../protocols/errors.ts'
import { JOURNAL_FOLDER } from '../../../coordination/raft-member.ts'
import { acceptFenceLoss } from '../../../store/fences/fence-store.ts'
import { detectCopy, recordFileIdentity } from '../../../store/files/copy-detection.ts'
import { type Disk, openFolder } from '../../../store/files/disk.ts'
import { FOUNDING_FILE } from '../../../store/journal/founding-file.ts'
import { readLossNote } from '../../../store/journal/journal-loss.ts'
import { adoptMesh, checkRecoverable, recoverJournal } from '../../../store/journal/journal-recovery.ts'
import { repairJournal } from '../../../store/journal/journal-repair.ts'
import { type JournalSurvey, snapshotFiles, surveyJournal } from '../../../store/journal/journal-survey.ts'
import { openMemberWithdrawal } from '../../../store/journal/member-withdrawal.ts'
import { putAside } from '../../../store/journal/replace-log.ts'
import { FENCE_FOLDER, forgetStores, type KnownJournal, type KnownPart } from '../../../store/known-stores.ts'
import { LOG_MARKER_FILE } from '../../../store/log/log-marker.ts'
import { storeError } from '../../../store/log/log-segments.ts'
import { processTerminalPrompt, type TerminalPrompt } from '../../input/terminal-prompt.ts'
import { usageError } from '../../output/exit-codes.ts'
import { print, remark } from '../../output/print.ts'
import { ownerPeer, type StoreCommandOptions, withStoppedJournal, withStoppedNode } from './stopped-node.ts'
import { conditionOf, inspectStores, type StoreProblem } from './store-condition.ts'
import { locationText, movedFacts, movedPlanText, movedText } from './store-location-text.ts'
import * as text from './store-text.ts'
import { repairMessages } from './stored-messages.ts'

export interface RepairCommandOptions extends StoreCommandOptions {
  meshId?: string
}
export interface MovedCommandOptions extends StoreCommandOptions {
  yes?: boolean
}
export interface RecoverCommandOptions extends StoreCommandOptions {
  meshId?: string
  yes?: boolean
}

const random = (bytes: number): Uint8Array => new Uint8Array(randomBytes(bytes))

const folderOf = ({ dataDir }: text.StoreOwner): string => join(dataDir, JOURNAL_FOLDER)

/** What has become another member has promised nothing yet: wherever it came from, it may go on from here. */
const settle = async (
  owner: text.StoreOwner,
  { before, after }: { before: JournalSurvey; after: JournalSurvey },
): Promise<void> => {
  if (before.storageId !== after.storageId) await recordFileIdentity(folderOf(owner))
}

/** Who is to vote in another mesh did not give up the seat there. */
const wantSeat = async (disk: Disk): Promise<void> => {
  const { isWithdrawn, save } = await openMemberWithdrawal(disk)
  if (isWithdrawn) await save(false)
}

const told = (options: StoreCommandOptions, facts: unknown, words: string): void =>
  print(options.json === true ? JSON.stringify(facts) : words)

/** The journal of a node that has one. */
const lookAtJournal = async (
  disk: Disk,
  owner: text.StoreOwner,
  journal: JournalSurvey,
  problems: readonly StoreProblem[],
) => {
  const facts = text.factsOf(journal, owner, problems)
  const place = await detectCopy(folderOf(owner))
  const lost = await readLossNote(disk)
  const words = [text.factsText(facts), locationText(place), ...(lost === undefined ? [] : [text.lostText(lost)])]
  return { facts: { ...facts, place, lost }, words: words.join('\n') }
}

const withoutJournal = (owner: text.StoreOwner, problems: readonly StoreProblem[]) => ({
  facts: { dataDir: owner.dataDir, problems: text.problemFacts(problems) },
  words: text.noJournalText(owner, problems),
})

/** The first one, as a start would say it, with what else there is. */
const refuseFor = (problems: readonly StoreProblem[]): void => {
  const [first, ...more] = problems
  if (first === undefined) return
  const { message, hint = 'parley store repair keeps what is good', details } = first.error
  const and = more.map(({ error }) => `; ${error.message}`).join('')
  throw new ParleyError('STA003', `${message}${and}`, { hint, details: { reason: details.reason ?? 'damaged' } })
}

export const verifyStore = (options: StoreCommandOptions): Promise<void> =>
  withStoppedNode({ ...options, readsOnly: true }, async (stopped) => {
    const { disk, owner } = stopped
    const { condition, messages } = await inspectStores(stopped)
    const { journal, problems } = condition
    const { facts, words } =
      disk === undefined || journal === undefined
        ? withoutJournal(owner, problems)
        : await lookAtJournal(disk, owner, journal, problems)
    const all = messages === undefined ? words : `${words}\n${messages.words}`
    told(options, { ...facts, messages: messages?.facts }, all)
    refuseFor(problems)
    if (options.json !== true) print('all is well')
  })

const meshIdOf = (meshId: string): string => {
  if (MeshIdSchema.safeParse(meshId).success) return meshId
  throw usageError(
    `${JSON.stringify(meshId)} is no mesh id`,
    'it is 32 hexadecimal digits, see `parley coordinator status`',
  )
}

/** What another command or a person has to see to is left as it is, and said as `verify` and a start say it. */
export const repairStoppedStore = (options: RepairCommandOptions): Promise<void> =>
  withStoppedNode(options, async (stopped) => {
    const { disk, owner, messages: folder } = stopped
    const meshId = options.meshId === undefined ? undefined : meshIdOf(options.meshId)
    const { known, missing, alone } = await conditionOf(stopped)
    const isThere = (part: KnownPart): boolean => !missing.some((one) => one.part === part)
    const noted = known.journal
    const done =
      disk === undefined || alone !== undefined || !isThere('journal')
        ? undefined
        : await repairJournal(disk, { random, peer: owner.peer, meshId, noted })
    if (done !== undefined) await settle(owner, done)
    const messages = folder === undefined || !isThere('messages') ? undefined : await repairMessages(folder, random)
    const { problems } = await conditionOf(stopped)
    const left = problems.map((one) => (one.part === 'founding' && done?.left ? { ...one, error: done.left } : one))
    const facts = done === undefined ? { repaired: false } : text.repairedFacts(done, owner)
    const words = [done && text.repairedText(done, owner), messages?.words].filter((some) => some !== undefined)
    if (words.length === 0) words.push(text.nothingRepairedText(owner, left.length > 0))
    told(options, { ...facts, messages: messages?.facts, left: text.problemFacts(left) }, words.join('\n'))
    refuseFor(left)
  })

/** @param expected what a person types; a program gives it as an option, and says that it means it */
const confirm = async (
  question: string,
  expected: string,
  yes: boolean | undefined,
  inScripts: string,
  terminal: TerminalPrompt,
): Promise<void> => {
  if (yes === true) return
  if (!terminal.isInteractive)
    throw usageError('somebody has to confirm this', `run it on a terminal, or with ${inScripts}`)
  const typed = await terminal.ask(question)
  if (typed === expected) return
  const what = typed === undefined || typed === '' ? 'nothing was typed' : `${JSON.stringify(typed)} is not ${expected}`
  throw usageError(`${what}; nothing was changed`, 'run it again if you mean it')
}

export const forceRecover = (
  options: RecoverCommandOptions,
  terminal: TerminalPrompt = processTerminalPrompt(),
): Promise<void> =>
  withStoppedJournal(options, async (disk, owner, messages) => {
    const peer = ownerPeer(owner)
    const { alone } = await conditionOf({ owner, disk, messages })
    if (alone !== undefined) throw alone
    const found = await surveyJournal(disk)
    checkRecoverable(found, peer)
    const expected = text.confirmationOf(found)
    const { meshId, yes } = options
    remark(text.recoveryPlanText(found, owner))
    if (yes === true && meshId === undefined)
      throw usageError('--yes needs the mesh id', 'give it with --mesh-id, as `parley store verify` shows it')
    if (meshId !== undefined && meshId !== expected)
      throw usageError(
        `this store is of the mesh ${expected}, not ${meshId}`,
        'see whether it is the store that you mean',
      )
    const question = `Type the mesh id (${expected}) to go on: `
    await confirm(question, expected, yes, `--yes --mesh-id ${expected}`, terminal)
    const done = await recoverJournal(disk, random, peer)
    await settle(owner, done)
    await wantSeat(disk)
    told(options, text.recoveredFacts(done, owner), text.recoveredText(done, owner))
  })

export const adopt = (
  options: RecoverCommandOptions & { meshId: string },
  terminal: TerminalPrompt = processTerminalPrompt(),
): Promise<void> =>
  withStoppedJournal(options, async (disk, owner) => {
    const meshId = meshIdOf(options.meshId)
    const peer = ownerPeer(owner)
    remark(text.adoptPlanText(await surveyJournal(disk), owner, meshId))
    await confirm('Type adopt to go on: ', 'adopt', options.yes, '--yes', terminal)
    const done = await adoptMesh(disk, random, peer, meshId)
    await settle(owner, done)
    await wantSeat(disk)
    told(options, text.adoptedFacts(done, owner), text.adoptedText(done, owner))
  })

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
const forgetMark = async (dataDir: string): Promise<void> => {
  const disk = await openFolder(join(dataDir, FENCE_FOLDER))
  await putAside(
    disk,
    (await disk.list()).filter((name) => name === LOG_MARKER_FILE),
    '.abandoned',
  )
}

/** With what is good of a journal as another mesh, or, where nothing of it can stand, without one. */
const goOnAlone = async (
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
  options: MovedCommandOptions,
  terminal: TerminalPrompt = processTerminalPrompt(),
): Promise<void> =>
  withStoppedNode(options, async (stopped) => {
    const { disk, owner } = stopped
    const { dataDir } = owner
    const { missing, alone, fences, known } = await conditionOf(stopped)
    const gone = missing.filter(({ isAlone: isRefused }) => isRefused)
    const parts = gone.map(({ part }) => part)
    const errors = [...gone.map(({ error }) => error), ...[fences, alone].filter((error) => error !== undefined)]
    const losses = errors.map(({ message }) => message)
    if (losses.length === 0) throw notNeeded((await inspectStores(stopped)).condition.problems)
    const peer = ownerPeer(owner)
    remark(text.lossPlanText(owner, losses))
    await confirm('Type accept-loss to go on: ', 'accept-loss', options.yes, '--yes', terminal)
    // Without its log a founding file would hold the node in a mesh that nobody decides in any more.
    if (parts.includes('journal') && disk !== undefined) await putAside(disk, await leftOf(disk), '.abandoned')
    if (fences !== undefined) await acceptFenceLoss(await openFolder(join(dataDir, FENCE_FOLDER)), random)
    else if (parts.includes('fences')) await forgetMark(dataDir)
    await forgetStores(dataDir, fences === undefined ? parts : [...parts, 'fences'])
    const now = alone && disk && (await goOnAlone(disk, peer, known.journal))
    if (now !== undefined) await settle(owner, now)
    if (now !== undefined && now.after.storageId === undefined) await forgetStores(dataDir, ['journal'])
    const store = now?.after.storageId === undefined ? undefined : text.factsOf(now.after, owner)
    told(options, { dataDir, accepted: losses, store }, text.lossText(owner, store))
  })

export const acknowledgeMove = (
  options: MovedCommandOptions,
  terminal: TerminalPrompt = processTerminalPrompt(),
): Promise<void> =>
  withStoppedJournal(options, async (disk, owner, messages) => {
    const folder = folderOf(owner)
    const facts = text.factsOf(await surveyJournal(disk), owner)
    const before = await detectCopy(folder)
    remark(movedPlanText(facts, before))
    await confirm('Type moved to go on: ', 'moved', options.yes, '--yes', terminal)
    await recordFileIdentity(folder)
    if (messages !== undefined) await recordFileIdentity(messages)
    told(options, movedFacts(facts, before, await detectCopy(folder)), movedText(facts))
  })
