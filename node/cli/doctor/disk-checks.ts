/**
 * What `parley doctor` says of the data directory: whether a node can work there, whose it is, who has it, its identity, and
 * the note of a node that is gone. It only looks: a wrong mode is reported, not changed.
 */
import { constants } from 'node:fs'
import { access, stat, statfs } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { isParleyError } from '../../../protocols/errors.ts'
import { octal, opensToOthers, readSmallFile, systemCode } from '../../platform/private-file.ts'
import { readHolder } from '../../store/data-directory.ts'
import { decodeKey, KEY_FILE, MAX_KEY_BYTES } from '../../trust/identity.ts'
import { DATA_ROOT } from '../connect/running-nodes.ts'
import { type DoctorCheck, type Finding, fail, failOf, ok, skipped, warn } from './check-finding.ts'
import type { DoctorSubject } from './doctor-subject.ts'

const MIB = 1024 * 1024
/** Below it a node runs out while it starts: the store grows by segments of some MiB. */
const LEAST_FREE_BYTES = 64 * MIB
const SCARCE_FREE_BYTES = 512 * MIB
const LEAST_FREE_FILES = 64
/** A node that has its lock for longer has started. */
const STARTING_MS = 20_000

/** Why there is none to look at. */
export const noDirectory = (name: string, { others, isBlocked }: DoctorSubject): Finding => {
  if (isBlocked) return skipped(name, 'the data directory cannot be looked into')
  return others.length > 0
    ? skipped(name, `under ${DATA_ROOT} there is ${others.slice(0, 10).join(', ')}; name one with --node or --data-dir`)
    : skipped(name, 'no data directory is named, and none is in this folder')
}

/** The data directory that can be looked into. */
export const directoryOf = ({ dataDir, isBlocked }: DoctorSubject): string | undefined =>
  isBlocked ? undefined : dataDir

/** The folder itself, or the nearest one above it that is there: that is where it will be made. */
const nearestFolder = async (path: string): Promise<string> => {
  for (let at = path; ; at = dirname(at)) {
    try {
      if ((await stat(at)).isDirectory()) return at
    } catch (error) {
      if (systemCode(error) !== 'ENOENT' || at === dirname(at)) throw error
    }
  }
}

const accessProblem = async (folder: string): Promise<string | undefined> => {
  try {
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK)
    return undefined
  } catch (error) {
    return systemCode(error) ?? 'unknown'
  }
}

const directory: DoctorCheck = {
  name: 'data directory',
  async run(subject) {
    const { name } = directory
    const { dataDir } = subject
    if (dataDir === undefined) return [noDirectory(name, subject)]
    let folder: string
    try {
      folder = await nearestFolder(dataDir)
      const there = await stat(dataDir).catch(() => undefined)
      if (there?.isDirectory() === false) return [fail(name, `${dataDir} is a file`, 'name a folder')]
    } catch (error) {
      return [failOf(name, error, `see what is in the way of ${dataDir}`)]
    }
    const isThere = folder === dataDir
    const problem = await accessProblem(folder)
    if (problem === 'EROFS')
      return [
        fail(
          name,
          `${folder} is on a file system that can only be read`,
          'mount it for writing, or name another folder',
        ),
      ]
    if (problem !== undefined) {
      const me = process.getuid?.()
      const todo = `let the user that runs the node (uid ${me ?? 'unknown'}) read and write ${folder}, or name another folder`
      return [fail(name, `${folder} cannot be used: ${problem}`, todo)]
    }
    if (!isThere) return [ok(name, `${dataDir} is not there yet, and can be made`)]
    return [ok(name, `${dataDir} can be read and written`), ...(await ownership(dataDir))]
  },
}

const ownership = async (dataDir: string): Promise<Finding[]> => {
  const name = 'owner and mode'
  const { uid, mode } = await stat(dataDir)
  const me = process.getuid?.()
  if (me !== undefined && uid !== me)
    return [
      warn(
        name,
        `${dataDir} belongs to uid ${uid}, and this is uid ${me}`,
        `run the node as its owner, or: chown -R ${me} ${dataDir}`,
      ),
    ]
  if (opensToOthers(mode))
    return [
      warn(name, `${dataDir} has mode ${octal(mode)}: others on this machine can look into it`, `chmod 700 ${dataDir}`),
    ]
  return [ok(name, `uid ${uid}, mode ${octal(mode)}`)]
}

const space: DoctorCheck = {
  name: 'disk space',
  async run(subject) {
    const { name } = space
    const dataDir = directoryOf(subject)
    if (dataDir === undefined) return [noDirectory(name, subject)]
    const folder = await nearestFolder(dataDir)
    const { bavail, bsize, files, ffree } = await statfs(folder)
    const free = bavail * bsize
    const seen = `${Math.floor(free / MIB)} MiB free at ${folder}`
    const todo = 'free some, or move the data directory; a node whose disk is full takes no messages and no vote'
    if (free < LEAST_FREE_BYTES) return [fail(name, seen, todo)]
    if (files > 0 && ffree < LEAST_FREE_FILES) return [fail(name, `room for ${ffree} more files at ${folder}`, todo)]
    return [free < SCARCE_FREE_BYTES ? warn(name, seen, todo) : ok(name, seen)]
  },
}

const lock: DoctorCheck = {
  name: 'lock',
  async run(subject) {
    const { name } = lock
    const { node } = subject
    const dataDir = directoryOf(subject)
    if (dataDir === undefined) return [noDirectory(name, subject)]
    const holder = await readHolder(dataDir)
    if (holder === undefined) return [ok(name, 'nobody has the data directory')]
    if (node !== undefined) return [ok(name, `the node ${node.name} runs there, process ${node.pid}`)]
    if (!holder.runs) return [ok(name, `process ${holder.pid} had it and is gone; the next start takes it over`)]
    // A node that starts has it before it writes its note.
    const heldMs = Date.now() - (await stat(join(dataDir, 'lock'))).mtimeMs
    if (heldMs < STARTING_MS) {
      const seen = `process ${holder.pid} has ${dataDir} for ${Math.round(heldMs / 1000)} s, and is no node that answers yet`
      return [warn(name, seen, 'run this again in a moment, when it has started')]
    }
    return [
      fail(
        name,
        `process ${holder.pid} has ${dataDir}, and is no node that answers`,
        `see what it is (ps -fp ${holder.pid}); stop it, or wait until its node is up`,
      ),
    ]
  },
}

const note: DoctorCheck = {
  name: 'node.json',
  async run(subject) {
    const { name } = note
    const { note: found } = subject
    const dataDir = directoryOf(subject)
    if (dataDir === undefined) return [noDirectory(name, subject)]
    const path = join(dataDir, name)
    if (found?.alive === true) return [ok(name, `${path} is of process ${found.pid}, which runs`)]
    if (found !== undefined) {
      const seen = `${path} is of process ${found.pid}, which is gone without having stopped in order`
      return [warn(name, seen, 'see the end of its log and the system log for why; the next start replaces the file')]
    }
    try {
      await access(path)
    } catch {
      return [ok(name, 'no node has left one')]
    }
    return [warn(name, `${path} is not what a node writes`, 'the next start replaces it')]
  },
}

const identity: DoctorCheck = {
  name: 'identity',
  async run(subject) {
    const { name } = identity
    const dataDir = directoryOf(subject)
    if (dataDir === undefined) return [noDirectory(name, subject)]
    const path = join(dataDir, KEY_FILE)
    let mode = 0
    try {
      const bytes = await readSmallFile(path, MAX_KEY_BYTES, async (handle) => {
        mode = (await handle.stat()).mode
      })
      if (bytes === undefined) return [ok(name, `${path} is not there; the first start makes it`)]
      const key = await decodeKey(path, bytes)
      if (opensToOthers(mode))
        return [
          fail(
            name,
            `${path} has mode ${octal(mode)}: others on this machine can be this node`,
            `chmod 600 ${path}; if somebody else had access, move it away, so that the node starts as a new peer`,
          ),
        ]
      const { peerIdFromPrivateKey } = await import('@libp2p/peer-id')
      return [ok(name, `${peerIdFromPrivateKey(key)} in ${basename(path)}, mode ${octal(mode)}`)]
    } catch (error) {
      if (!isParleyError(error)) throw error
      return [failOf(name, error)]
    }
  },
}

export const DISK_CHECKS: readonly DoctorCheck[] = [directory, space, lock, note, identity]
