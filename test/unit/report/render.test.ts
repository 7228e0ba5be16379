import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { renderReport } from '../../../examples/report/render.ts'
import { MAX_FULL, MAX_LISTED_DOCUMENTS, MAX_SHORT } from '../../../examples/report/render-documents.ts'
import { type DocumentResult, jsonOf, totalsOf } from '../../../examples/report/results.ts'
import { processed, reportOf } from './results.ts'

const README =
  '# Mesh\n\nA mesh of agents without a broker. Agents find each other and call each other.\n\n## Use\n\n[guide](guide.md) [gone](gone.md)\n'
const GUIDE = '# Guide\n\nThe guide tells how agents of the mesh call each other. Read it once.\n'
const SOURCE = '/** Finds agents of the mesh. */\nexport const find = 1\nconst inner = 2\n// TODO: more\n'

const documents: DocumentResult[] = [
  processed('README.md', README),
  processed('guide.md', GUIDE),
  processed('src/copy.ts', SOURCE),
  processed('src/find.ts', SOURCE),
  { path: 'logo.png', bytes: 7, status: 'skipped', reason: 'binary' },
  { path: 'empty', bytes: 0, status: 'skipped', reason: 'empty' },
  { path: 'bad.md', bytes: 3, status: 'failed', reason: 'no agent answered' },
]

/** Everything that looks like HTML, apart from the report's own anchors. */
const html = (text: string): string[] =>
  (text.match(/<[^\n]*/g) ?? []).filter((tag) => !/^<a id="[a-z0-9-]+"><\/a>/.test(tag))

describe('a report', () => {
  const text = renderReport(reportOf(documents, { reassigned: 2 }))
  const has = (...parts: string[]): void => {
    for (const part of parts) assert.ok(text.includes(part), part)
  }

  test('says what it is about, when it was made, and how much there was', () => {
    has(
      '# Report on docs\n',
      'Composed by composer on 2026-01-02 03:04 UTC, with 2 agents, in 12.3 s.',
      '| 7 | 4 | 2 | 1 |',
    )
    has(
      '> A mesh of agents without a broker. Agents find each other and call each other.\n>\n> — [README.md](README.md)',
    )
  })

  test('has contents whose every link leads to a place in it', () => {
    const targets = Array.from(text.matchAll(/\]\(#([^)]+)\)/g), (match) => match[1] ?? '')
    assert.ok(targets.length >= 5)
    for (const target of targets) assert.ok(text.includes(`<a id="${target}"></a>`), target)
  })

  test('tells of each document its size, summary, keywords and outline', () => {
    has(
      '#### [find.ts](src/find.ts)',
      'TypeScript · 4 lines',
      'Finds agents of the mesh.',
      '**Declares:** const find · … 1 more',
    )
    has('*Guide* · Markdown', '**Keywords:**', '\n- Use\n')
  })

  test('tells what was found across documents', () => {
    has('equal: [src/copy.ts](src/copy.ts), [src/find.ts](src/find.ts)', '[README.md](README.md), line 7: gone.md')
    has('line 4: TODO more', '### Largest documents', '### Languages')
  })

  test('tells what was skipped and what failed, with reasons', () => {
    has(
      '| binary | 1 | [logo.png](logo.png) |',
      '| empty | 1 | [empty](empty) |',
      '- [bad.md](bad.md): no agent answered',
    )
  })

  test('tells who did what, and what was given to a second agent', () => {
    has(
      '| outliner | 7 |  |  |  | 100 ms |',
      '| linker |  |  |  | 7 |  |',
      '2 pieces of work were given to a second agent',
    )
  })

  test('links from where it lies to where the documents lie, and names no place of the machine', () => {
    const elsewhere = renderReport(reportOf(documents, { out: '/home/someone/else/where.md' }))
    assert.ok(elsewhere.includes('[find.ts](../docs/src/find.ts)'))
    for (const one of [text, elsewhere]) assert.ok(!one.includes('/home'))
  })

  test('of the same results is the same', () => {
    assert.equal(renderReport(reportOf(documents, { reassigned: 2 })), text)
  })

  test('has no empty sections', () => {
    const none = renderReport(reportOf([]))
    assert.ok(
      !none.includes('## Findings') && !none.includes('Skipped and failed') && !none.includes('## Documents'),
      none,
    )
    assert.doesNotMatch(text, /\n{3}|undefined|NaN|Infinity/)
  })

  test('tells what was no document', () => {
    const leftOut = { symbolicLinks: 1, special: 2, unreadableFolders: 1, unreadable: ['a|b'], beyondLimit: 3 }
    assert.ok(
      renderReport(reportOf(documents, { leftOut })).includes(
        'Not counted as documents: 1 symbolic link (not followed); 2 devices, sockets or pipes; 1 folder that could not be read (a\\|b); 3 files beyond the limit of one walk.',
      ),
    )
  })
})

describe('a report of hostile documents', () => {
  test('holds none of their HTML and breaks none of its own tables and links', () => {
    const name = 'x`|<b>\n\u202E[y](z)_*.md'
    const text =
      '# <script>alert(1)</script> | `\n\nThe <img src=x onerror=alert(1)> of *the* mesh | is `here` and [there](javascript:alert(1)) today.\n\nTODO: <i>\n'
    const agents = [{ name: '<u>|agent\n', answers: { outline: 1 } }]
    const rendered = renderReport(
      reportOf([processed(name, text), { path: '|<s>', bytes: 1, status: 'failed', reason: '<b>|no\n' }], {
        agents,
        folder: '<x>',
      }),
    )
    assert.deepEqual(html(rendered), [])
    assert.ok(rendered.includes('x\\`\\|&lt;b&gt;␊⟨U+202E⟩\\[y\\](z)\\_\\*.md'))
    assert.ok(rendered.includes('(x%60%7C%3Cb%3E%0A%E2%80%AE%5By%5D%28z%29_%2A.md)'))
    const header = rendered.split('\n').find((line) => line.startsWith('| Agent |'))
    const row = rendered.split('\n').find((line) => line.includes('agent␊'))
    const cells = (line = ''): number => line.replace(/\\\|/g, '').split('|').length
    assert.equal(cells(row), cells(header))
  })

  test('links to no name that is not the name on disk', () => {
    const rendered = renderReport(reportOf([processed('a\\xFF.md', 'Some text that is long enough.')]))
    assert.ok(rendered.includes('#### a\\\\xFF.md'))
  })

  test('is valid whatever they hold', () => {
    const part = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 30 }),
      fc.constantFrom('<b>', '`', '|', '\n', '# ', '](', '&', '-->', '<!--'),
    )
    const content = fc.array(part, { maxLength: 12 }).map((parts) => parts.join('').toWellFormed())
    const path = content.map((value) => `${value.replace(/[/\0]/g, '')}.md`)
    fc.assert(
      fc.property(path, content, (name, text) => {
        assert.deepEqual(html(renderReport(reportOf([processed(name, text)]))), [])
      }),
      { numRuns: 200 },
    )
  })
})

describe('a report of many documents', () => {
  const one = processed('x.ts', SOURCE)
  const many = (count: number): string =>
    renderReport(
      reportOf(
        Array.from({ length: count }, (_, at) => ({
          ...one,
          path: `d${String(Math.floor(at / 100)).padStart(4, '0')}/f${at}.ts`,
        })),
      ),
    )

  test('tells each in full up to a number, in a line up to another, in a short line beyond', () => {
    assert.match(many(MAX_FULL), /^#### /m)
    const short = many(MAX_FULL + 1)
    assert.ok(!/^#### /m.test(short) && short.includes('There are many documents'))
    assert.ok(many(MAX_SHORT).includes('There are many documents'))
    assert.ok(many(MAX_SHORT + 1).includes('There are very many documents'))
  })

  test('lists ten thousand, says how many it does not, and stays small', () => {
    const full = many(MAX_LISTED_DOCUMENTS)
    assert.ok(!full.includes('not listed') && full.includes('[f9999.ts]'))
    assert.ok(full.length < 2_500_000, `${full.length} characters`)
    const past = many(MAX_LISTED_DOCUMENTS + 1)
    assert.ok(past.includes('1 further document not listed.') && !past.includes('[f10000.ts]'))
    assert.match(past, /… 1 more folder\n|… \d+ more folders\n/)
  })
})

describe('totals', () => {
  test('are processed, skipped and failed documents together', () => {
    const { documents: all, processed: done, skipped, failed } = totalsOf(documents)
    assert.deepEqual([all, done, skipped, failed], [7, 4, 2, 1])
    assert.deepEqual(jsonOf(reportOf(documents, { wallMs: 12.6 })), {
      documents: 7,
      processed: 4,
      skipped: 2,
      failed: 1,
      agents: 2,
      reassigned: 0,
      wallMs: 13,
      report: '/home/someone/docs/report.md',
    })
  })
})
