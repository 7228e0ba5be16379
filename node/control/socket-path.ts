/**
 * Where the control socket of a node is: `control.sock` in its data directory, which is this user's alone (mode 0700). Where
 * that path is too long for a socket, or the file system takes none: in a folder of its own under the system's temporary
 * directory, with mode 0700 and this user as its owner, so that nobody else can get at it before the socket has its mode.
 *
 * The caller holds the lock of the data directory, so that a socket that is there is a dead process's.
 * Source: unix(7), `sun_path` has 108 bytes with the zero at its end; 104 on macOS and the BSDs.
 */
import { createHash } from 'node:crypto'
import { lstat, mkdir, mkdtemp, rmdir, unlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ParleyError } from '../../protocols/errors.ts'
import { DIRECTORY_MODE, opensToOthers, systemCode } from '../platform/private-file.ts'

export const SOCKET_NAME = 'control.sock'
/** Bytes of a path, without the zero at its end. */
export const MAX_SOCKET_PATH_BYTES = process.platform === 'linux' ? 107 : 103

export interface SocketPath {
  readonly path: string
  /** The folder that was made for it. */
  readonly folder: string | undefined
}

export const fitsSocket = (path: string): boolean => Buffer.byteLength(path) <= MAX_SOCKET_PATH_BYTES

/** 16 characters that stand for the data directory. */
const shortName = (dataDir: string): string => createHash('sha256').update(dataDir).digest('hex').slice(0, 16)

/** Untested: no Windows here. Only the user that made a named pipe may write to it, unless told otherwise. */
const pipeOf = (dataDir: string): string => `\\\\.\\pipe\\parley-${shortName(dataDir)}`

const isOurs = async (folder: string): Promise<boolean> => {
  const found = await lstat(folder)
  return found.isDirectory() && found.uid === process.getuid?.() && !opensToOthers(found.mode)
}

/** The same folder at each start, so that what a killed process left is found; another one where somebody else sits there. */
const shortFolder = async (dataDir: string, root: string): Promise<string> => {
  const folder = join(root, `parley-${shortName(dataDir)}`)
  try {
    await mkdir(folder, { mode: DIRECTORY_MODE })
    return folder
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error
  }
  return (await isOurs(folder)) ? folder : mkdtemp(`${folder}-`)
}

/** Removes the socket of a dead process. @throws STA003 for anything else in its place */
const clear = async (path: string): Promise<void> => {
  try {
    const found = await lstat(path)
    if (!found.isSocket()) {
      throw new ParleyError('STA003', `${path} is in the place of the control socket and is no socket`, {
        hint: 'look what it is, and move it away',
        details: { reason: 'in-use', path },
      })
    }
    await unlink(path)
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error
  }
}

/** In the data directory. @returns undefined where the path is too long for a socket */
export const socketInDataDir = async (dataDir: string): Promise<SocketPath | undefined> => {
  if (process.platform === 'win32') return { path: pipeOf(dataDir), folder: undefined }
  const path = join(dataDir, SOCKET_NAME)
  if (!fitsSocket(path)) return undefined
  await clear(path)
  return { path, folder: undefined }
}

/** @throws STA003 where the temporary directory's path is too long as well */
export const socketInTemporaryDirectory = async (dataDir: string, root: string = tmpdir()): Promise<SocketPath> => {
  const folder = await shortFolder(dataDir, root)
  const path = join(folder, SOCKET_NAME)
  if (!fitsSocket(path)) {
    await rmdir(folder).catch(() => {})
    throw new ParleyError('STA003', `no path for a control socket is short enough: ${path}`, {
      hint: `set TMPDIR to a folder with a short path; a socket's path has at most ${MAX_SOCKET_PATH_BYTES} bytes`,
      details: { reason: 'missing', path },
    })
  }
  await clear(path)
  return { path, folder }
}
