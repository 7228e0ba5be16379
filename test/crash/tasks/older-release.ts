/**
 * The release before this one: the tree of the first commit that has tasks (`tasks@1`), with today's programs of the crash runs in
 * it, so that both are asked the same. State: a folder, which is below that of whoever asked for it.
 */
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { buildProgramOf } from '../../built.ts'
import { hasCommit, providePackages, ROOT, unpackCommit } from '../../support/commit-tree.ts'

const PROGRAM = 'test/crash/tasks/task-process.ts'
const OLDER = '2cdcacaefbd5fb61a7c18fd4c30378a425a9924d'
/** What a process of a crash run is made of, beside the product. */
const PROGRAMS = ['test/crash', 'test/soak', 'test/support']

/** Why it cannot be had here. */
export const noOlderRelease = (): string | undefined =>
  hasCommit(OLDER) ? undefined : `the history that is here has no commit ${OLDER.slice(0, 8)}: a shallow clone`

/** A process of it as whoever starts seven of them wants it: put together. @returns where it is */
export const provideOlderProcess = async (folder: string, say: (line: string) => void): Promise<string> =>
  buildProgramOf(await provideOlderRelease(folder, say), PROGRAM)

/** @returns the root of its tree */
export const provideOlderRelease = async (folder: string, say: (line: string) => void): Promise<string> => {
  const root = join(folder, 'older')
  await unpackCommit(OLDER, root)
  await providePackages(root, say)
  for (const part of PROGRAMS) {
    await rm(join(root, part), { recursive: true })
    await cp(join(ROOT, part), join(root, part), { recursive: true })
  }
  return root
}
