/**
 * The tree of another commit, beside this one and outside of it: its files, and packages as its lock file wants them. State: a
 * folder, which whoever asked for it removes.
 */
import { execFileSync, type SpawnOptions, spawn } from 'node:child_process'
import { mkdir, readFile, rm, symlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const INSTALL_LIMIT_MS = 240_000
const MOST_CHARS = 1_000_000
const MODULES = 'node_modules'

interface Ended {
  readonly ok: boolean
  readonly said: string
}

export const runProgram = async (command: string, args: readonly string[], options: SpawnOptions): Promise<Ended> => {
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

/** Whether the history that is here has it: a shallow clone has not. */
export const hasCommit = (commit: string, root = ROOT): boolean => {
  try {
    execFileSync('git', ['cat-file', '-e', `${commit}^{tree}`], { cwd: root, stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** `node_modules/a/node_modules/b` belongs to `node_modules/a`. */
const ownerOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf(MODULES) - 1))

/**
 * Whether the packages of one lock file do for the other: each that this one wants is there just so, and what is there beside them
 * is in the way of none. The own name, version and commands of the package count for nothing.
 */
export const coversPackages = (wanted: string, there: string): boolean => {
  const schema = z.object({ packages: z.record(z.string(), z.unknown()) })
  const [older = new Map(), today = new Map()] = [wanted, there].map((text) => {
    const { packages } = schema.parse(JSON.parse(text))
    return new Map(Object.entries(packages).filter(([path]) => path !== ''))
  })
  const isSame = [...older].every(([path, one]) => JSON.stringify(one) === JSON.stringify(today.get(path)))
  return isSame && [...today.keys()].every((path) => older.has(path) || !older.has(ownerOf(path)))
}

/** The files of the commit, without anything of git beside them that could be left behind. */
export const unpackCommit = async (commit: string, root: string, signal?: AbortSignal): Promise<void> => {
  const archive = `${root}.tar`
  const options = { cwd: ROOT, ...(signal !== undefined && { signal }) }
  const packed = await runProgram('git', ['archive', '--format=tar', `--output=${archive}`, commit], options)
  if (!packed.ok) throw new Error(`git archive of ${commit} failed: ${packed.said}`)
  await mkdir(root, { recursive: true })
  const unpacked = await runProgram('tar', ['-xf', archive, '-C', root], options)
  await rm(archive, { force: true })
  if (!unpacked.ok) throw new Error(`unpacking ${commit} failed: ${unpacked.said}`)
}

/** Those of this tree where they do, otherwise they are installed. */
export const providePackages = async (
  root: string,
  say: (line: string) => void,
  signal?: AbortSignal,
): Promise<void> => {
  const [older, today] = await Promise.all(
    [root, ROOT].map((folder) => readFile(join(folder, 'package-lock.json'), 'utf8')),
  )
  if (older !== undefined && today !== undefined && coversPackages(older, today)) {
    await symlink(join(ROOT, MODULES), join(root, MODULES), 'dir')
    return
  }
  say(`installing the packages of ${basename(root)} (npm ci)`)
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund']
  const options = { cwd: root, timeout: INSTALL_LIMIT_MS, ...(signal !== undefined && { signal }) }
  const installed = await runProgram('npm', args, options)
  const errors = installed.said.split('\n').filter((line) => line.startsWith('npm error '))
  if (!installed.ok) throw new Error(`its packages could not be installed: ${errors.slice(0, 2).join('; ')}`)
}
