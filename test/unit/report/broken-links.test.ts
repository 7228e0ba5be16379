import assert from 'node:assert/strict'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { brokenLinks, confirmMissing, MAX_BROKEN } from '../../../examples/report/broken-links.ts'
import { links } from '../../../examples/report/skills/links.ts'
import { folder } from './folder.ts'

const document = (path: string, text: string) => ({ path, links: links({ path, text }).links })
const broken = (path: string, text: string, known: string[]): string[] =>
  brokenLinks([document(path, text)], new Set([path, ...known])).broken.map(
    ({ target, expected }) => `${target} -> ${expected}`,
  )

describe('broken links', () => {
  test('are relative links to what the walk did not find', () => {
    assert.deepEqual(
      broken('docs/a.md', '[x](b.md) [y](../c.md) [z](./gone.md) [w](../docs/b.md#top)', ['docs/b.md', 'c.md']),
      ['./gone.md -> docs/gone.md'],
    )
  })

  test('are none where the target is a folder, encoded, asked with a query, or a page without its ending', () => {
    const text =
      '[f](sub/) [g](sub) [e](with%20space.md) [q](b.md?x=1) [p](guide) [h](guide.html) [i](sub/deep) [%](100%.md)'
    assert.deepEqual(broken('a.md', text, ['sub/deep/README.md', 'with space.md', 'b.md', 'guide.md', '100%.md']), [])
  })

  test('are none where the target lies outside the folder', () => {
    assert.deepEqual(broken('a/b.md', '[x](../../other/c.md) [y](../..) [z](..)', []), [])
  })

  test('of imports follow the ways in which modules are named', () => {
    const known = ['x.ts', 'y/index.js', 'z.tsx', 'w.d.ts', 'v.mts', 'u.vue']
    const text =
      "import './x'\nimport './x.js'\nimport './y'\nimport './z.js'\nimport './w.ts'\nimport './v.mjs'\nimport './u'\nimport './gone.ts'\n"
    assert.deepEqual(broken('a.ts', text, known), ['./gone.ts -> gone.ts'])
    assert.deepEqual(
      broken('p/a.py', 'from .b import c\nfrom . import d\nfrom .e import f\nfrom .. import g', [
        'p/b.py',
        'p/e/__init__.py',
      ]),
      [],
    )
    assert.deepEqual(broken('src/lib.rs', 'mod a;\nmod b;\nmod c;\n', ['src/a.rs', 'src/b/mod.rs']), ['./c -> src/c'])
  })

  test('are none for an include, which the build may find elsewhere', () => {
    assert.deepEqual(broken('a.c', '#include "gone.h"\n', []), [])
  })

  test('are kept up to their limit, and all counted', () => {
    const many = (count: number) =>
      brokenLinks(
        Array.from({ length: count }, (_, at) => document(`${at}.md`, '[x](gone.md)')),
        new Set(),
      )
    assert.deepEqual([many(MAX_BROKEN).broken.length, many(MAX_BROKEN).total], [MAX_BROKEN, MAX_BROKEN])
    assert.deepEqual([many(MAX_BROKEN + 1).broken.length, many(MAX_BROKEN + 1).total], [MAX_BROKEN, MAX_BROKEN + 1])
  })

  test('are none among links to known paths, from any place', () => {
    const part = fc.stringMatching(/^[a-z]{1,3}$/)
    const path = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => `${parts.join('/')}.md`)
    fc.assert(
      fc.property(path, path, (from, to) => {
        const up = '../'.repeat(from.split('/').length - 1)
        assert.deepEqual(broken(from, `[x](${up}./${to})`, [to]), [])
      }),
    )
  })

  test('are none any more when the disk has the target after all', async (t) => {
    const root = folder(t, { 'built.js': '' })
    symlinkSync('nowhere', join(root, 'link.md'))
    const found = brokenLinks([document('a.md', '[a](built.js) [b](link.md) [c](gone.md)')], new Set(['a.md']))
    assert.equal(found.total, 3)
    const { broken: missing, total } = await confirmMissing(root, found)
    assert.deepEqual([missing.map(({ target }) => target), total], [['gone.md'], 1])
  })
})
