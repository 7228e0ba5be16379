/**
 * A second folder with the same LevelDB in it, to be opened and read in place of the first: opening one changes it, and
 * may remove what shows that it is damaged. Tables are never written again and are linked, all else is copied. Keeps no state.
 */
import { constants } from 'node:fs'
import { copyFile, link, mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DIRECTORY_MODE, systemCode } from '../private-file.ts'

const TABLE = /\.(ldb|sst)$/
/** LevelDB's lock and its own notes. */
const LEFT_OUT = ['LOCK', 'LOG', 'LOG.old']

const copy = (from: string, to: string): Promise<void> => copyFile(from, to, constants.COPYFILE_FICLONE)

const linkOrCopy = async (from: string, to: string): Promise<void> => {
  try {
    await link(from, to)
  } catch (error) {
    if (systemCode(error) === 'ENOSPC' || systemCode(error) === 'ENOENT') throw error
    // A file system without links, or one that has enough of them.
    await copy(from, to)
  }
}

/**
 * Makes `to`, where what there was is removed.
 * @param takes whether a table is to be in it; LevelDB does not open where one is missing that counts
 * @throws what the disk says
 */
export const copyLevel = async (
  from: string,
  to: string,
  takes: (table: string) => Promise<boolean> = async () => true,
): Promise<void> => {
  await rm(to, { recursive: true, force: true })
  await mkdir(to, { recursive: true, mode: DIRECTORY_MODE })
  for (const name of await readdir(from)) {
    const [old, next] = [join(from, name), join(to, name)]
    if (LEFT_OUT.includes(name)) continue
    if (!TABLE.test(name)) await copy(old, next)
    else if (await takes(old)) await linkOrCopy(old, next)
  }
}
