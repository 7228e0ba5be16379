/** The data directory that `parley store` works on: which one, whose it is, and its lock while something is done there. */
import { readdir, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { isParleyError, ParleyError } from '../../../../protocols/errors.ts'
import { JOURNAL_FOLDER } from '../../../coordination/raft-member.ts'
import { fileError, systemCode } from '../../../platform/private-file.ts'
import { lockDataDirectory } from '../../../store/data-directory.ts'
import { type Disk, openFolder } from '../../../store/files/disk.ts'
import { BYTES_FOLDER, EVENTS_FOLDER, KNOWN_FILE, MESSAGES_FOLDER } from '../../../store/known-stores.ts'
import { loadIdentity } from '../../../trust/identity.ts'
import { DATA_ROOT } from '../../connect/running-nodes.ts'
import { usageError } from '../../output/exit-codes.ts'
import type { StoreOwner } from './store-facts.ts'

export interface StoreCommandOptions {
  node?: string
  dataDir?: string
  json?: boolean
  /** Nothing is changed: where there is one node only, it is that one. */
  readsOnly?: boolean
}
const KEY_FILE = 'identity.key'

export const exists = async (path: string): Promise<boolean> => {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return false
    throw fileError('looking for', path, error)
  }
}

/** No node needs to run there, so that none is found by itself: a command that changes a store wants it named. */
export const directoryOf = async ({ node, dataDir, readsOnly }: StoreCommandOptions): Promise<string> => {
  if (dataDir !== undefined) return resolve(dataDir)
  if (node === undefined) {
    const names = await readdir(DATA_ROOT).catch(() => [])
    const [only, ...others] = names
    if (readsOnly === true && only !== undefined && others.length === 0) return resolve(DATA_ROOT, only)
    const known = names.length === 0 ? '' : `; under ${DATA_ROOT} there is ${names.sort().slice(0, 20).join(', ')}`
    throw usageError('the node is not named', `name its data directory with --data-dir, or --node NAME${known}`)
  }
  if (!/^[A-Za-z0-9][^/\\]*$/.test(node))
    throw usageError(`${JSON.stringify(node)} is no name of a node`, 'see .parley')
  return resolve(DATA_ROOT, node)
}

/** @throws nothing: a missing identity is part of the answer */
const ownerOf = async (dataDir: string): Promise<StoreOwner> => {
  const path = join(dataDir, KEY_FILE)
  if (!(await exists(path))) {
    const hint = 'restore it from a backup: without it the node starts as another peer, and its vote is lost'
    const problem = new ParleyError('STA003', `${path} is not there`, { hint, details: { reason: 'missing', path } })
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

export const ownerPeer = ({ peer, problem }: StoreOwner): string => {
  if (peer !== undefined) return peer
  throw (
    problem ??
    new ParleyError('STA003', 'this node has no identity', {
      hint: 'restore identity.key',
      details: { reason: 'missing' },
    })
  )
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

/** What there is of a node that does not run, by its folders. */
export interface StoppedNode {
  readonly owner: StoreOwner
  /** Of the journal. */
  readonly disk: Disk | undefined
  /** Path of the folder of messages. */
  readonly messages: string | undefined
  /** Path of the folder of events. */
  readonly events: string | undefined
  /** Path of the folder of large values of tasks. */
  readonly bytes: string | undefined
}

const found = async (path: string): Promise<string | undefined> => ((await exists(path)) ? path : undefined)

/** Runs `fn` on what a node that does not run has stored, of which one of these has to be there. */
const withStopped = async (
  options: StoreCommandOptions,
  names: readonly string[],
  fn: (stopped: StoppedNode) => Promise<void>,
): Promise<void> => {
  const dataDir = await directoryOf(options)
  const journal = await found(join(dataDir, JOURNAL_FOLDER))
  const messages = await found(join(dataDir, MESSAGES_FOLDER))
  // Looked for first: the lock would make the directory.
  const known = await found(join(dataDir, KNOWN_FILE))
  const isThere = [journal, messages, known].some((path) => path !== undefined && names.includes(basename(path)))
  if (!isThere) {
    const what = (await exists(dataDir)) ? `${dataDir} holds no store` : `${dataDir} is not there`
    const folders = names.filter((name) => name !== KNOWN_FILE)
    throw usageError(what, `name the data directory of a node that has a folder ${folders.join(' or ')}`)
  }
  const held = await lock(dataDir)
  try {
    const disk = journal === undefined ? undefined : await openFolder(journal)
    const events = await found(join(dataDir, EVENTS_FOLDER))
    const bytes = await found(join(dataDir, BYTES_FOLDER))
    await fn({ owner: await ownerOf(dataDir), disk, messages, events, bytes })
  } catch (error) {
    if (isParleyError(error) || systemCode(error) === undefined) throw error
    throw fileError('reading or writing', journal ?? dataDir, error)
  } finally {
    await held.release()
  }
}

/** Runs `fn` on the journal or the messages, or both, of a node that does not run, or on what says that there were some. */
export const withStoppedNode = (
  options: StoreCommandOptions,
  fn: (stopped: StoppedNode) => Promise<void>,
): Promise<void> => withStopped(options, [JOURNAL_FOLDER, MESSAGES_FOLDER, KNOWN_FILE], fn)

/** Runs `fn` on the journal of a node that does not run. */
export const withStoppedJournal = (
  options: StoreCommandOptions,
  fn: (disk: Disk, owner: StoreOwner, messages: string | undefined) => Promise<void>,
): Promise<void> =>
  withStopped(options, [JOURNAL_FOLDER], async ({ owner, disk, messages }) => {
    if (disk !== undefined) await fn(disk, owner, messages)
  })
