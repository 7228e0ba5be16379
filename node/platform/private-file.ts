/**
 * Files that only this node's user may read: the identity key, the incarnation, node.json.
 *
 * Guarantees: a file is replaced as a whole or not at all (temporary file beside it, fsync, rename,
 * fsync of the folder), with mode 0600 in a folder of mode 0700. On Windows modes mean nothing and are not looked at.
 */
import { randomBytes } from 'node:crypto'
import { chmod, type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isParleyError, ParleyError } from '../../protocols/errors.ts'
import type { Log } from '../../protocols/port.ts'
import type { StateReason } from '../../protocols/state-reasons.ts'

export const FILE_MODE = 0o600
export const DIRECTORY_MODE = 0o700
/** Bits that let anyone but the owner in. */
const OTHERS = 0o077

const MODES_MEAN_SOMETHING = process.platform !== 'win32'

/** `0640`, as a person types it. */
export const octal = (mode: number): string => (mode & 0o777).toString(8).padStart(4, '0')

/** True where the mode lets group or others do anything with the file. */
export const opensToOthers = (mode: number): boolean => MODES_MEAN_SOMETHING && (mode & OTHERS) !== 0

/** Node's error code of a failed system call, such as ENOENT. */
export const systemCode = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined

/** Whether the disk, or the quota of its user, has no room. */
export const isFullDisk = (error: unknown): boolean => ['ENOSPC', 'EDQUOT'].includes(systemCode(error) ?? '')

const NOT_SO = ['ENOENT', 'ENOTDIR', 'EISDIR']

const reasonOf = (error: unknown, code: string): StateReason => {
  if (isFullDisk(error)) return 'disk-full'
  return NOT_SO.includes(code) ? 'missing' : 'disk-failed'
}

/** A failed system call as the error that a user sees; `details.errno` is its name, such as EACCES. */
export const fileError = (what: string, path: string, cause: unknown): ParleyError => {
  const errno = systemCode(cause)
  const message = `${what} ${path} failed: ${cause instanceof Error ? cause.message : String(cause)}`
  return new ParleyError('STA003', message, {
    hint: `check that ${path} exists and belongs to the user that runs this node, and that the disk has room`,
    details: { path, ...(errno === undefined ? {} : { reason: reasonOf(cause, errno), errno }) },
    cause,
  })
}

const tighten = async (handle: FileHandle, path: string, mode: number, log: Log | undefined): Promise<void> => {
  const found = (await handle.stat()).mode
  if (!opensToOthers(found)) return
  await handle.chmod(mode)
  log?.warn('others on this machine could read it; the permissions are now tightened', {
    path,
    was: octal(found),
    now: octal(mode),
  })
}

/**
 * Makes the folder, or takes away what others may do in an existing one (logged as a warning).
 * @throws STA003 where that is not possible
 */
export const ensurePrivateDirectory = async (path: string, log?: Log): Promise<void> => {
  try {
    await mkdir(path, { recursive: true, mode: DIRECTORY_MODE })
    const handle = await open(path, 'r')
    try {
      await tighten(handle, path, DIRECTORY_MODE, log)
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw fileError('preparing the data directory', path, error)
  }
}

/**
 * Reads a file of at most `maxBytes`; `check` sees the open file first, so that what is checked is what is read.
 * @returns undefined where there is no such file
 * @throws STA003 for any other failure, and for a file that is too large; what `check` throws
 */
export const readSmallFile = async (
  path: string,
  maxBytes: number,
  check?: (handle: FileHandle) => Promise<void>,
): Promise<Uint8Array | undefined> => {
  let handle: FileHandle | undefined
  try {
    handle = await open(path, 'r')
    await check?.(handle)
    // Not by its size: a pipe (a shell's process substitution) has none, and a file may grow meanwhile.
    const bytes = new Uint8Array(maxBytes + 1)
    let length = 0
    for (;;) {
      const { bytesRead } = await handle.read(bytes, length, bytes.length - length)
      length += bytesRead
      if (length > maxBytes) throw new Error(`it has more than ${maxBytes} bytes`)
      if (bytesRead === 0) return bytes.slice(0, length)
    }
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw isParleyError(error) ? error : fileError('reading', path, error)
  } finally {
    await handle?.close()
  }
}

/** As `readSmallFile`; a file that others could read is tightened to 0600, with a warning in the log. */
export const readPrivateFile = (path: string, maxBytes: number, log?: Log): Promise<Uint8Array | undefined> =>
  readSmallFile(path, maxBytes, (handle) => tighten(handle, path, FILE_MODE, log))

const syncDirectory = async (path: string): Promise<void> => {
  // Windows cannot open a folder for fsync; its rename is journalled by the file system.
  if (!MODES_MEAN_SOMETHING) return
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Replaces the file as a whole; when this returns, the new content survives a power cut.
 * @throws STA003 where the disk or the permissions do not allow it; the old content is then untouched
 */
export const writePrivateFile = async (path: string, content: Uint8Array | string): Promise<void> => {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
  try {
    const handle = await open(temporary, 'wx', FILE_MODE)
    try {
      await handle.writeFile(content)
      // The umask can only take bits away, so that this is the only way to be sure of the mode.
      await chmod(temporary, FILE_MODE)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, path)
    await syncDirectory(dirname(path))
  } catch (error) {
    await rm(temporary, { force: true })
    throw fileError('writing', path, error)
  }
}
