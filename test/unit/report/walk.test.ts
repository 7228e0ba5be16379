import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { MAX_DOCUMENTS, openWalk } from '../../../examples/report/walk.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import { folder, git, walk, write } from './folder.ts'

describe('a walk without git', () => {
  test('finds every file once, with its size, in byte order of the whole paths', async (t) => {
    const root = folder(t, { 'b.txt': 'bb', 'a/z.txt': '', 'a.txt': 'a', 'a-b': 'abc', 'B.txt': '', 'a/b/c.txt': 'c' })
    const { paths, bytes } = await walk(root, { program: 'no-git-here' })
    assert.deepEqual(paths, ['B.txt', 'a-b', 'a.txt', 'a/b/c.txt', 'a/z.txt', 'b.txt'])
    assert.deepEqual(bytes, [0, 3, 1, 1, 0, 2])
  })

  test('leaves out node_modules, .git and the report, wherever they are', async (t) => {
    const root = folder(t, {
      'x/node_modules/m.js': '',
      '.git/HEAD': 'no repository',
      'report.md': '',
      'x/report.md': '',
      k: '',
    })
    const { paths } = await walk(root, { out: join(root, 'report.md') })
    assert.deepEqual(paths, ['k', 'x/report.md'])
  })

  test('knows the report by another spelling of its path', async (t) => {
    const root = folder(t, { 'in/report.md': '', k: '' })
    symlinkSync(join(root, 'in'), join(root, 'alias'))
    assert.deepEqual((await walk(root, { out: join(root, 'alias', 'report.md') })).paths, ['k'])
  })

  test('keeps names in any script, with line feeds and with bytes that are not UTF-8 apart', async (t) => {
    const names = ['مرحبا.md', '你好.txt', '🦊.md', 'a\nb', ' ', 'quote\'s "`|', 'tab\t', 'a\\xFF', 'ä\\x41']
    const root = folder(t, Object.fromEntries(names.map((name) => [name, name])))
    writeFileSync(Buffer.concat([Buffer.from(`${root}/a`), Buffer.from([0xff])]), 'x')
    writeFileSync(Buffer.concat([Buffer.from(`${root}/ä`), Buffer.from([0xc3])]), 'x')
    mkdirSync(Buffer.concat([Buffer.from(`${root}/d`), Buffer.from([0xfe])]))
    writeFileSync(Buffer.concat([Buffer.from(`${root}/d`), Buffer.from([0xfe]), Buffer.from('/f')]), 'x')
    const { paths } = await walk(root)
    const shown = names.map((name) => name.replaceAll(/\\(?=x[0-9A-F]{2})/g, '\\x5C'))
    assert.deepEqual([...paths].sort(), [...shown, 'a\\xFF', 'ä\\xC3', 'd\\xFE/f'].sort())
    assert.equal(new Set(paths).size, paths.length)
  })

  test('counts symbolic links and pipes, follows none and opens none', { timeout: 20_000 }, async (t) => {
    const outside = folder(t, { 'secret.txt': 's' })
    const root = folder(t, { 'a/f': 'x' })
    symlinkSync('.', join(root, 'a', 'loop'))
    symlinkSync(outside, join(root, 'out'))
    symlinkSync(join(outside, 'secret.txt'), join(root, 'file'))
    symlinkSync('nowhere', join(root, 'broken'))
    execFileSync('mkfifo', [join(root, 'pipe')])
    const { paths, leftOut } = await walk(root)
    assert.deepEqual(paths, ['a/f'])
    assert.equal(leftOut.symbolicLinks, 4)
    assert.equal(leftOut.special, 1)
  })

  test('goes on where files and folders vanish under way', async (t) => {
    const root = folder(t, { 'a/1': '', 'b/1': '', 'b/2': '', 'c/1': '' })
    const paths: string[] = []
    for await (const { path } of await openWalk(root)) {
      paths.push(path)
      if (path === 'a/1') rmSync(join(root, 'b'), { recursive: true })
    }
    assert.deepEqual(paths, ['a/1', 'c/1'])
  })

  test('takes documents up to its limit and counts one more', async (t) => {
    const root = folder(t, { a: '', b: '', c: '' })
    const atLimit = await walk(root, { maxDocuments: 3 })
    assert.deepEqual([atLimit.paths.length, atLimit.leftOut.beyondLimit], [3, 0])
    const past = await walk(root, { maxDocuments: 2 })
    assert.deepEqual([past.paths, past.leftOut.beyondLimit], [['a', 'b'], 1])
    assert.equal(MAX_DOCUMENTS, 100_000)
  })

  test('can be given up', async (t) => {
    const root = folder(t, { a: '', b: '' })
    await assert.rejects(walk(root, { signal: AbortSignal.abort() }), { name: 'AbortError' })
  })

  test('walks a folder that is a repository inside by what that repository says', async (t) => {
    const root = folder(t, { 'r/.gitignore': '*.log\n', 'r/kept': '', 'r/x.log': '', 'y.log': '' })
    git(join(root, 'r'), 'init', '-q')
    assert.deepEqual((await walk(root)).paths, ['r/.gitignore', 'r/kept', 'y.log'])
  })
})

describe('a walk through a git work tree', () => {
  test('finds what is tracked and what would be, not what is ignored', async (t) => {
    const root = folder(t, { '.gitignore': '*.log\nout/\n', 'a.md': 'a', 'b.log': '', 'out/x': '', 'forced.log': 'f' })
    git(root, 'init', '-q')
    git(root, 'add', '-f', 'forced.log', 'a.md')
    git(root, 'commit', '-qm', 'first')
    write(root, { 'new/ü.md': '', 'node_modules/m/index.js': '' })
    assert.deepEqual((await walk(root)).paths, ['.gitignore', 'a.md', 'forced.log', 'new/ü.md'])
  })

  test('of a part of the tree gives the names relative to that part', async (t) => {
    const root = folder(t, { '.gitignore': '*.log\n', 'docs/a.md': '', 'docs/b.log': '', 'c.md': '' })
    git(root, 'init', '-q')
    assert.deepEqual((await walk(join(root, 'docs'))).paths, ['a.md'])
  })

  test('takes a folder that the tree ignores as it is', async (t) => {
    const root = folder(t, {
      '.gitignore': 'ig/\n*.log\n',
      'ig/a.md': '',
      'ig/sub/b.log': '',
      'ig/bare/.git/HEAD': '',
      'ig/bare/f': '',
    })
    git(root, 'init', '-q')
    assert.deepEqual((await walk(join(root, 'ig'))).paths, ['a.md', 'bare/f', 'sub/b.log'])
    assert.deepEqual((await walk(join(root, 'ig', 'sub'))).paths, ['b.log'])
  })

  test('walks submodules and repositories inside, each by its own rules, in one order', async (t) => {
    const origin = folder(t, { 'lib.c': '', '.gitignore': 'o/\n' })
    git(origin, 'init', '-q')
    git(origin, 'add', '.')
    git(origin, 'commit', '-qm', 'first')
    const root = folder(t, {
      'sub-x': '',
      'z.md': '',
      'nested/.gitignore': '*.tmp',
      'nested/n.md': '',
      'nested/n.tmp': '',
    })
    git(root, 'init', '-q')
    git(root, '-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', origin, 'sub')
    git(join(root, 'nested'), 'init', '-q')
    git(join(root, 'nested'), 'add', '.')
    git(join(root, 'nested'), 'commit', '-qm', 'first')
    write(root, { 'sub/o/built': '', 'sub/new.c': '' })
    const all = [
      '.gitmodules',
      'nested/.gitignore',
      'nested/n.md',
      'sub-x',
      'sub/.gitignore',
      'sub/lib.c',
      'sub/new.c',
      'z.md',
    ]
    assert.deepEqual((await walk(root)).paths, all)
    rmSync(join(root, 'sub', '.git'))
    assert.deepEqual(
      (await walk(root)).paths.filter((path) => path.startsWith('sub/')),
      ['sub/.gitignore', 'sub/lib.c', 'sub/new.c', 'sub/o/built'],
    )
  })

  test('leaves out what is tracked and gone, and what became a link to a folder elsewhere', async (t) => {
    const outside = folder(t, { 'f.md': 'secret' })
    const root = folder(t, { 'gone.md': '', 'dir/f.md': '', 'kept.md': '', 'file/then': '', other: '' })
    git(root, 'init', '-q')
    git(root, 'add', '.')
    rmSync(join(root, 'gone.md'))
    rmSync(join(root, 'dir'), { recursive: true })
    symlinkSync(outside, join(root, 'dir'))
    rmSync(join(root, 'other'))
    write(root, { 'other/inside.md': '' })
    const { paths, leftOut } = await walk(root)
    assert.deepEqual(paths, ['file/then', 'kept.md', 'other/inside.md'])
    assert.equal(leftOut.symbolicLinks, 1)
  })

  test('lists a file in the middle of a merge once', async (t) => {
    const root = folder(t, { f: 'base' })
    git(root, 'init', '-q')
    git(root, 'add', '.')
    git(root, 'commit', '-qm', 'base')
    git(root, 'checkout', '-qb', 'other')
    write(root, { f: 'other' })
    git(root, 'commit', '-qam', 'other')
    git(root, 'checkout', '-q', 'main')
    write(root, { f: 'main' })
    git(root, 'commit', '-qam', 'main')
    assert.throws(() => git(root, 'merge', 'other'))
    assert.deepEqual((await walk(root)).paths, ['f'])
  })

  test('runs nothing that the repository configures', async (t) => {
    const root = folder(t, { f: '' })
    git(root, 'init', '-q')
    const proof = join(root, '.git', 'ran')
    writeFileSync(join(root, '.git', 'monitor'), `#!/bin/sh\ntouch '${proof}'\n`, { mode: 0o755 })
    git(root, 'config', 'core.fsmonitor', join(root, '.git', 'monitor'))
    assert.deepEqual((await walk(root)).paths, ['f'])
    assert.throws(() => execFileSync('ls', [proof], { stdio: 'ignore' }))
  })

  test('falls back to the plain walk where git fails or lists too much', async (t) => {
    const root = folder(t, { '.gitignore': '*.log', 'a.log': '', f: '' })
    git(root, 'init', '-q')
    assert.deepEqual((await walk(root, { program: 'no-git-here' })).paths, ['.gitignore', 'a.log', 'f'])
    assert.deepEqual((await walk(root, { maxBytes: 13 })).paths, ['.gitignore', 'f'])
    assert.deepEqual((await walk(root, { maxBytes: 12 })).paths, ['.gitignore', 'a.log', 'f'])
    writeFileSync(join(root, '.git', 'index'), 'broken')
    assert.deepEqual((await walk(root)).paths, ['.gitignore', 'a.log', 'f'])
  })

  test('does not care for the variables of a git hook that it runs in', async (t) => {
    const root = folder(t, { f: '', '.gitignore': 'g', g: '' })
    git(root, 'init', '-q')
    process.env.GIT_DIR = '/nowhere'
    t.after(() => delete process.env.GIT_DIR)
    assert.deepEqual((await walk(root)).paths, ['.gitignore', 'f'])
  })
})

describe('a walk that cannot begin', () => {
  test('says what is wrong with the folder and what to give instead', async (t) => {
    const root = folder(t, { f: '' })
    const isRefused = (code: 'STA001' | 'MSG001') => (error: unknown) =>
      isParleyError(error, code) && error.hint !== undefined
    await assert.rejects(openWalk(join(root, 'none')), isRefused('STA001'))
    await assert.rejects(openWalk(join(root, 'f')), isRefused('MSG001'))
  })

  test('is none where the named folder is itself a link to one', async (t) => {
    const root = folder(t, { 'real/f': '' })
    symlinkSync('real', join(root, 'alias'))
    const walked = await openWalk(join(root, 'alias'))
    assert.equal(walked.root, join(root, 'real'))
    assert.deepEqual((await walk(join(root, 'alias'))).paths, ['f'])
  })
})
