/**
 * An older commit's tree, beside this one and outside of it, so that both can be measured in one run.
 *
 * Its product code is measured by today's ends wherever they fit it, so that the measure is the same; where its API is
 * another one, by its own. Packages are this tree's where the lock file wants the same ones, otherwise they are installed.
 * State: a folder, which whoever asked for it removes.
 */
import { existsSync } from 'node:fs'
import { cp, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { providePackages, ROOT, runProgram, unpackCommit } from '../support/commit-tree.ts'
import { UsageError } from '../support/usage.ts'

/** What the figures of the tree are made of. */
const MEASURED = ['protocols', 'discovery', 'node', 'test/bench', 'package.json', 'package-lock.json']
const GIT_LIMIT_MS = 60_000
const TYPES_LIMIT_MS = 120_000
const SHORT_HASH_CHARS = 7

export interface OlderTree {
  /** The commit in full. */
  readonly commit: string
  /** Where it stands. */
  readonly root: string
  /** Why today's ends are not used; undefined when they are. */
  readonly ownEnds: string | undefined
}

export const shortOf = (commit: string): string => commit.slice(0, SHORT_HASH_CHARS)

/** The first complaint of the compiler about the ends; what it says about the product is none of our business here. */
export const misfitOf = (said: string): string | undefined =>
  said.split('\n').find((line) => line.startsWith('test/bench/') && line.includes('error TS'))

/**
 * @returns the commit in full
 * @throws UsageError when there is no such commit, no repository, or the tree has changes that are in no commit
 */
export const findCommit = async (given: string, root = ROOT): Promise<string> => {
  const git = (...args: string[]) => runProgram('git', args, { cwd: root, timeout: GIT_LIMIT_MS })
  const inside = await git('rev-parse', '--is-inside-work-tree')
  if (!inside.ok) throw new UsageError(`--against needs the git repository of this tree: ${inside.said}`)
  const found = given.startsWith('-')
    ? undefined
    : await git('rev-parse', '--verify', '--quiet', '--end-of-options', `${given}^{commit}`)
  if (!found?.ok) throw new UsageError(`--against: there is no commit ${JSON.stringify(given)} in this repository`)
  const changes = await git('status', '--porcelain', '--', ...MEASURED)
  if (!changes.ok || changes.said !== '') {
    const [first = ''] = changes.said.split('\n')
    throw new UsageError(`--against: the tree has changes that are in no commit (${first.trim()}); commit them first`)
  }
  return found.said
}

/** Puts today's ends in the place of its own, and those back where they do not fit. */
const provideEnds = async (root: string, needs: string, signal: AbortSignal): Promise<string | undefined> => {
  const [ends, own] = [join(root, 'test/bench'), join(root, 'test/bench-own')]
  const hasOwn = existsSync(join(ends, 'end.ts')) && existsSync(join(ends, needs))
  await cp(ends, own, { recursive: true }).catch(() => {})
  await rm(ends, { recursive: true, force: true })
  await cp(join(ROOT, 'test/bench'), ends, {
    recursive: true,
    filter: (path) => !['node_modules', 'dist'].includes(basename(path)),
  })
  const config = join(root, 'tsconfig.ends.json')
  const files = ['test/bench/systems/peers.d.ts', 'test/bench/end.ts']
  await writeFile(config, JSON.stringify({ extends: './tsconfig.json', files, include: [] }))
  const compiler = join(ROOT, 'node_modules/typescript/bin/tsc')
  const args = [compiler, '--noEmit', '--pretty', 'false', '-p', config]
  const { said } = await runProgram(process.execPath, args, { cwd: root, signal, timeout: TYPES_LIMIT_MS })
  const misfit = misfitOf(said)
  if (misfit === undefined) return undefined
  if (!hasOwn) {
    throw new UsageError(`--against: that commit has no ${needs} of its own, and today's does not fit it: ${misfit}`)
  }
  await rm(ends, { recursive: true })
  await cp(own, ends, { recursive: true })
  return misfit
}

/**
 * @param needs a file of the ends that it must have where today's do not fit it
 * @param folder an empty one, outside of the tree
 * @throws UsageError when the commit lacks what the suite measures
 */
export const provideOlderTree = async (
  { commit, needs, folder }: { commit: string; needs: string; folder: string },
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<OlderTree> => {
  const root = join(folder, shortOf(commit))
  await unpackCommit(commit, root, signal)
  await providePackages(root, say, signal)
  const ownEnds = await provideEnds(root, needs, signal)
  if (ownEnds !== undefined) say(`measured by its own ends, since today's do not fit it: ${ownEnds}`)
  return { commit, root, ownEnds }
}
