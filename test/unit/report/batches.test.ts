/** Which documents are worked on together, and what comes of one where its batch was not all done. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { batchesOf } from '../../../examples/report/batches.ts'
import { documentOf } from '../../../examples/report/collection.ts'
import { keywords } from '../../../examples/report/skills/keywords.ts'
import { links } from '../../../examples/report/skills/links.ts'
import { outline } from '../../../examples/report/skills/outline.ts'
import { summary } from '../../../examples/report/skills/summary.ts'

const listed = (count: number, bytes = 1_000) => Array.from({ length: count }, (_, i) => ({ file: `${i}.md`, bytes }))
const sizes = (count: number, bytes?: number) =>
  batchesOf(listed(count, bytes)).map(({ documents }) => documents.length)

describe('batches of a report', () => {
  test('have 16 to 64 documents, all of them in their order', () => {
    assert.deepEqual(sizes(0), [])
    assert.deepEqual(sizes(16), [16])
    assert.deepEqual(sizes(17), [16, 1])
    assert.equal(Math.max(...sizes(32 * 64)), 64)
    assert.equal(Math.max(...sizes(100_000)), 64)
    const batches = batchesOf(listed(1_000))
    assert.deepEqual(
      batches.flatMap(({ documents }) => documents),
      listed(1_000),
    )
    let place = 0
    for (const { from, documents } of batches) {
      assert.equal(from, place)
      place += documents.length
    }
  })

  test('take no further document beyond 512 KiB, and one that is larger by itself', () => {
    assert.deepEqual(sizes(4, 256 * 1024), [2, 2])
    assert.deepEqual(sizes(4, 256 * 1024 + 1), [1, 1, 1, 1])
    assert.deepEqual(sizes(2, 5 * 1024 * 1024), [1, 1])
  })
})

describe('a document of a batch', () => {
  const text = { path: 'a.md', text: '# A\n\nOne sentence about a mesh.\n' }
  const common = { status: 'processed' as const, bytes: 33, encoding: 'utf-8', replaced: 0 }
  const answer = { by: 'someone', ms: 1 }
  const structure = { ...answer, documents: [{ ...common, result: { outline: outline(text), links: links(text) } }] }
  const content = {
    ...answer,
    documents: [{ ...common, result: { keywords: keywords(text), summary: summary(text) } }],
  }
  const one = { file: 'a.md', bytes: 30 }

  test('is processed where both tasks were done', () => {
    const document = documentOf(one, 0, { structure, content })
    assert.deepEqual([document.path, document.status, document.bytes], ['a.md', 'processed', 33])
    assert.equal(document.outline?.title, 'A')
    assert.ok(document.summary !== undefined)
  })

  test('failed where a task failed, or told nothing of it, and says why', () => {
    const lost = documentOf(one, 0, { structure, content: { failed: 'COM001: nobody' } })
    assert.deepEqual(lost, { path: 'a.md', bytes: 30, status: 'failed', reason: 'COM001: nobody' })
    assert.equal(documentOf(one, 1, { structure, content }).status, 'failed')
  })

  test('is skipped where one of them found nothing to read', () => {
    const gone = { ...answer, documents: [{ status: 'skipped' as const, bytes: 0, reason: 'vanished' }] }
    assert.deepEqual(documentOf(one, 0, { structure, content: gone }), {
      ...{ path: 'a.md', bytes: 0, status: 'skipped', reason: 'vanished' },
    })
    assert.equal(documentOf(one, 0, { structure: { failed: 'x' }, content: gone }).status, 'skipped')
  })
})
