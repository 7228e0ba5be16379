import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { bar, createProgress, type Terminal } from '../../../examples/report/progress.ts'

const recorder = (terminal: Omit<Terminal, 'write'>): Terminal & { written: string[] } => {
  const written: string[] = []
  return { ...terminal, written, write: (text) => written.push(text) }
}

describe('the bar', () => {
  test('shows how much is done, and what is being worked on', () => {
    assert.equal(bar({ done: 0, total: 4 }, 80), `${'░'.repeat(24)} 0/4 documents, 0 %`)
    assert.equal(
      bar({ done: 1, total: 3, note: 'a.md' }, 80),
      `${'█'.repeat(8)}${'░'.repeat(16)} 1/3 documents, 33 %  a.md`,
    )
    assert.equal(bar({ done: 4, total: 4 }, 80), `${'█'.repeat(24)} 4/4 documents, 100 %`)
  })

  test('says 100 % only when everything is done, also when there was nothing', () => {
    assert.ok(bar({ done: 9999, total: 10_000 }, 80).endsWith('99 %'))
    assert.ok(bar({ done: 0, total: 0 }, 80).endsWith('100 %'))
  })

  test('cuts a long name, counts wide signs twice, and lets no control sign through', () => {
    assert.ok(bar({ done: 1, total: 2, note: 'x'.repeat(200) }, 80).endsWith('x…'))
    assert.ok(bar({ done: 1, total: 2, note: '世界'.repeat(100) }, 80).length < 75)
    assert.ok(bar({ done: 1, total: 2, note: 'a\u001b[2J\n\u202Eb' }, 80).endsWith('a�[2J��b'))
  })

  test('never takes more columns than there are', () => {
    fc.assert(
      fc.property(
        fc.nat(500),
        fc.nat(500),
        fc.string(),
        fc.integer({ min: 1, max: 200 }),
        (done, total, note, columns) => {
          const line = bar({ done, total, note }, columns)
          assert.ok(line.length <= columns && !/\n/.test(line), `${line.length} in ${columns}`)
        },
      ),
    )
  })
})

describe('progress on a terminal', () => {
  test('draws one line again and again, not more often than people can see, and ends it', () => {
    const stream = recorder({ isTTY: true, columns: 60 })
    let now = 0
    const progress = createProgress(stream, () => now)
    progress.update({ done: 1, total: 10 })
    now = 49
    progress.update({ done: 2, total: 10 })
    assert.equal(stream.written.length, 1)
    now = 50
    progress.update({ done: 3, total: 10 })
    assert.equal(stream.written.length, 2)
    progress.end({ done: 10, total: 10 })
    assert.ok(
      stream.written
        .slice(0, 3)
        .every((text) => text.startsWith('\r') && text.endsWith('\u001b[K') && !text.includes('\n')),
    )
    assert.ok(stream.written[2]?.includes('10/10 documents, 100 %'))
    assert.equal(stream.written[3], '\n')
  })
})

describe('progress elsewhere', () => {
  test('is a line for each tenth, each once', () => {
    const stream = recorder({})
    const progress = createProgress(stream)
    for (let done = 1; done <= 50; done += 1) progress.update({ done, total: 50 })
    progress.end({ done: 50, total: 50 })
    assert.equal(stream.written.length, 10)
    assert.equal(stream.written[0], '5/50 documents, 10 %\n')
    assert.equal(stream.written[9], '50/50 documents, 100 %\n')
  })

  test('of few documents skips tenths, and of none is done', () => {
    const stream = recorder({ isTTY: false })
    createProgress(stream).update({ done: 1, total: 2 })
    assert.deepEqual(stream.written, ['1/2 documents, 50 %\n'])
    const empty = recorder({})
    createProgress(empty).end({ done: 0, total: 0 })
    assert.deepEqual(empty.written, ['0/0 documents, 100 %\n'])
  })
})
