/**
 * Writes the report so that a reader sees the old one or the new one, never a half: a temporary file beside it, synced,
 * then renamed over it. A symbolic link in its place is replaced, not followed.
 */
import { randomBytes } from 'node:crypto'
import { lstat, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipe } from 'it-pipe'
import { ParleyError } from '../../protocols/errors.ts'

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : 'unknown')

const HINTS: Record<string, string> = {
  ENOENT: 'create the folder first, or give another place with --out',
  ENOTDIR: 'a part of the path is a file; give another place with --out',
  EACCES: 'you may not write there; give another place with --out',
  EPERM: 'you may not write there; give another place with --out',
  EROFS: 'the file system is read-only; give another place with --out',
  ENOSPC: 'the disk is full; make room, or give another place with --out',
  EDQUOT: 'your quota is used up; make room, or give another place with --out',
}

const refusal = (out: string, error: unknown): ParleyError => {
  const code = codeOf(error)
  return new ParleyError('APP001', `the report cannot be written to ${JSON.stringify(out)} (${code})`, {
    hint: HINTS[code] ?? 'give another place with --out',
    cause: error,
  })
}

/**
 * Says at once whether a report can be written to `out`, so that nobody works for minutes and fails at the end.
 * @throws MSG001 `out` is a folder, APP001 its folder is missing or may not be written to
 */
export const checkOut = async (out: string): Promise<void> => {
  const there = await lstat(out).catch(() => undefined)
  if (there?.isDirectory() === true) {
    throw new ParleyError('MSG001', `${JSON.stringify(out)} is a folder`, {
      hint: `give a file, as in: --out ${join(out, 'report.md')}`,
    })
  }
  await rm(await temporary(out, [])).catch(() => undefined)
}

/** A new file beside `out` with these pieces in it; nothing stays behind when it fails. */
const temporary = async (out: string, pieces: Iterable<string>): Promise<string> => {
  const path = join(dirname(out), `.report-${randomBytes(6).toString('hex')}.tmp`)
  try {
    const file = await open(path, 'wx')
    try {
      await pipe(pieces, (source) => file.writeFile(source))
      await file.sync()
    } finally {
      await file.close()
    }
    return path
  } catch (error) {
    await rm(path, { force: true }).catch(() => undefined)
    throw refusal(out, error)
  }
}

/**
 * @param out path of the report
 * @param pieces taken one by one, so that a large report is never whole in memory
 * @throws MSG001 `out` is a folder, APP001 it cannot be written
 */
export const writeReport = async (out: string, pieces: Iterable<string>): Promise<void> => {
  await checkOut(out)
  const path = await temporary(out, pieces)
  try {
    await rename(path, out)
  } catch (error) {
    await rm(path, { force: true }).catch(() => undefined)
    throw refusal(out, error)
  }
}
