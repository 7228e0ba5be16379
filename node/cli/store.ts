/**
 * `parley store`: what a stopped node keeps on disk, looked at, repaired, recovered for a mesh that lost its voters, or
 * called moved.
 *
 * All of it holds the lock of the data directory, so that no node runs there meanwhile. What these commands do, and why it
 * is safe: node/store/repair.ts, recover.ts and place.ts. Results go to stdout, warnings and questions to stderr. Keeps no state.
 */
import { randomBytes } from 'node:crypto'
import { readdir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { MeshIdSchema } from '../../protocols/consensus/founding/record.ts'
import { isParleyError, ParleyError } from '../../protocols/errors.ts'
import { lockDataDirectory } from '../data-directory.ts'
import { loadIdentity } from '../identity.ts'
import { fileError, systemCode } from '../private-file.ts'
import { JOURNAL_FOLDER } from '../seat.ts'
import { type Disk, openFolder } from '../store/disk.ts'
import { createFenceStore } from '../store/fence-store.ts'
import { markPlace, readPlace } from '../store/place.ts'
import { adoptMesh, checkRecoverable, recoverStore } from '../store/recover.ts'
import { repairStore } from '../store/repair.ts'
import { openSeatFile } from '../store/seat-file.ts'
import { type Survey, survey } from '../store/survey.ts'
import { processTerminal, type Terminal } from './confirm.ts'
import { usage } from './outcome.ts'
import { DATA_ROOT } from './running.ts'
import { movedFacts, movedPlanText, movedText, placeText } from './store-place.ts'
import * as text from './store-text.ts'

export interface StoreOptions {
  node?: string
  dataDir?: string
  json?: boolean
}
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

const KEY_FILE = 'identity.key'
const FENCE_FOLDER = 'fences'
const random = (bytes: number): Uint8Array => new Uint8Array(randomBytes(bytes))
const print = (out: string): void => void process.stdout.write(`${out}\n`)
const warn = (out: string): void => void process.stderr.write(`${out}\n`)

const exists = async (path: string): Promise<boolean> => {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return false
    throw fileError('looking for', path, error)
  }
}

/** No node needs to run there, so that none is found by itself: a command that changes a store wants it named. */
const directoryOf = async ({ node, dataDir }: StoreOptions): Promise<string> => {
  if (dataDir !== undefined) return resolve(dataDir)
  if (node === undefined) {
    const names = await readdir(DATA_ROOT).catch(() => [])
    const known = names.length === 0 ? '' : `; under ${DATA_ROOT} there is ${names.sort().slice(0, 20).join(', ')}`
    throw usage('the node is not named', `name its data directory with --data-dir, or --node NAME${known}`)
  }
  if (!/^[A-Za-z0-9][^/\\]*$/.test(node)) throw usage(`${JSON.stringify(node)} is no name of a node`, 'see .parley')
  return resolve(DATA_ROOT, node)
}

/** @throws nothing: that there is no identity is something to be told */
const ownerOf = async (dataDir: string): Promise<text.Owner> => {
  const path = join(dataDir, KEY_FILE)
  if (!(await exists(path))) {
    const hint = 'restore it from a backup: without it the node starts as another peer, and its vote is lost'
    const problem = new ParleyError('STA003', `${path} is not there`, { hint, details: { path } })
    return { dataDir, peer: undefined, problem }
  }
  try {
    const { peerIdFromPrivateKey } = await import('@libp2p/peer-id')
    return { dataDir, peer: peerIdFromPrivateKey(await loadIdentity(dataDir)).toString(), problem: undefined }
  } catch (error) {
    if (!isParleyError(error)) throw error
    return { dataDir, peer: undefined, problem: error }
  }
}

const peerOf = ({ peer, problem }: text.Owner): string => {
  if (peer !== undefined) return peer
  throw problem ?? new ParleyError('STA003', 'this node has no identity', { hint: 'restore identity.key' })
}

const lock = async (dataDir: string) => {
  try {
    return await lockDataDirectory(dataDir)
  } catch (error) {
    if (!isParleyError(error, 'STA003') || typeof error.details.pid !== 'number') throw error
    const hint = `stop the node first (process ${error.details.pid}): what is being written cannot be judged, and must not be changed`
    throw new ParleyError('STA003', error.message, { hint, details: error.details, cause: error })
  }
}

/** Runs `fn` on the store of a node that does not run. */
const withStore = async (
  options: StoreOptions,
  fn: (disk: Disk, owner: text.Owner) => Promise<void>,
): Promise<void> => {
  const dataDir = await directoryOf(options)
  const folder = join(dataDir, JOURNAL_FOLDER)
  // Looked for first: the lock would make the directory.
  if (!(await exists(folder))) {
    const what = (await exists(dataDir)) ? `${dataDir} holds no store` : `${dataDir} is not there`
    throw usage(what, `name the data directory of a node that may vote: it has a folder ${JOURNAL_FOLDER}`)
  }
  const held = await lock(dataDir)
  try {
    await fn(await openFolder(folder), await ownerOf(dataDir))
  } catch (error) {
    if (isParleyError(error) || systemCode(error) === undefined) throw error
    throw fileError('reading or writing', folder, error)
  } finally {
    await held.release()
  }
}

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

/** What this node has seen of decisions is a store of its own, which is not repaired here; a node does not start on a damaged one. */
const fencesProblem = async (dataDir: string): Promise<ParleyError | undefined> => {
  const folder = join(dataDir, FENCE_FOLDER)
  if (!(await exists(folder))) return undefined
  try {
    await createFenceStore(await openFolder(folder), random).load()
    return undefined
  } catch (error) {
    if (isParleyError(error)) return error
    throw error
  }
}

export const verifyStore = (options: StoreOptions): Promise<void> =>
  withStore(options, async (disk, owner) => {
    const fences = await fencesProblem(owner.dataDir)
    const facts = text.factsOf(await survey(disk), owner, fences)
    const place = await readPlace(folderOf(owner))
    told(options, { ...facts, place }, `${text.factsText(facts)}\n${placeText(place)}`)
    const [first, ...others] = facts.problems
    if (first === undefined) {
      if (options.json !== true) print('all is well')
      return
    }
    const more = others.map(({ message }) => `; ${message}`).join('')
    const hint = first.hint ?? 'parley store repair keeps what is good'
    throw new ParleyError('STA003', `${first.message}${more}`, { hint, details: { reason: 'damaged' } })
  })

const meshIdOf = (meshId: string): string => {
  if (MeshIdSchema.safeParse(meshId).success) return meshId
  throw usage(`${JSON.stringify(meshId)} is no mesh id`, 'it is 32 hexadecimal digits, see `parley coordinator status`')
}

export const repair = (options: RepairOptions): Promise<void> =>
  withStore(options, async (disk, owner) => {
    const meshId = options.meshId === undefined ? undefined : meshIdOf(options.meshId)
    const done = await repairStore(disk, { random, peer: owner.peer, meshId })
    await settle(owner, done)
    told(options, text.repairedFacts(done, owner), text.repairedText(done, owner))
    if (done.left !== undefined) throw done.left
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

export const moved = (options: MovedOptions, terminal: Terminal = processTerminal()): Promise<void> =>
  withStore(options, async (disk, owner) => {
    const folder = folderOf(owner)
    const facts = text.factsOf(await survey(disk), owner)
    const before = await readPlace(folder)
    warn(movedPlanText(facts, before))
    await confirm('Type moved to go on: ', 'moved', options.yes, '--yes', terminal)
    await markPlace(folder)
    told(options, movedFacts(facts, before, await readPlace(folder)), movedText(facts))
  })
