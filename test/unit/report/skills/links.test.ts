import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { Links, MAX_LINKS } from '../../../../examples/report/contracts.ts'
import { links, MAX_DISTINCT } from '../../../../examples/report/skills/links.ts'

const of = (path: string, text: string): Links => Links.parse(links({ path, text }))
const found = (path: string, text: string): string[] =>
  of(path, text).links.map(({ kind, target, line }) => `${line} ${kind} ${target}`)

describe('links of Markdown', () => {
  test('are those with a text, a definition, an attribute or an address of their own', () => {
    const text = [
      '[a](b.md) ![i](img/x.png "title") [s](<with space.md>)',
      '[w](https://en.wikipedia.org/wiki/A_(b)#c).',
      '[ref]: ./d/e.md "t"',
      '<https://x.org/y> and http://z.org/q?a=b, (see https://p.org).',
      '<a href="f.html">f</a> <img src=\'g.svg\'>',
      '[l](LICENSE)',
    ].join('\n')
    assert.deepEqual(found('a.md', text), [
      '1 relative b.md',
      '1 relative img/x.png',
      '1 relative with space.md',
      '2 url https://en.wikipedia.org/wiki/A_(b)#c',
      '3 relative ./d/e.md',
      '4 url https://x.org/y',
      '4 url http://z.org/q?a=b',
      '4 url https://p.org',
      '5 relative f.html',
      '5 relative g.svg',
      '6 relative LICENSE',
    ])
  })

  test('are not anchors, mail, scripts, templates, site roots, footnotes, or calls in the text', () => {
    const text =
      '[a](#b) [m](mailto:x@y.z) [j](javascript:alert(1)) [t](x{{y}}.md) [r](/root.md)\n[^1]: note.md\nitems[i](value)\n'
    assert.deepEqual(found('a.md', text), [])
  })

  test('are not what stands in code', () => {
    assert.deepEqual(
      found('a.md', '`[a](b.md)` ``[a](c.md)``\n```\n[a](d.md)\n```\n~~~~\n[a](e.md)\n~~~\n~~~~\n[a](f.md)'),
      ['9 relative f.md'],
    )
  })

  test('are told once, with their first line', () => {
    assert.deepEqual(found('a.md', '[a](b.md)\n[a](b.md) [c](b.md#x)\n'), ['1 relative b.md', '2 relative b.md#x'])
  })

  test('end where Chinese text goes on', () => {
    assert.deepEqual(found('a.md', '见 https://x.org/y。然后'), ['1 url https://x.org/y'])
  })
})

describe('links of source', () => {
  test('are imports of files beside it, and addresses', () => {
    const text = [
      "import a from './a.ts'",
      'import type {',
      "  B } from '../b'",
      "export * from './c.js'",
      "const d = await import('./d.ts')",
      "const e = require('./e')",
      "new Worker(new URL('./f.ts', import.meta.url))",
      "import 'node:fs'",
      '// see https://x.org/y.',
    ].join('\n')
    assert.deepEqual(found('a.ts', text), [
      '1 import ./a.ts',
      '3 import ../b',
      '4 import ./c.js',
      '5 import ./d.ts',
      '6 import ./e',
      '7 import ./f.ts',
      '9 url https://x.org/y',
    ])
  })

  test('are not imports in comments, strings and templates, nor addresses made from another base', () => {
    const text =
      "// import './a'\nconst t = `\nimport './b'\n`\nf(\"import './c'\")\nimport(`./d.ts`)\nnew URL('./e', base)\n"
    assert.deepEqual(found('a.ts', text), [])
  })

  test('are known for Python, Rust, Ruby and C', () => {
    assert.deepEqual(found('p/a.py', 'from . import x\nfrom .b.c import d\nfrom ..e import f\nimport os\n'), [
      '1 import ./',
      '2 import ./b/c',
      '3 import ../e',
    ])
    assert.deepEqual(found('src/lib.rs', 'mod a;\npub mod b;\nmod c {}\n'), ['1 import ./a', '2 import ./b'])
    assert.deepEqual(found('src/x.rs', 'mod a;\n'), ['1 import ./x/a'])
    assert.deepEqual(found('a.rb', 'require_relative "b/c"\n'), ['1 import ./b/c'])
    assert.deepEqual(found('a.c', '#include "b.h"\n#include <stdio.h>\n'), ['1 import b.h'])
  })
})

describe('what is told beside the links', () => {
  test('is the digest of the text, and a signature for texts that are long enough', () => {
    const text = 'word '.repeat(24)
    assert.equal(of('a.txt', text).digest, createHash('sha256').update(text).digest('hex'))
    assert.equal(of('a.txt', text).signature.length, 128)
    assert.deepEqual(of('a.txt', 'word '.repeat(23)).signature, [])
  })

  test('lists links up to the limit and counts those beyond, up to a limit of its own', () => {
    const many = (count: number): string => Array.from({ length: count }, (_, at) => `[a](f${at}.md)`).join('\n')
    const counts = (count: number): number[] => [
      of('a.md', many(count)).links.length,
      of('a.md', many(count)).totalLinks,
    ]
    assert.deepEqual(counts(MAX_LINKS), [MAX_LINKS, MAX_LINKS])
    assert.deepEqual(counts(MAX_LINKS + 1), [MAX_LINKS, MAX_LINKS + 1])
    assert.deepEqual(counts(MAX_DISTINCT), [MAX_LINKS, MAX_DISTINCT])
    assert.deepEqual(counts(MAX_DISTINCT + 1), [MAX_LINKS, MAX_DISTINCT])
  })

  test('fits the contract for any text', () => {
    const piece = fc.constantFrom(
      '[a](',
      '](',
      ')',
      'https://',
      'x.y/',
      '`',
      '\n',
      '<a href="',
      '"',
      "import '",
      './b',
      '\ud83e',
      '🦊',
      '中',
      ' ',
    )
    const path = fc.constantFrom('a.md', 'a.ts', 'a.py', 'a.html', 'a.txt')
    fc.assert(
      fc.property(path, fc.array(piece, { maxLength: 60 }), (name, pieces) => {
        const text = pieces.join('').toWellFormed()
        const lines = text.split('\n').length
        for (const { line, target } of of(name, text).links) assert.ok(line <= lines && target !== '')
      }),
      { numRuns: 500 },
    )
  })

  test('finds every link that was put into Markdown', () => {
    const name = fc.stringMatching(/^[a-z]{1,8}$/)
    const target = fc.tuple(name, name).map(([folder, file]) => `${folder}/${file}.md`)
    fc.assert(
      fc.property(fc.uniqueArray(target, { maxLength: 20 }), (targets) => {
        const text = targets
          .map((one, at) => (at % 2 === 0 ? `Some [text](${one}) here.` : `- ![i](${one} "t")`))
          .join('\n\n')
        assert.deepEqual(
          of('a.md', text).links.map((link) => link.target),
          targets,
        )
      }),
    )
  })
})
