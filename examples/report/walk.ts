/**
 * The documents of a folder: every regular file that git tracks or would track; without git every regular file.
 *
 * State: names of one repository or one folder at a time; contents are never held, and no file is opened.
 * Guarantees: byte order of the paths, each once; symbolic links (to files and to folders) are never followed; FIFOs,
 * sockets and devices, `.git`, `node_modules` and the report itself are left out; what vanishes meanwhile is no error.
 */
import type { Stats } from 'node:fs'
import { lstat, readdir, realpath } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { ParleyError } from '../../protocols/errors.ts'
import { type GitOptions, gitNames } from './git-list.ts'
import { byteString, bytesOf, readableName } from './names.ts'

/** Documents of one walk: what the composer holds about each must fit in its memory. */
export const MAX_DOCUMENTS = 100_000
const MAX_NAMED_FOLDERS = 20
const MAX_CHECKED_FOLDERS = 4096
const LEFT_OUT = new Set(['.git', 'node_modules'])

export interface Found {
  /** Relative to the folder, with `/`; bytes that are not UTF-8 shown as `\xNN`. */
  path: string
  /** Size when it was found. */
  bytes: number
  /** Absolute path as bytes: what to open. */
  file: Buffer
}

/** What the walk met and left out, counted. */
export interface LeftOut {
  symbolicLinks: number
  /** FIFOs, sockets, devices. */
  special: number
  unreadableFolders: number
  /** The first 20 of them. */
  unreadable: string[]
  /** Files beyond `maxDocuments`. */
  beyondLimit: number
}

export interface WalkOptions extends GitOptions {
  /** Absolute path of the report, which is no document of itself. */
  out?: string
  /** 1 to 100,000; more files than this are counted, not walked through. */
  maxDocuments?: number
}

export interface Walk extends AsyncIterable<Found> {
  /** The folder's real absolute path. */
  readonly root: string
  /** Complete when the walk has ended. */
  readonly leftOut: LeftOut
}

/** Where the report will be, with the folders above it resolved; it need not exist. */
const realPlace = async (path: string): Promise<string> => {
  const folder = await realpath(dirname(path)).catch(() => dirname(path))
  return join(folder, basename(path))
}

const openFolder = async (folder: string): Promise<string> => {
  const root = await realpath(folder).catch((cause: unknown) => {
    throw new ParleyError('STA001', `there is no folder ${JSON.stringify(folder)}`, {
      hint: 'give a folder that exists, as in: npm start -- ./docs',
      cause,
    })
  })
  try {
    await readdir(root)
  } catch (cause) {
    const isFile = cause instanceof Error && 'code' in cause && cause.code === 'ENOTDIR'
    throw new ParleyError('MSG001', `${JSON.stringify(folder)} ${isFile ? 'is not a folder' : 'cannot be read'}`, {
      hint: isFile ? 'give the folder that the file is in' : 'give a folder that you may read',
      cause,
    })
  }
  return root
}

/** Byte order of the whole paths: a folder sorts as if its slash were part of its name. */
const inByteOrder = (a: { key: string }, b: { key: string }): number => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)

/**
 * Opens a walk through `folder`; iterate it once.
 * @throws STA001 no such folder, MSG001 it is not a folder or cannot be read
 */
export const openWalk = async (folder: string, options: WalkOptions = {}): Promise<Walk> => {
  const root = await openFolder(folder)
  const out = options.out === undefined ? undefined : byteString(Buffer.from(await realPlace(options.out)))
  const rootBytes = byteString(Buffer.from(root))
  const maxDocuments = options.maxDocuments ?? MAX_DOCUMENTS
  const leftOut: LeftOut = { symbolicLinks: 0, special: 0, unreadableFolders: 0, unreadable: [], beyondLimit: 0 }
  let found = 0

  const absolute = (relative: string): string => {
    if (relative === '') return rootBytes
    return rootBytes.endsWith('/') ? rootBytes + relative : `${rootBytes}/${relative}`
  }
  const look = (relative: string): Promise<Stats | undefined> =>
    lstat(bytesOf(absolute(relative))).catch(() => undefined)

  /** A regular file that is wanted, or nothing, counted. */
  const document = async (relative: string): Promise<Found | undefined> => {
    if (absolute(relative) === out) return undefined
    const stats = await look(relative)
    if (stats === undefined || stats.isDirectory()) return undefined
    if (stats.isSymbolicLink()) leftOut.symbolicLinks += 1
    else if (!stats.isFile()) leftOut.special += 1
    else if (found >= maxDocuments) leftOut.beyondLimit += 1
    else {
      found += 1
      const file = bytesOf(absolute(relative))
      return { path: readableName(bytesOf(relative)), bytes: stats.size, file }
    }
    return undefined
  }

  async function* plain(relative: string): AsyncGenerator<Found> {
    const entries = await readdir(bytesOf(absolute(relative)), { withFileTypes: true, encoding: 'buffer' }).catch(
      () => undefined,
    )
    if (entries === undefined) {
      leftOut.unreadableFolders += 1
      if (leftOut.unreadable.length < MAX_NAMED_FOLDERS) leftOut.unreadable.push(readableName(bytesOf(relative)))
      return
    }
    const sorted = entries
      .map((entry) => ({ name: byteString(entry.name), isFolder: entry.isDirectory() }))
      .filter(({ name }) => !LEFT_OUT.has(name))
      .map(({ name, isFolder }) => ({ name, isFolder, key: isFolder ? `${name}/` : name }))
      .sort(inByteOrder)
    for (const { name, isFolder } of sorted) {
      options.signal?.throwIfAborted()
      const path = relative === '' ? name : `${relative}/${name}`
      if (isFolder) {
        yield* anyFolder(path)
      } else {
        const one = await document(path)
        if (one !== undefined) yield one
      }
    }
  }

  async function* anyFolder(relative: string): AsyncGenerator<Found> {
    const isRoot = relative === ''
    const cwd = bytesOf(absolute(relative))
    const ask = isRoot || (await look(`${relative}/.git`)) !== undefined
    // A process cannot be started in a folder whose name is not text.
    const names = ask && isText(cwd) ? await gitNames(cwd.toString('utf8'), !isRoot, options) : undefined
    options.signal?.throwIfAborted()
    if (names === undefined) {
      yield* plain(relative)
      return
    }
    const reachable = realFolders(look)
    for (const { name, repository } of names) {
      options.signal?.throwIfAborted()
      const path = isRoot ? name : `${relative}/${name}`
      if (name.split('/').some((part) => LEFT_OUT.has(part)) || !(await reachable(path))) continue
      if (repository) {
        if ((await look(path))?.isDirectory() === true) yield* anyFolder(path)
      } else {
        const one = await document(path)
        if (one !== undefined) yield one
      }
    }
  }

  return { root, leftOut, [Symbol.asyncIterator]: () => anyFolder('') }
}

const isText = (bytes: Buffer): boolean => Buffer.from(bytes.toString('utf8'), 'utf8').equals(bytes)

/**
 * Says whether every folder above a path is a real one. Git lists `a/b` even where `a` has become a symbolic link, and
 * opening it would follow the link.
 */
const realFolders = (look: (relative: string) => Promise<Stats | undefined>) => {
  let checked = new Map<string, boolean>()
  const isReal = async (folder: string): Promise<boolean> => {
    const known = checked.get(folder)
    if (known !== undefined) return known
    const above = folder.lastIndexOf('/')
    const real = (above < 0 || (await isReal(folder.slice(0, above)))) && (await look(folder))?.isDirectory() === true
    if (checked.size >= MAX_CHECKED_FOLDERS) checked = new Map()
    checked.set(folder, real)
    return real
  }
  return async (path: string): Promise<boolean> => {
    const above = path.lastIndexOf('/')
    return above < 0 || isReal(path.slice(0, above))
  }
}
