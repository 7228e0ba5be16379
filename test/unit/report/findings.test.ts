import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { findingsOf, MAX_LISTED, topicsOf } from '../../../examples/report/findings.ts'
import type { DocumentResult } from '../../../examples/report/results.ts'
import { processed } from './results.ts'

const withKeywords = (path: string, ...texts: string[]): DocumentResult => ({
  path,
  bytes: 1,
  status: 'processed',
  keywords: { keywords: texts.map((text) => ({ text, weight: 1 })), words: 10 },
})

describe('findings', () => {
  test('name topics by the documents that have them, in the form that is most used', () => {
    const documents = [
      withKeywords('a', 'Agents', 'mesh'),
      withKeywords('b', 'agent', 'rare'),
      withKeywords('c', 'agent', 'mesh'),
    ]
    assert.deepEqual(topicsOf(documents, 10, 2), [
      { text: 'agent', documents: 3 },
      { text: 'mesh', documents: 2 },
    ])
    assert.equal(topicsOf(documents, 1, 2).length, 1)
  })

  test('count languages by lines, and leave keys of data out of the topics', () => {
    const { languages, topics } = findingsOf([
      processed('a.ts', 'const meshAgent = 1\nconst meshPeer = 2\n'),
      processed('b.ts', 'const meshAgent = 3\n'),
      processed('c.json', '{"zebra": 1}'),
      processed('d.json', '{"zebra": 2}'),
    ])
    assert.deepEqual(
      languages.items.map(({ language, documents, lines }) => [language, documents, lines]),
      [
        ['TypeScript', 2, 3],
        ['JSON', 2, 2],
      ],
    )
    assert.ok(!topics.some(({ text }) => text.toLowerCase() === 'zebra'))
  })

  test('list the largest, notes, repaired and cut documents, and sites', () => {
    const cut = { ...processed('big.txt', 'x'), bytes: 9e6, truncatedFrom: 9e6 }
    const old = {
      ...processed('old.txt', 'see https://www.example.net/a https://site.dev/b http://localhost:1/ http://10.0.0.1/'),
      encoding: 'windows-1252',
    }
    const broken = { ...processed('br.txt', 'see https://site.dev/c'), replaced: 2 }
    const found = findingsOf([
      cut,
      old,
      broken,
      processed('n.ts', '// TODO: later\n'),
      { path: 'f', bytes: 5, status: 'failed' },
    ])
    assert.deepEqual(
      found.largest.map(({ path }) => path),
      ['big.txt', 'old.txt', 'br.txt', 'n.ts'],
    )
    assert.deepEqual(found.notes, { items: [{ path: 'n.ts', line: 1, word: 'TODO', text: 'later' }], total: 1 })
    assert.deepEqual(
      found.repaired.items.map(({ path }) => path),
      ['old.txt', 'br.txt'],
    )
    assert.deepEqual(
      found.truncated.items.map(({ path }) => path),
      ['big.txt'],
    )
    assert.deepEqual(found.sites.items, [{ site: 'site.dev', documents: 2 }])
  })

  test('list up to their limit and tell the total', () => {
    const noted = (count: number) =>
      findingsOf(Array.from({ length: count }, (_, at) => processed(`${at}.ts`, '// TODO: x\n'))).notes
    assert.deepEqual([noted(MAX_LISTED).items.length, noted(MAX_LISTED).total], [MAX_LISTED, MAX_LISTED])
    assert.deepEqual([noted(MAX_LISTED + 1).items.length, noted(MAX_LISTED + 1).total], [MAX_LISTED, MAX_LISTED + 1])
  })

  test('of nothing are nothing', () => {
    const { topics, largest, duplicates } = findingsOf([])
    assert.deepEqual([topics, largest, duplicates.equal], [[], [], []])
  })
})
