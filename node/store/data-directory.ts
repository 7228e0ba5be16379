/**
 * One process per data directory, and the note in it that tells the command line who that is.
 *
 * State: `<dir>/lock/`, a folder that holds exactly one empty file, named after its holder: pid, birth and a random
 * part; and `<dir>/node.json`. Guarantees that two processes never both hold the lock, also when they race for one that
 * a killed process left: a claim is a rename of a folder that already holds the claimant's file, which the file system
 * refuses unless the target is missing or empty (POSIX rename), and a dead holder's file is removed by its unique name,
 * so nobody can remove a newer holder's by mistake. There is no timer and no age: a frozen process keeps its lock.
 * It does not see processes of another machine or container that shares the directory: those count as gone.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, rename, rm, rmdir, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { ParleyError } from '../../protocols/errors.ts'
import type { Log } from '../../protocols/port.ts'
import {
  DIRECTORY_MODE,
  ensurePrivateDirectory,
  FILE_MODE,
  fileError,
  readSmallFile,
  systemCode,
  writePrivateFile,
} from '../platform/private-file.ts'
import { isStillRunning, type ProcessIdentity, thisProcess } from '../platform/process-identity.ts'
import { isDiskFull } from './files/disk-reserve.ts'

const LOCK = 'lock'
const NOTE = 'node.json'
const MAX_NOTE_BYTES = 65_536
/** What rename says where the target is a folder with something in it; Windows says so of any folder. */
const OCCUPIED = ['ENOTEMPTY', 'EEXIST', ...(process.platform === 'win32' ? ['EPERM'] : [])]
/** Each lost round means that another process took or left the lock in between; this many in a row is a fault. */
const MAX_ROUNDS = 100

const NodeFactsSchema = z.object({
  name: z.string(),
  peerId: z.string(),
  /** Where the debug endpoint listens, as in http://127.0.0.1:8090; absent where it is off. */
  debugUrl: z.string().optional(),
  /** The same of the health listener. */
  healthUrl: z.string().optional(),
  /** Whoever shows it there sees what messages say, and may change something. */
  debugKey: z.string().optional(),
  /** Path of the control socket; absent where it is off. */
  control: z.string().optional(),
  /** Multiaddresses with the peer id. */
  addresses: z.array(z.string()),
})
const NoteSchema = NodeFactsSchema.extend({
  pid: z.number().int().positive(),
  /** Milliseconds since 1970. */
  startedAt: z.number(),
})

export type NodeFacts = z.output<typeof NodeFactsSchema>

export interface FoundNode extends z.output<typeof NoteSchema> {
  /** The data directory. */
  directory: string
  /** Whether the process that wrote the note still holds the directory. */
  alive: boolean
}

export interface DirectoryLock {
  /** Writes node.json for the command line; called again when addresses change. */
  describe(facts: NodeFacts): Promise<void>
  /** Removes node.json and lets the next process in; calling it twice is harmless. */
  release(): Promise<void>
}

interface Holder extends ProcessIdentity {
  readonly file: string
}

const holderFile = ({ pid, birth }: ProcessIdentity): string => `${pid}.${birth}.${randomBytes(6).toString('hex')}`

const parseHolder = (file: string): Holder | undefined => {
  const match = /^(\d{1,10})\.([a-z0-9-]+)\.[0-9a-f]{12}$/.exec(file)
  const [, pid, birth] = match ?? []
  return pid === undefined || birth === undefined || Number(pid) < 1 ? undefined : { file, pid: Number(pid), birth }
}

/** Runs a system call and passes over the failures that mean "already so". */
const unless = async (codes: readonly string[], call: Promise<unknown>): Promise<boolean> => {
  try {
    await call
    return true
  } catch (error) {
    if (codes.includes(systemCode(error) ?? '')) return false
    throw error
  }
}

const list = async (path: string): Promise<string[]> => {
  try {
    return await readdir(path)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return []
    throw error
  }
}

const heldBy = (dir: string, holder: Holder): ParleyError =>
  new ParleyError(
    'STA003',
    `the data directory ${dir} is in use by ${holder.pid === process.pid ? 'this process' : `process ${holder.pid}`}`,
    {
      hint: `stop process ${holder.pid}, or give this node a data directory of its own`,
      details: { reason: 'in-use', path: dir, pid: holder.pid },
    },
  )

/** Removes what dead processes left in the lock; throws where a living one holds it. */
const clearDeadHolders = async (dir: string): Promise<void> => {
  for (const file of await list(join(dir, LOCK))) {
    const holder = parseHolder(file)
    if (holder === undefined) {
      throw new ParleyError('STA003', `the lock of ${dir} holds a file that no node made: ${file}`, {
        hint: `remove ${join(dir, LOCK, file)} if you are sure that no node uses this directory`,
        details: { reason: 'in-use', path: dir },
      })
    }
    if (await isStillRunning(holder)) throw heldBy(dir, holder)
    await unless(['ENOENT'], unlink(join(dir, LOCK, file)))
  }
}

/** Claims that a killed process had prepared and not yet put in place. */
const clearDeadClaims = async (dir: string): Promise<void> => {
  for (const file of await list(dir)) {
    const claimant = file.startsWith(`${LOCK}.`) ? parseHolder(file.slice(LOCK.length + 1)) : undefined
    if (claimant !== undefined && !(await isStillRunning(claimant))) {
      await rm(join(dir, file), { recursive: true, force: true })
    }
  }
}

const claim = async (dir: string, file: string): Promise<void> => {
  const prepared = join(dir, `${LOCK}.${file}`)
  await mkdir(prepared, { mode: DIRECTORY_MODE })
  try {
    await writeFile(join(prepared, file), '', { mode: FILE_MODE })
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      await clearDeadHolders(dir)
      // Windows does not rename onto a folder, even an empty one; removing an empty one is as safe as replacing it.
      await unless(['ENOENT', 'ENOTEMPTY', 'EEXIST'], rmdir(join(dir, LOCK)))
      if (await unless(OCCUPIED, rename(prepared, join(dir, LOCK)))) return
    }
    throw new ParleyError('STA003', `the lock of ${dir} changed hands ${MAX_ROUNDS} times while this node wanted it`, {
      hint: 'look for programs that start and stop nodes on this directory again and again',
      details: { reason: 'in-use', path: dir },
    })
  } finally {
    await rm(prepared, { recursive: true, force: true })
  }
}

/**
 * Takes the data directory for this process; makes it (mode 0700) where it is missing.
 * @throws STA003 with the holder's pid where another process has it, or where the directory cannot be used
 */
export const lockDataDirectory = async (dir: string, options: { log?: Log } = {}): Promise<DirectoryLock> => {
  await ensurePrivateDirectory(dir, options.log)
  const file = holderFile(await thisProcess())
  try {
    await clearDeadClaims(dir)
    await claim(dir, file)
  } catch (error) {
    throw error instanceof ParleyError ? error : fileError('locking', dir, error)
  }
  const startedAt = Date.now()
  let released: Promise<void> | undefined

  const unlock = async (): Promise<void> => {
    try {
      await rm(join(dir, NOTE), { force: true })
      await unless(['ENOENT'], unlink(join(dir, LOCK, file)))
      await unless(['ENOENT', 'ENOTEMPTY', 'EEXIST'], rmdir(join(dir, LOCK)))
    } catch (error) {
      throw fileError('unlocking', dir, error)
    }
  }

  return {
    async describe(facts) {
      if (released !== undefined) return
      const note: z.output<typeof NoteSchema> = { ...facts, pid: process.pid, startedAt }
      try {
        await writePrivateFile(join(dir, NOTE), `${JSON.stringify(note, null, 2)}\n`)
      } catch (error) {
        if (!isDiskFull(error)) throw error
        const hint = 'make room on the disk; until then parley does not find this node by itself'
        options.log?.error(`${NOTE} could not be written: the disk is full`, { hint })
      }
    },
    release() {
      released ??= unlock()
      return released
    },
  }
}

/** Who has the directory, looked at only; undefined where nobody does. `runs` is false for one that was killed. */
export const readHolder = async (dir: string): Promise<{ pid: number; runs: boolean } | undefined> => {
  for (const file of await list(join(dir, LOCK))) {
    const holder = parseHolder(file)
    if (holder !== undefined) return { pid: holder.pid, runs: await isStillRunning(holder) }
  }
  return undefined
}

const parseNote = (bytes: Uint8Array): z.output<typeof NoteSchema> | undefined => {
  try {
    return NoteSchema.safeParse(JSON.parse(new TextDecoder().decode(bytes))).data
  } catch {
    // Not JSON: no node wrote it, so there is no node to list.
    return undefined
  }
}

const readNode = async (directory: string): Promise<FoundNode | undefined> => {
  try {
    const bytes = await readSmallFile(join(directory, NOTE), MAX_NOTE_BYTES)
    const note = bytes === undefined ? undefined : parseNote(bytes)
    if (note === undefined) return undefined
    const holders = (await list(join(directory, LOCK))).map(parseHolder)
    const holder = holders.find((found) => found?.pid === note.pid)
    return { ...note, directory, alive: holder !== undefined && (await isStillRunning(holder)) }
  } catch {
    // Another user's directory, or one that went away meanwhile: not a node that this user could talk to.
    return undefined
  }
}

/**
 * The nodes whose data directories lie directly under `parentDir`, by name; a killed one is listed with `alive: false`.
 * Folders without a readable note are left out; a missing parent folder has none.
 */
export const readNodes = async (parentDir: string): Promise<FoundNode[]> => {
  const found: FoundNode[] = []
  for (const entry of await list(parentDir)) {
    const node = await readNode(join(parentDir, entry))
    if (node !== undefined) found.push(node)
  }
  return found.sort((a, b) => a.name.localeCompare(b.name))
}
