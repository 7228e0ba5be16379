/**
 * A second folder with the same LevelDB in it, to be opened and read in place of the first: opening one changes it, and
 * may remove what shows that it is damaged. Tables are never written again and are linked, all else is copied.
 */
import { constants } from 'node:fs'
import { copyFile, link, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DIRECTORY_MODE, FILE_MODE, systemCode } from '../../platform/private-file.ts'

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
 * @param tables of each table by its path: whether it is to be in it, or what in its place
 * @throws what the disk says
 */
export const copyLevelDb = async (
  from: string,
  to: string,
  tables: (path: string) => Promise<boolean | Uint8Array>,
): Promise<void> => {
  await rm(to, { recursive: true, force: true })
  await mkdir(to, { recursive: true, mode: DIRECTORY_MODE })
  for (const name of await readdir(from)) {
    if (LEFT_OUT.includes(name)) continue
    const [old, next] = [join(from, name), join(to, name)]
    const takes = TABLE.test(name) ? await tables(old) : undefined
    if (takes === undefined) await copy(old, next)
    else if (takes === true) await linkOrCopy(old, next)
    else if (takes !== false) await writeFile(next, takes, { mode: FILE_MODE })
  }
}
