/**
 * Where a folder really is: a small file in it that names its own inode number and creation time.
 *
 * A copy of the folder, as one that is restored from a backup, has the contents of that file in another file, with another
 * number and another time. A folder that is renamed or moved within its file system keeps both. Both have to differ before
 * a folder counts as copied: some file systems number their files anew at each mount, and keep the times.
 *
 * What is not noticed: a whole disk or volume that is set back (its files keep number and time), files that are copied
 * over those that are there (the file in place keeps both), and a copy on a file system that tells no creation times.
 *
 * The file is made first and described then, so a crash in between leaves an empty one, which says as little as none.
 * Keeps no state.
 */
import { type FileHandle, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { FILE_MODE, fileError, readSmallFile, systemCode } from '../private-file.ts'
import { openFolder } from './disk.ts'

export const PLACE_FILE = 'place.json'
const FORMAT = 1
const MAX_BYTES = 4_096

/** `same`: it is where it was. `copied`: it was restored or copied. `unknown`: nothing tells. */
export type Place = 'same' | 'copied' | 'unknown'

/** What tells a file from its copies. */
export interface FileIdentity {
  readonly inode: bigint
  /** Nanoseconds since 1970; 0: the file system does not tell. */
  readonly bornNs: bigint
}

const Digits = z.string().regex(/^\d{1,20}$/)
const PlaceSchema = z.object({ format: z.literal(FORMAT), inode: Digits, bornNs: Digits })

/**
 * @param written what the file says of itself; undefined: nothing that can be read
 * @param now what the file system says of it
 */
export const judgePlace = (written: FileIdentity | undefined, now: FileIdentity | undefined): Place => {
  if (written === undefined || now === undefined || written.bornNs === 0n || now.bornNs === 0n) return 'unknown'
  return written.inode !== now.inode && written.bornNs !== now.bornNs ? 'copied' : 'same'
}

/** What such a file holds. @returns undefined for anything else, as a crash leaves it */
export const parsePlace = (bytes: Uint8Array): FileIdentity | undefined => {
  try {
    const found = PlaceSchema.safeParse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)))
    return found.success ? { inode: BigInt(found.data.inode), bornNs: BigInt(found.data.bornNs) } : undefined
  } catch {
    return undefined
  }
}

const identityOf = async (handle: FileHandle): Promise<FileIdentity> => {
  const { ino, birthtimeNs } = await handle.stat({ bigint: true })
  return { inode: ino, bornNs: birthtimeNs }
}

/** Changes nothing. @throws nothing: what cannot be read tells nothing */
export const readPlace = async (folder: string): Promise<Place> => {
  let now: FileIdentity | undefined
  try {
    const bytes = await readSmallFile(join(folder, PLACE_FILE), MAX_BYTES, async (handle) => {
      now = await identityOf(handle)
    })
    return judgePlace(bytes && parsePlace(bytes), now)
  } catch {
    return 'unknown'
  }
}

/** Says that the folder is where it should be; durable once it resolves. @throws STA003 where it cannot be written */
export const markPlace = async (folder: string): Promise<void> => {
  const path = join(folder, PLACE_FILE)
  try {
    await rm(path, { force: true })
    // Under its own name at once: one that was renamed there would be the same file, one that was copied would not.
    const handle = await open(path, 'wx', FILE_MODE)
    try {
      const { inode, bornNs } = await identityOf(handle)
      await handle.writeFile(`${JSON.stringify({ format: FORMAT, inode: `${inode}`, bornNs: `${bornNs}` })}\n`)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await (await openFolder(folder)).syncNames()
  } catch (error) {
    throw systemCode(error) === undefined ? error : fileError('writing', path, error)
  }
}
