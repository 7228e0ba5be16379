import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { duration, href, name, number, plural, prose, size, table } from '../../../examples/report/markdown.ts'

describe('Markdown from foreign text', () => {
  test('shows signs instead of obeying them', () => {
    assert.equal(
      prose('a*b*_c_ `d` [e](f) <g> &h; |i| ~~j~~ $k$ \\l'),
      'a\\*b\\*\\_c\\_ \\`d\\` \\[e\\](f) &lt;g&gt; &amp;h; \\|i\\| \\~\\~j\\~\\~ \\$k\\$ \\\\l',
    )
    assert.equal(prose('snake_case'), 'snake_case')
  })

  test('begins no heading, list, rule or quote', () => {
    const cases: [string, string][] = [
      ['# a', '\\# a'],
      ['- a', '\\- a'],
      ['+ a', '\\+ a'],
      ['=== a', '\\=== a'],
      ['1. a', '1\\. a'],
      ['2) a', '2\\) a'],
      ['> a', '&gt; a'],
    ]
    for (const [text, escaped] of cases) assert.equal(prose(text), escaped)
  })

  test('keeps a name on one line and hides nothing in it', () => {
    assert.equal(name('a\nb\r\t\u0007\u007f\u0085'), 'a␊b␍␉␇␡\uFFFD')
    assert.equal(name('a\u202Etxt.exe\u200B\u2028'), 'a⟨U+202E⟩txt.exe⟨U+200B⟩⟨U+2028⟩')
    assert.equal(name(' '), '" "')
    assert.equal(name('مرحبا.md'), 'مرحبا.md')
  })

  test('of any text is one line without HTML, in which every sign that means something is escaped', () => {
    const text = fc.string({ unit: 'binary' })
    fc.assert(
      fc.property(
        fc.oneof(
          text,
          fc
            .array(fc.constantFrom('\\', '`', '|', '<', '>', '&', '[', ']', '*', '\n', '#', ' '))
            .map((signs) => signs.join('')),
        ),
        (value) => {
          for (const escaped of [prose(value), name(value)]) {
            assert.ok(!/[\n\r<>\u2028\u2029\u202a-\u202e]/.test(escaped) && escaped.isWellFormed())
            assert.ok(
              !/(?<!\\)(?:\\\\)*[`|[\]*]/.test(
                escaped.replace(/\\[`|[\]*]/g, (pair, at: number) => (isEscaped(escaped, at) ? '' : pair)),
              ),
              escaped,
            )
          }
        },
      ),
      { numRuns: 500 },
    )
  })

  test('has addresses that nothing ends early, and that lead back to the name', () => {
    assert.equal(href('../a b/c(1).md'), '../a%20b/c%281%29.md')
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (value) => {
        assert.match(href(value), /^[\w.%/-]*$/)
        assert.equal(decodeURIComponent(href(value)), value)
      }),
    )
  })

  test('has no table without rows', () => {
    assert.equal(
      table(
        [
          ['A', 'left'],
          ['B', 'right'],
        ],
        [],
      ),
      '',
    )
    assert.equal(
      table(
        [
          ['A', 'left'],
          ['B', 'right'],
        ],
        [['1', '2']],
      ),
      '| A | B |\n| --- | ---: |\n| 1 | 2 |',
    )
  })
})

/** True where the sign behind the backslash at `at` is really escaped: an even number of backslashes stands before it. */
const isEscaped = (text: string, at: number): boolean => /(?:^|[^\\])((?:\\\\)*)$/.test(text.slice(0, at))

describe('figures', () => {
  test('read as people write them', () => {
    assert.deepEqual([0, 999, 1000, 12_345, 99_950, 999_950, 4_194_304].map(size), [
      '0 B',
      '999 B',
      '1.0 kB',
      '12.3 kB',
      '100 kB',
      '1.0 MB',
      '4.2 MB',
    ])
    assert.deepEqual([0, 999, 1000, 59_949, 59_950, 125_000].map(duration), [
      '0 ms',
      '999 ms',
      '1.0 s',
      '59.9 s',
      '1 min 0 s',
      '2 min 5 s',
    ])
    assert.deepEqual(
      [plural(1, 'document'), plural(2, 'document'), plural(0, 'piece was', 'pieces were')],
      ['1 document', '2 documents', '0 pieces were'],
    )
    assert.equal(number(1_234_567), '1,234,567')
  })
})
