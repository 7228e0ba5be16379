/**
 * `parley store`: what a stopped node keeps on disk, looked at, repaired, recovered for a mesh that lost its voters, or
 * called moved.
 *
 * All of it holds the lock of the data directory, so that no node runs there meanwhile. What these commands do, and why it
 * is safe: node/store/repair.ts, row-repair.ts, recover.ts and place.ts. Results go to stdout, warnings and questions to
 * stderr. Keeps no state.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { MeshIdSchema } from '../../protocols/consensus/founding/record.ts'
import { ParleyError } from '../../protocols/errors.ts'
import { JOURNAL_FOLDER } from '../seat.ts'
import { type Disk, openFolder } from '../store/disk.ts'
import { readFences } from '../store/fence-file.ts'
import { acceptFenceLoss } from '../store/fence-store.ts'
import { FOUNDING_FILE } from '../store/founding-file.ts'
import { FENCE_FOLDER, forgetStores, missingStores, readKnown } from '../store/known-stores.ts'
import { readLost, votesAlone } from '../store/lost.ts'
import { markPlace, readPlace } from '../store/place.ts'
import { adoptMesh, checkRecoverable, recoverStore } from '../store/recover.ts'
import { repairStore } from '../store/repair.ts'
import { putAside } from '../store/replace-log.ts'
import { openSeatFile } from '../store/seat-file.ts'
import { type Survey, snapshotFiles, survey } from '../store/survey.ts'
import { processTerminal, type Terminal } from './confirm.ts'
import { usage } from './outcome.ts'
import { exists, peerOf, type StoreOptions, withAnyStore, withStore } from './store-directory.ts'
import { lookAtMessages, mendMessages } from './store-messages.ts'
import { movedFacts, movedPlanText, movedText, placeText } from './store-place.ts'
import * as text from './store-text.ts'

export interface RepairOptions extends StoreOptions {
  meshId?: string
}
export interface MovedOptions extends StoreOptions {
  yes?: boolean
}
export interface ConfirmedOptions extends StoreOptions {
  meshId?: string
  yes?: boolean
}

const random = (bytes: number): Uint8Array => new Uint8Array(randomBytes(bytes))
const print = (out: string): void => void process.stdout.write(`${out}\n`)
const warn = (out: string): void => void process.stderr.write(`${out}\n`)

const folderOf = ({ dataDir }: text.Owner): string => join(dataDir, JOURNAL_FOLDER)

/** What has become another member has promised nothing yet: wherever it came from, it may go on from here. */
const settle = async (owner: text.Owner, { before, after }: { before: Survey; after: Survey }): Promise<void> => {
  if (before.storageId !== after.storageId) await markPlace(folderOf(owner))
}

/** Who is to vote in another mesh did not give up the seat there. */
const wantSeat = async (disk: Disk): Promise<void> => {
  const { isGivenUp, keep } = await openSeatFile(disk)
  if (isGivenUp) await keep(false)
}

const told = (options: StoreOptions, facts: unknown, words: string): void =>
  print(options.json === true ? JSON.stringify(facts) : words)

/** What this node has seen of decisions: nothing gives it back, and a node does not start on a damaged one. */
const fencesProblem = async (dataDir: string): Promise<ParleyError | undefined> => {
  const folder = join(dataDir, FENCE_FOLDER)
  return (await exists(folder)) ? (await readFences(await openFolder(folder))).problem : undefined
}

/** The journal of a node that has one. */
const lookAtJournal = async (disk: Disk, owner: text.Owner, others: readonly text.OtherProblem[]) => {
  const facts = text.factsOf(await survey(disk), owner, others)
  const place = await readPlace(folderOf(owner))
  const lost = await readLost(disk)
  const words = [text.factsText(facts), placeText(place), ...(lost === undefined ? [] : [text.lostText(lost)])]
  return { facts: { ...facts, place, lost }, words: words.join('\n') }
}

const withoutJournal = (owner: text.Owner, others: readonly text.OtherProblem[]) => ({
  facts: { dataDir: owner.dataDir, problems: text.problemFacts(owner, others) },
  words: text.noJournalText(owner),
})

export const verifyStore = (options: StoreOptions): Promise<void> =>
  withAnyStore(options, async ({ disk, owner, messages: folder }) => {
    const fences = await fencesProblem(owner.dataDir)
    const messages = folder === undefined ? undefined : await lookAtMessages(folder)
    const others: text.OtherProblem[] = [...(await missingStores(owner.dataDir, await readKnown(owner.dataDir)))]
    if (fences !== undefined) others.push({ part: 'fences', error: fences })
    if (messages?.problem !== undefined) others.push({ part: 'messages', error: messages.problem })
    const { facts, words } =
      disk === undefined ? withoutJournal(owner, others) : await lookAtJournal(disk, owner, others)
    const all = messages === undefined ? words : `${words}\n${messages.words}`
    told(options, { ...facts, messages: messages?.facts }, all)
    const [first, ...more] = facts.problems
    if (first === undefined) {
      if (options.json !== true) print('all is well')
      return
    }
    const and = more.map(({ message }) => `; ${message}`).join('')
    const hint = first.hint ?? 'parley store repair keeps what is good'
    throw new ParleyError('STA003', `${first.message}${and}`, { hint, details: { reason: 'damaged' } })
  })

const meshIdOf = (meshId: string): string => {
  if (MeshIdSchema.safeParse(meshId).success) return meshId
  throw usage(`${JSON.stringify(meshId)} is no mesh id`, 'it is 32 hexadecimal digits, see `parley coordinator status`')
}

export const repair = (options: RepairOptions): Promise<void> =>
  withAnyStore(options, async ({ disk, owner, messages: folder }) => {
    const meshId = options.meshId === undefined ? undefined : meshIdOf(options.meshId)
    const done = disk && (await repairStore(disk, { random, peer: owner.peer, meshId }))
    if (done !== undefined) await settle(owner, done)
    const messages = folder === undefined ? undefined : await mendMessages(folder, random)
    const facts = done === undefined ? { repaired: false } : text.repairedFacts(done, owner)
    const words = [done && text.repairedText(done, owner), messages?.words].filter((some) => some !== undefined)
    told(options, { ...facts, messages: messages?.facts }, words.join('\n'))
    if (done?.left !== undefined) throw done.left
  })

/** @param expected what a person types; a program gives it as an option, and says that it means it */
const confirm = async (
  question: string,
  expected: string,
  yes: boolean | undefined,
  inScripts: string,
  terminal: Terminal,
): Promise<void> => {
  if (yes === true) return
  if (!terminal.isInteractive) throw usage('somebody has to confirm this', `run it on a terminal, or with ${inScripts}`)
  const typed = await terminal.ask(question)
  if (typed === expected) return
  const what = typed === undefined || typed === '' ? 'nothing was typed' : `${JSON.stringify(typed)} is not ${expected}`
  throw usage(`${what}; nothing was changed`, 'run it again if you mean it')
}

export const forceRecover = (options: ConfirmedOptions, terminal: Terminal = processTerminal()): Promise<void> =>
  withStore(options, async (disk, owner) => {
    const peer = peerOf(owner)
    const found = await survey(disk)
    checkRecoverable(found, peer)
    const expected = text.confirmationOf(found)
    const { meshId, yes } = options
    warn(text.recoveryPlanText(found, owner))
    if (yes === true && meshId === undefined)
      throw usage('--yes needs the mesh id', 'give it with --mesh-id, as `parley store verify` shows it')
    if (meshId !== undefined && meshId !== expected)
      throw usage(`this store is of the mesh ${expected}, not ${meshId}`, 'see whether it is the store that you mean')
    const question = `Type the mesh id (${expected}) to go on: `
    await confirm(question, expected, yes, `--yes --mesh-id ${expected}`, terminal)
    const done = await recoverStore(disk, random, peer)
    await settle(owner, done)
    await wantSeat(disk)
    told(options, text.recoveredFacts(done, owner), text.recoveredText(done, owner))
  })

export const adopt = (
  options: ConfirmedOptions & { meshId: string },
  terminal: Terminal = processTerminal(),
): Promise<void> =>
  withStore(options, async (disk, owner) => {
    const meshId = meshIdOf(options.meshId)
    const peer = peerOf(owner)
    warn(text.adoptPlanText(await survey(disk), owner, meshId))
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

/**
 * What a node does not start without: that it is gone is accepted. A journal in which it voted alone goes on as another mesh,
 * as with `force-recover`: what is gone may have been that others vote.
 */
export const acceptLoss = (options: MovedOptions, terminal: Terminal = processTerminal()): Promise<void> =>
  withAnyStore(options, async ({ disk, owner }) => {
    const { dataDir } = owner
    const missing = (await missingStores(dataDir, await readKnown(dataDir))).filter(
      ({ isAlone: isRefused }) => isRefused,
    )
    const parts = missing.map(({ part }) => part)
    const fences = await fencesProblem(dataDir)
    if (fences !== undefined && !parts.includes('fences')) parts.push('fences')
    const found = disk === undefined || parts.includes('journal') ? undefined : await survey(disk)
    const [broken] = found?.problems.filter(({ part }) => part !== 'founding') ?? []
    const { founding, configuration } = found ?? {}
    const isAlone = broken && configuration && votesAlone(peerOf(owner), configuration, founding?.record)
    const errors = [...missing.map(({ error }) => error), ...(isAlone ? [broken.error] : [])]
    if (fences !== undefined && !missing.some(({ part }) => part === 'fences')) errors.push(fences)
    const losses = errors.map(({ message }) => message)
    if (losses.length === 0)
      throw new ParleyError('STA003', 'there is no loss that this node does not start for', {
        hint: 'parley store verify says what there is',
        details: { reason: 'not-needed' },
      })
    warn(text.lossPlanText(owner, losses))
    await confirm('Type accept-loss to go on: ', 'accept-loss', options.yes, '--yes', terminal)
    // Without its log a founding file would hold the node in a mesh that nobody decides in any more.
    if (parts.includes('journal') && disk !== undefined) await putAside(disk, await leftOf(disk), '.abandoned')
    if (fences !== undefined) await acceptFenceLoss(await openFolder(join(dataDir, FENCE_FOLDER)), random)
    if (parts.length > 0) await forgetStores(dataDir, parts)
    let now: Survey | undefined
    if (isAlone && disk !== undefined) {
      const repaired = await repairStore(disk, { random, peer: owner.peer })
      if (repaired.left !== undefined) throw repaired.left
      // Where nothing of it could be kept it begins anew.
      const kept = repaired.after.configuration.voters.length > 0
      const done = kept ? await recoverStore(disk, random, peerOf(owner)) : repaired
      await settle(owner, done)
      now = done.after
    }
    const store = now && text.factsOf(now, owner)
    told(options, { dataDir, accepted: losses, store }, text.lossText(owner, store))
  })

export const moved = (options: MovedOptions, terminal: Terminal = processTerminal()): Promise<void> =>
  withStore(options, async (disk, owner, messages) => {
    const folder = folderOf(owner)
    const facts = text.factsOf(await survey(disk), owner)
    const before = await readPlace(folder)
    warn(movedPlanText(facts, before))
    await confirm('Type moved to go on: ', 'moved', options.yes, '--yes', terminal)
    await markPlace(folder)
    if (messages !== undefined) await markPlace(messages)
    told(options, movedFacts(facts, before, await readPlace(folder)), movedText(facts))
  })
