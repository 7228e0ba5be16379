/**
 * A copy of all that a node keeps, made while it runs or when it does not.
 *
 * Nothing is asked of the node: files of logs are only appended to, tables and snapshots never change, and everything else is
 * replaced as a whole. What the node removes meanwhile is missed by looking at the copy as a start would; then the folder is
 * copied again. Of a log's mark the copy is made first, so that it never says more than the log has. The parts of the copy
 * are of slightly different times; each is as a crash at its time would have left it.
 *
 * A node that starts on the copy notices it, as with any backup: it comes back as a new member, and as a new sender.
 */
import { copyFile, mkdir, open, readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ParleyError } from '../../protocols/errors.ts'
import { DIRECTORY_MODE, ensurePrivateDirectory, FILE_MODE, fileError, systemCode } from '../platform/private-file.ts'
import { CURSORS_FOLDER } from './events/event-files.ts'
import { readFences } from './fences/fence-file.ts'
import { lookIntoFolder, openFolder } from './files/disk.ts'
import { surveyJournal } from './journal/journal-survey.ts'
import { EVENTS_FOLDER, FENCE_FOLDER, JOURNAL_FOLDER, MESSAGES_FOLDER, ROWS_FOLDER } from './known-stores.ts'
import { LOG_MARKER_FILE } from './log/log-marker.ts'
import { storeError } from './log/log-segments.ts'
import { surveyRows } from './rows/row-survey.ts'

/** Of this process or this start, or made anew by the next one. */
const LEFT_OUT = new Set(['lock', 'node.json', 'control.sock', 'reserve', 'probe', 'mended', 'trial', 'rows.part'])
const isLeftOut = (name: string): boolean =>
  LEFT_OUT.has(name) || name.startsWith('lock.') || /\.(tmp|part|old)$|\.(damaged|abandoned)(\.\d+)?$/.test(name)
/** Times that a folder is copied again because something went away meanwhile. */
const MAX_ATTEMPTS = 20
const PAUSE_MS = 100

export interface Backup {
  readonly files: number
  readonly bytes: number
  /** Of the journal; undefined where there is none. */
  readonly lastIndex: number | undefined
  readonly rows: number | undefined
}

/** What lies directly in a folder: folders, and files with the mark first and the rest by name. */
const contentsOf = async (folder: string) => {
  const entries = (await readdir(folder, { withFileTypes: true })).filter(({ name }) => !isLeftOut(name))
  const rank = (name: string): number => (name === LOG_MARKER_FILE ? 0 : /\.(table|snapshot)$/.test(name) ? 1 : 2)
  const files = entries.filter((one) => one.isFile()).map(({ name }) => name)
  return {
    folders: entries.filter((one) => one.isDirectory()).map(({ name }) => name),
    files: files.sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1)),
  }
}

const syncFile = async (path: string): Promise<number> => {
  const handle = await open(path, 'r+')
  try {
    await handle.chmod(FILE_MODE)
    await handle.sync()
    return (await handle.stat()).size
  } finally {
    await handle.close()
  }
}

/** @returns bytes; undefined: the file went away */
const copyOne = async (from: string, to: string): Promise<number | undefined> => {
  try {
    await copyFile(from, to)
    return await syncFile(to)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

interface Copied {
  files: number
  bytes: number
}

const copyFolder = async (from: string, to: string, copied: Copied): Promise<void> => {
  await mkdir(to, { recursive: true, mode: DIRECTORY_MODE })
  const { files, folders } = await contentsOf(from)
  for (const name of files) {
    const bytes = await copyOne(join(from, name), join(to, name))
    if (bytes === undefined) continue
    copied.files += 1
    copied.bytes += bytes
  }
  for (const name of folders) await copyFolder(join(from, name), join(to, name), copied)
  await (await openFolder(to)).syncNames()
}

/** What a copy of a folder comes to. @throws what is wrong with it */
type Check = (copy: string) => Promise<Partial<Backup>>

const CHECKS: Record<string, Check> = {
  async [JOURNAL_FOLDER](copy) {
    const { problems, lastIndex } = await surveyJournal(lookIntoFolder(copy))
    if (problems[0] !== undefined) throw problems[0].error
    return { lastIndex }
  },
  async [MESSAGES_FOLDER](copy) {
    const { problems, rows } = await surveyRows(lookIntoFolder(join(copy, ROWS_FOLDER)))
    if (problems[0] !== undefined) throw problems[0]
    return { rows }
  },
  async [EVENTS_FOLDER](copy) {
    const { problems } = await surveyRows(lookIntoFolder(join(copy, CURSORS_FOLDER, ROWS_FOLDER)))
    if (problems[0] !== undefined) throw problems[0]
    return {}
  },
  async [FENCE_FOLDER](copy) {
    const { problem } = await readFences(lookIntoFolder(copy))
    if (problem !== undefined) throw problem
    return {}
  },
}

/** Copies one folder until the copy is whole. @throws STA003 where it never was */
const copyUntilWhole = async (from: string, to: string, check: Check, copied: Copied): Promise<Partial<Backup>> => {
  for (let attempt = 1; ; attempt += 1) {
    const now: Copied = { files: 0, bytes: 0 }
    await rm(to, { recursive: true, force: true })
    await copyFolder(from, to, now)
    try {
      const found = await check(to)
      copied.files += now.files
      copied.bytes += now.bytes
      return found
    } catch (error) {
      if (!(error instanceof ParleyError) || attempt === MAX_ATTEMPTS) throw error
      await sleep(PAUSE_MS)
    }
  }
}

/**
 * @param to is made; must not exist, or be empty
 * @throws STA003: `to` holds something, what is to be copied is damaged, or the disk does not take the copy; nothing is left
 *   of it then
 */
export const backUpDataDirectory = async (dataDir: string, to: string): Promise<Backup> => {
  const there = await lookIntoFolder(to).list()
  if (there.length > 0)
    throw storeError('in-use', `${to} is not empty`, 'name a folder that does not exist; each backup has its own')
  const copied: Copied = { files: 0, bytes: 0 }
  try {
    await ensurePrivateDirectory(dirname(to))
    await ensurePrivateDirectory(to)
    const { files, folders } = await contentsOf(dataDir)
    let found: Partial<Backup> = {}
    for (const name of folders) {
      const check = CHECKS[name]
      if (check === undefined) await copyFolder(join(dataDir, name), join(to, name), copied)
      else found = { ...found, ...(await copyUntilWhole(join(dataDir, name), join(to, name), check, copied)) }
    }
    // Last: they say which stores there are.
    for (const name of files) {
      const bytes = await copyOne(join(dataDir, name), join(to, name))
      if (bytes === undefined) continue
      copied.files += 1
      copied.bytes += bytes
    }
    await (await openFolder(to)).syncNames()
    return { ...copied, lastIndex: found.lastIndex, rows: found.rows }
  } catch (error) {
    await rm(to, { recursive: true, force: true }).catch(() => {})
    if (error instanceof ParleyError || systemCode(error) === undefined) throw error
    throw fileError('copying', to, error)
  }
}
