/**
 * Where a folder really is: a small file in it that names its own inode number and creation time.
 *
 * A copy of the folder, as one that is restored from a backup, has the contents of that file in another file, with another
 * time, and mostly another number: that of a file that was removed may be given again. A folder that is renamed or moved
 * within its file system keeps both. The time has to differ before a folder counts as copied: some file systems number
 * their files anew at each mount, and keep the times. Where the number is the same, the time has to be later, and the file
 * system must have been seen to keep it when a file changes: some tell the time of the last change instead.
 *
 * What is not noticed: a whole disk or volume that is set back (its files keep number and time), files that are copied
 * over those that are there (the file in place keeps both), and a copy on a file system that tells no creation times.
 *
 * The file is made first and described then, so a crash in between leaves an empty one, which says as little as none.
 */
import { type FileHandle, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import * as z from 'zod'
import { FILE_MODE, fileError, readSmallFile, systemCode } from '../../platform/private-file.ts'
import { openFolder } from './disk.ts'

export const COPY_DETECTION_FILE = 'place.json'
const FORMAT = 1
const MAX_BYTES = 4_096
/** A file's times are those of the system's last tick, which comes every 1 to 10 ms. */
const TICK_MS = 2
const MAX_TICKS = 20

/** `same`: it is where it was. `copied`: it was restored or copied. `unknown`: nothing tells. */
export type CopyVerdict = 'same' | 'copied' | 'unknown'

/** What tells a file from its copies. */
export interface FileIdentity {
  readonly inode: bigint
  /** Nanoseconds since 1970; 0: the file system does not tell. */
  readonly bornNs: bigint
  /** The file system kept that time when it changed the file. */
  readonly isBornKept?: boolean
}

const Digits = z.string().regex(/^\d{1,20}$/)
const PlaceSchema = z.object({
  format: z.literal(FORMAT),
  inode: Digits,
  bornNs: Digits,
  isBornKept: z.boolean().optional(),
})

/**
 * @param written what the file says of itself; undefined: nothing that can be read
 * @param now what the file system says of it
 */
export const judgeCopy = (written: FileIdentity | undefined, now: FileIdentity | undefined): CopyVerdict => {
  if (written === undefined || now === undefined || written.bornNs === 0n || now.bornNs === 0n) return 'unknown'
  const isLater = written.isBornKept === true && now.bornNs > written.bornNs
  return isLater || (written.inode !== now.inode && written.bornNs !== now.bornNs) ? 'copied' : 'same'
}

/** What such a file holds. @returns undefined for anything else, as a crash leaves it */
export const parseFileIdentity = (bytes: Uint8Array): FileIdentity | undefined => {
  try {
    const found = PlaceSchema.safeParse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)))
    if (!found.success) return undefined
    const { inode, bornNs, isBornKept } = found.data
    return { inode: BigInt(inode), bornNs: BigInt(bornNs), ...(isBornKept !== undefined && { isBornKept }) }
  } catch {
    return undefined
  }
}

const identityOf = async (handle: FileHandle): Promise<FileIdentity> => {
  const { ino, birthtimeNs } = await handle.stat({ bigint: true })
  return { inode: ino, bornNs: birthtimeNs }
}

/** Changes the file until its time of change differs from that of its creation. @returns whether the latter stays */
const keepsBorn = async (handle: FileHandle, bornNs: bigint): Promise<boolean> => {
  for (let i = 0; i < MAX_TICKS; i += 1) {
    await handle.chmod(FILE_MODE)
    const { birthtimeNs, ctimeNs } = await handle.stat({ bigint: true })
    if (birthtimeNs !== bornNs) return false
    if (ctimeNs !== bornNs) return true
    await setTimeout(TICK_MS)
  }
  return false
}

/** Changes nothing. @throws nothing: what cannot be read tells nothing */
export const detectCopy = async (folder: string): Promise<CopyVerdict> => {
  let now: FileIdentity | undefined
  try {
    const bytes = await readSmallFile(join(folder, COPY_DETECTION_FILE), MAX_BYTES, async (handle) => {
      now = await identityOf(handle)
    })
    return judgeCopy(bytes && parseFileIdentity(bytes), now)
  } catch {
    return 'unknown'
  }
}

/** Says that the folder is where it should be; durable once it resolves. @throws STA003 where it cannot be written */
export const recordFileIdentity = async (folder: string): Promise<void> => {
  const path = join(folder, COPY_DETECTION_FILE)
  try {
    await rm(path, { force: true })
    // Under its own name at once: one that was renamed there would be the same file, one that was copied would not.
    const handle = await open(path, 'wx', FILE_MODE)
    try {
      const { inode, bornNs } = await identityOf(handle)
      const isBornKept = bornNs !== 0n && (await keepsBorn(handle, bornNs))
      await handle.writeFile(
        `${JSON.stringify({ format: FORMAT, inode: `${inode}`, bornNs: `${bornNs}`, isBornKept })}\n`,
      )
      await handle.sync()
    } finally {
      await handle.close()
    }
    await (await openFolder(folder)).syncNames()
  } catch (error) {
    throw systemCode(error) === undefined ? error : fileError('writing', path, error)
  }
}
