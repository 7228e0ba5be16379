/**
 * An older commit's tree, beside this one and outside of it, so that both can be measured in one run.
 *
 * Its product code is measured by today's ends wherever they fit it, so that the measure is the same; where its API is
 * another one, by its own. Packages are this tree's where the lock file wants the same ones, otherwise they are installed.
 * State: a folder, which whoever asked for it removes.
 */
import { type SpawnOptions, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { UsageError } from '../support/usage.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
/** What the figures of the tree are made of. */
const MEASURED = ['protocols', 'discovery', 'node', 'test/bench', 'package.json', 'package-lock.json']
const GIT_LIMIT_MS = 60_000
const INSTALL_LIMIT_MS = 240_000
const TYPES_LIMIT_MS = 120_000
const SHORT_HASH_CHARS = 7
const MOST_CHARS = 1_000_000

export interface OlderTree {
  /** The commit in full. */
  readonly commit: string
  /** Where it stands. */
  readonly root: string
  /** Why today's ends are not used; undefined when they are. */
  readonly ownEnds: string | undefined
}

interface Ended {
  readonly ok: boolean
  readonly said: string
}

const run = async (command: string, args: readonly string[], options: SpawnOptions): Promise<Ended> => {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'], killSignal: 'SIGKILL' })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-MOST_CHARS)
    })
  }
  const { promise, resolve } = Promise.withResolvers<Ended>()
  child.on('error', (error) => resolve({ ok: false, said: error.message }))
  child.on('close', (code) => resolve({ ok: code === 0, said: said.trim() }))
  return promise
}

export const shortOf = (commit: string): string => commit.slice(0, SHORT_HASH_CHARS)

/** Whether two lock files ask for the same packages; the own name, version and commands of the package count for nothing. */
export const samePackages = (one: string, other: string): boolean => {
  const schema = z.object({ packages: z.record(z.string(), z.unknown()) })
  const [a, b] = [one, other].map((text) => {
    const { packages } = schema.parse(JSON.parse(text))
    return JSON.stringify(Object.entries(packages).filter(([name]) => name !== ''))
  })
  return a === b
}

/** The first complaint of the compiler about the ends; what it says about the product is none of our business here. */
export const misfitOf = (said: string): string | undefined =>
  said.split('\n').find((line) => line.startsWith('test/bench/') && line.includes('error TS'))

/**
 * @returns the commit in full
 * @throws UsageError when there is no such commit, no repository, or the tree has changes that are in no commit
 */
export const findCommit = async (given: string, root = ROOT): Promise<string> => {
  const git = (...args: string[]) => run('git', args, { cwd: root, timeout: GIT_LIMIT_MS })
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

/** The files of the commit, without anything of git beside them that could be left behind. */
const unpack = async (commit: string, root: string, signal: AbortSignal): Promise<void> => {
  const archive = `${root}.tar`
  const packed = await run('git', ['archive', '--format=tar', `--output=${archive}`, commit], { cwd: ROOT, signal })
  if (!packed.ok) throw new Error(`git archive of ${commit} failed: ${packed.said}`)
  await mkdir(root, { recursive: true })
  const unpacked = await run('tar', ['-xf', archive, '-C', root], { signal })
  await rm(archive, { force: true })
  if (!unpacked.ok) throw new Error(`unpacking ${commit} failed: ${unpacked.said}`)
}

const providePackages = async (root: string, signal: AbortSignal, say: (line: string) => void): Promise<void> => {
  const [older, today] = await Promise.all(
    [root, ROOT].map((folder) => readFile(join(folder, 'package-lock.json'), 'utf8')),
  )
  if (older !== undefined && today !== undefined && samePackages(older, today)) {
    await symlink(join(ROOT, 'node_modules'), join(root, 'node_modules'), 'dir')
    return
  }
  say(`installing the packages of ${basename(root)} (npm ci)`)
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund']
  const installed = await run('npm', args, { cwd: root, signal, timeout: INSTALL_LIMIT_MS })
  const errors = installed.said.split('\n').filter((line) => line.startsWith('npm error '))
  if (!installed.ok) throw new Error(`its packages could not be installed: ${errors.slice(0, 2).join('; ')}`)
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
  const { said } = await run(process.execPath, args, { cwd: root, signal, timeout: TYPES_LIMIT_MS })
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
  await unpack(commit, root, signal)
  await providePackages(root, signal, say)
  const ownEnds = await provideEnds(root, needs, signal)
  if (ownEnds !== undefined) say(`measured by its own ends, since today's do not fit it: ${ownEnds}`)
  return { commit, root, ownEnds }
}
