/** The skills on what makes careless code slow or fail: lines of megabytes, deep nesting, quotes that never close. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { DocumentText, Keywords, Links, MAX_TEXT, Outline, Summary } from '../../../examples/report/contracts.ts'
import { MAX_HEAD_BYTES, readDocument } from '../../../examples/report/decode.ts'
import { keywords } from '../../../examples/report/skills/keywords.ts'
import { links } from '../../../examples/report/skills/links.ts'
import { outline } from '../../../examples/report/skills/outline.ts'
import { summary } from '../../../examples/report/skills/summary.ts'
import { folder } from './folder.ts'

/** All skills, with their answers checked as they are when they come over the wire. */
const work = (path: string, text: string) => {
  const request = DocumentText.parse({ path, text })
  return {
    outline: Outline.parse(outline(request)),
    keywords: Keywords.parse(keywords(request)),
    summary: Summary.parse(summary(request)),
    links: Links.parse(links(request)),
  }
}

const LENGTH = MAX_TEXT / 16

const fill = (piece: string): string =>
  piece
    .repeat(Math.ceil(LENGTH / piece.length))
    .slice(0, LENGTH)
    .toWellFormed()

/** Quadratic work on all of these takes minutes, linear work a second, also on a busy machine. */
const LIMIT_MS = 15_000

describe('documents of 256 KiB', () => {
  const cases: [string, string[]][] = [
    ['a.md', ['](', '<a', '`', '[', '*', '\n', '- a\n', 'a\n=\n', '\u0301', '🦊', '中。', 'http://x.y/(']],
    ['a.ts', ['"', "'\\", '`', '=/[', '/*', "import './a' ", '{"a":', '\n', 'The mesh. ']],
    ['a.py', ['"""', '#', 'def a', '\t']],
    ['a.html', ['<script', '<h1>a', '<!--', '&amp;']],
    ['a.json', ['{"a":', '[', '"', '\\']],
    ['a.txt', ['word ', '.', 'A. ', 'ไทย', '-', ' ']],
  ]
  for (const [path, pieces] of cases) {
    test(`of ${path} made of one piece again and again take linear time`, { timeout: LIMIT_MS }, () => {
      for (const piece of pieces) {
        const text = fill(piece)
        assert.equal(
          work(path, text).outline.lines,
          text.split('\n').length - (text.endsWith('\n') ? 1 : 0),
          JSON.stringify(piece),
        )
      }
    })
  }
})

describe('a line of 5 MiB', () => {
  test('is worked on by its head, from the disk to the results', { timeout: LIMIT_MS }, async (t) => {
    const sentence = 'Agents of the mesh send requests to other agents of the mesh. '
    const root = folder(t, { 'long.txt': sentence.repeat(Math.ceil((5 * 1024 * 1024) / sentence.length)) })
    const reading = await readDocument(join(root, 'long.txt'))
    assert.ok(
      reading.status === 'text' && reading.truncatedFrom !== undefined && reading.truncatedFrom > MAX_HEAD_BYTES,
    )
    const { outline: measured, summary: summed, keywords: found } = work('long.txt', reading.text)
    assert.deepEqual([measured.lines, measured.longestLine], [1, MAX_HEAD_BYTES])
    assert.equal(summed.sentences[0]?.text, sentence.trim())
    assert.ok(found.keywords.length > 0)
  })
})

describe('odd documents', () => {
  const texts = [
    '',
    ' ',
    '\n',
    '\0',
    '\uFFFD',
    '\uFEFF',
    '\r',
    '---',
    '```',
    '"',
    '{',
    '#',
    '\u2028',
    '🦊',
    '\u0301',
    '-\n---',
    '|',
    '[]()',
    '<',
    '\\',
  ]
  const paths = [
    'a.md',
    'a.ts',
    'a.py',
    'a.html',
    'a.json',
    'a.yml',
    'a.csv',
    'a.toml',
    'a.tex',
    'a',
    '.',
    'ü.md',
    'a\nb.md',
    '.gitignore',
    'Makefile',
  ]
  test('of a sign or two give results in every language', () => {
    for (const path of paths) for (const text of texts) assert.equal(work(path, text).links.links.length, 0)
  })
})
