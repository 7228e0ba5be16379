import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type Fingerprint, findDuplicates, MAX_BUCKET } from '../../../../examples/report/skills/duplicates.ts'
import { links } from '../../../../examples/report/skills/links.ts'
import { signatureOf, similarity } from '../../../../examples/report/skills/minhash.ts'

/** Distinct words from a seed, so that two texts share exactly the words that they are given. */
const text = (from: number, count: number): string[] =>
  Array.from({ length: count }, (_, at) => `w${(from + at).toString(36)}x`)

const print = (path: string, words: string[]): Fingerprint => {
  const { digest, signature } = links({ path, text: words.join(' ') })
  return { path, digest, signature }
}

/** Jaccard similarity of the five-word shingles, the slow and sure way. */
const jaccard = (a: string[], b: string[]): number => {
  const shingles = (words: string[]): Set<string> =>
    new Set(words.slice(4).map((_, at) => words.slice(at, at + 5).join(' ')))
  const [left, right] = [shingles(a), shingles(b)]
  const shared = [...left].filter((shingle) => right.has(shingle)).length
  return shared / (left.size + right.size - shared)
}

describe('signatures', () => {
  test('estimate the share of common shingles', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 400 }), fc.integer({ min: 0, max: 1_000_000 }), (moved, seed) => {
        const a = text(seed, 400)
        const b = text(seed + moved, 400)
        const estimate = similarity(signatureOf(a.join(' ')), signatureOf(b.join(' ')))
        // Four standard errors of 128 rows at one half.
        assert.ok(Math.abs(estimate - jaccard(a, b)) < 0.18, `${estimate} for ${jaccard(a, b)}`)
      }),
      { numRuns: 60 },
    )
  })

  test('do not depend on case, punctuation and white space', () => {
    const words = text(1, 100)
    assert.equal(similarity(signatureOf(words.join(' ')), signatureOf(words.join(',\n').toUpperCase())), 1)
  })

  test('work for Chinese', () => {
    const a = '智能体网络没有中心代理，节点之间互相发现、互相认证，并且通过加密的连接发送请求。'.repeat(3)
    assert.equal(similarity(signatureOf(a), signatureOf(a)), 1)
    assert.ok(
      similarity(
        signatureOf(a),
        signatureOf('今天天气很好，我们去公园散步，看到了很多花和小鸟，大家都非常高兴地回家了。'),
      ) < 0.3,
    )
  })

  test('of nothing are like nothing', () => {
    assert.equal(similarity([], []), 0)
  })
})

describe('duplicates', () => {
  test('are equal documents, and similar ones apart from them', () => {
    const base = text(0, 300)
    const edited = [...base.slice(0, 150), 'changed', ...base.slice(151)]
    const found = findDuplicates([
      print('b', base),
      print('a', base),
      print('c', edited),
      print('d', text(5000, 300)),
      print('e', text(9000, 300)),
    ])
    assert.deepEqual(found.equal, [['a', 'b']])
    assert.deepEqual(
      found.near.map(({ paths }) => paths),
      [['a', 'c']],
    )
    assert.ok((found.near[0]?.similarity ?? 0) >= 0.8)
    assert.equal(found.notCompared, 0)
  })

  test('are none where two thirds are the same', () => {
    const found = findDuplicates([print('a', text(0, 300)), print('b', text(60, 300))])
    assert.deepEqual([found.near, found.notCompared], [[], 0])
  })

  test('of short documents are equal ones only', () => {
    const found = findDuplicates([print('a', ['x']), print('b', ['x']), print('c', ['y'])])
    assert.deepEqual([found.equal, found.near], [[['a', 'b']], []])
  })

  test('with equal heads and unread rests are similar, not equal', () => {
    const head = { ...print('a', text(0, 300)), truncatedFrom: 9_000_000 }
    const found = findDuplicates([head, { ...head, path: 'b' }])
    assert.deepEqual([found.equal, found.near], [[], [{ paths: ['a', 'b'], similarity: 1 }]])
  })

  test('are the same whatever the order, and each document is in one group at most', () => {
    const family = (seed: number): Fingerprint[] =>
      [0, 1, 2].map((version) =>
        print(`f${seed}-${version}`, [...text(seed * 1000, 200), ...text(seed * 1000 + 500 + version, version * 4)]),
      )
    const documents = [family(1), family(2), family(3)].flat()
    const expected = findDuplicates(documents)
    assert.equal(expected.near.length, 3)
    fc.assert(
      fc.property(fc.shuffledSubarray(documents, { minLength: documents.length }), (shuffled) => {
        const found = findDuplicates(shuffled)
        assert.deepEqual(found, expected)
        const paths = found.near.flatMap((group) => group.paths)
        assert.equal(new Set(paths).size, paths.length)
      }),
      { numRuns: 20 },
    )
  })

  test('are found as well as by comparing every pair', () => {
    const documents = Array.from({ length: 60 }, (_, at) =>
      print(`d${at}`, text(Math.floor(at / 3) * 1000 + (at % 3) * 5, 250)),
    )
    const near = findDuplicates(documents).near.map(({ paths }) => new Set(paths))
    for (const [at, a] of documents.entries()) {
      for (const b of documents.slice(at + 1)) {
        if (similarity(a.signature, b.signature) < 0.8) continue
        assert.ok(
          near.some((group) => group.has(a.path) && group.has(b.path)),
          `${a.path} ${b.path}`,
        )
      }
    }
  })

  test('are not compared beyond the limits, and what was not is counted', () => {
    const documents = [print('a', text(0, 300)), print('b', text(1, 300))]
    assert.equal(findDuplicates(documents, 1).notCompared, 0)
    const none = findDuplicates(documents, 0)
    assert.ok(none.notCompared > 0 && none.near.length === 0)
  })

  test('of one crowded bucket are compared with so many and no more', () => {
    // One band in common and nothing else: they meet and are not alike.
    const crowd = (count: number): Fingerprint[] =>
      Array.from({ length: count }, (_, at) => ({
        path: `d${String(at).padStart(4, '0')}`,
        digest: `${at}`,
        signature: Array.from({ length: 128 }, (__, row) => (row < 4 ? 1 : at * 128 + row)),
      }))
    assert.equal(findDuplicates(crowd(MAX_BUCKET)).notCompared, 0)
    assert.equal(findDuplicates(crowd(MAX_BUCKET + 1)).notCompared, 1)
  })

  test('of none are none', () => {
    assert.deepEqual(findDuplicates([]), { equal: [], near: [], notCompared: 0 })
  })
})
