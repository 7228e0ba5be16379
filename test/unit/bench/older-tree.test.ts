import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { findCommit, misfitOf, shortOf } from '../../bench/older-tree.ts'
import { coversPackages, hasCommit } from '../../support/commit-tree.ts'
import { UsageError } from '../../support/usage.ts'

const root = mkdtempSync(join(tmpdir(), 'parley-older-'))
after(() => rmSync(root, { recursive: true, force: true }))

const git = (...args: string[]): string =>
  execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@t', ...args], { cwd: root, encoding: 'utf8' }).trim()
const refuses = (given: string, told: RegExp, at = root) =>
  assert.rejects(findCommit(given, at), (error) => error instanceof UsageError && told.test(error.message))

test('a commit is found by whatever names it, and one that does not exist is refused', async () => {
  await refuses('HEAD', /needs the git repository/, mkdtempSync(join(root, 'none-')))
  git('init', '--quiet')
  mkdirSync(join(root, 'node'))
  writeFileSync(join(root, 'node/a.ts'), 'one')
  git('add', 'node')
  git('commit', '--quiet', '-m', 'one')
  const hash = git('rev-parse', 'HEAD')
  assert.equal(await findCommit('HEAD', root), hash)
  assert.equal(await findCommit(shortOf(hash), root), hash)
  assert.equal(hasCommit(hash, root), true)
  assert.equal(hasCommit('0'.repeat(40), root), false)
  for (const wrong of ['0000000', 'no-such-branch', '-n', 'HEAD:node']) await refuses(wrong, /no commit/)
})

test('a tree with changes that are in no commit is refused, with one of them', async () => {
  writeFileSync(join(root, 'notes.txt'), 'is not measured')
  await findCommit('HEAD', root)
  writeFileSync(join(root, 'node/a.ts'), 'two')
  await refuses('HEAD', /changes that are in no commit \(M node\/a\.ts\)/)
})

const lock = (packages: Record<string, unknown>): string => JSON.stringify({ name: 'p', packages })

test('packages do for an older lock file when it wants the same ones, and those beside them are in the way of none', () => {
  const one = { '': { version: '1' }, 'node_modules/a': { version: '1.0.0' } }
  assert.equal(coversPackages(lock(one), lock({ ...one, '': { version: '2' } })), true)
  assert.equal(coversPackages(lock(one), lock({ ...one, 'node_modules/a': { version: '1.0.1' } })), false)
  const more = { ...one, 'node_modules/b': {}, 'node_modules/b/node_modules/c': {} }
  assert.equal(coversPackages(lock(one), lock(more)), true)
  assert.equal(coversPackages(lock(more), lock(one)), false)
  assert.equal(coversPackages(lock(one), lock({ ...one, 'node_modules/a/node_modules/b': {} })), false)
})

test('only complaints about the ends tell that they do not fit', () => {
  assert.equal(misfitOf("node/a.ts(1,1): error TS2304: Cannot find name 'x'."), undefined)
  assert.equal(misfitOf(''), undefined)
  const misfit = "test/bench/systems/parley.ts(3,9): error TS2339: Property 'y' does not exist"
  assert.equal(misfitOf(`node/a.ts(1,1): error TS2304: x\n${misfit}\n`), misfit)
})
