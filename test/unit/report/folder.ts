/** A folder of its own for one test, removed when the test ends; git without the machine's own configuration. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { type Found, type LeftOut, openWalk, type WalkOptions } from '../../../examples/report/walk.ts'

export const folder = (t: TestContext, files: Record<string, string | Uint8Array> = {}): string => {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'parley-report-')))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  write(path, files)
  return path
}

export const write = (root: string, files: Record<string, string | Uint8Array>): void => {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), content)
  }
}

export const git = (cwd: string, ...args: string[]): string =>
  execFileSync(
    'git',
    ['-c', 'user.name=t', '-c', 'user.email=t@example.org', '-c', 'init.defaultBranch=main', ...args],
    {
      cwd,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null' },
    },
  )

/** What a walk finds and leaves out. */
export const walk = async (
  root: string,
  options: WalkOptions = {},
): Promise<{ paths: string[]; bytes: number[]; leftOut: LeftOut }> => {
  const walked = await openWalk(root, options)
  const found: Found[] = []
  for await (const one of walked) found.push(one)
  return { paths: found.map(({ path }) => path), bytes: found.map(({ bytes }) => bytes), leftOut: walked.leftOut }
}
