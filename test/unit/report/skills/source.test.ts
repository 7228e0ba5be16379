import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { languageOf } from '../../../../examples/report/skills/language.ts'
import { takeApart } from '../../../../examples/report/skills/source.ts'

const apart = (path: string, text: string) => takeApart(text, languageOf(path, text))
const comments = (path: string, text: string): string[] =>
  apart(path, text).comments.map((comment) => comment.text.trim())

describe('source taken apart', () => {
  test('gives comments with their lines, and joins those of following lines', () => {
    const { comments: found } = apart('a.ts', '/** One.\n * Two.\n */\nconst a = 1 // three\n\n// four\n// five\n')
    assert.deepEqual(
      found.map(({ text, line }) => [text.trim(), line]),
      [
        ['One.\nTwo.', 1],
        ['three', 4],
        ['four\nfive', 6],
      ],
    )
  })

  test('does not join comments behind code', () => {
    assert.deepEqual(comments('a.ts', 'a() // one\nb() // two\n'), ['one', 'two'])
  })

  test('takes what stands in strings, templates and regular expressions for no comment', () => {
    const code = [
      `const a = "// no"`,
      `const b = '/* no */'`,
      'const c = `// no\n// no`',
      'const d = /\\/\\/["\'`]/.test(x)',
      '// yes',
    ]
    assert.deepEqual(comments('a.ts', code.join('\n')), ['yes'])
  })

  test('tells a division from a regular expression', () => {
    assert.deepEqual(comments('a.js', 'const x = a / b // yes "\nconst y = (1 + 2) / 3 // also\n'), ['yes "', 'also'])
  })

  test('knows Python docstrings from strings', () => {
    const code = '"""Module."""\nx = """no"""\ndef f():\n    r"""Does."""\n    return "#no" # yes\n'
    assert.deepEqual(comments('a.py', code), ['Module.', 'Does.', 'yes'])
  })

  test('knows lifetimes and characters of Rust', () => {
    assert.deepEqual(comments('a.rs', `fn f<'a>(x: &'a str) -> char { '"' } // yes`), ['yes'])
  })

  test('takes # for a comment only at a word start', () => {
    assert.deepEqual(comments('a.sh', 'echo x#y $# "# no" # yes\n# also\n'), ['yes', 'also'])
  })

  test('keeps the lines of the code and blanks comments and strings', () => {
    const { code } = apart('a.ts', 'const a = `x\ny` /* z\n*/ + "q"\nfunction f() {}')
    assert.deepEqual(code.split('\n'), ['const a = ""', ' ', ' + ""', 'function f() {}'])
  })

  test('keeps the number of lines of any text in any language', () => {
    const piece = fc.constantFrom(
      '"',
      "'",
      '`',
      '/',
      '/*',
      '*/',
      '//',
      '\n',
      '\\',
      '[',
      ']',
      '#',
      '"""',
      '--',
      ';',
      ' ',
      'a',
      '=',
      '${',
      '}',
      '%',
    )
    const path = fc.constantFrom('a.ts', 'a.py', 'a.rs', 'a.go', 'a.sh', 'a.lua', 'a.el', 'a.erl', 'a.c')
    fc.assert(
      fc.property(path, fc.array(piece, { maxLength: 40 }), (name, pieces) => {
        const text = pieces.join('')
        const { code, comments: found } = apart(name, text)
        const lines = text.split('\n').length
        assert.equal(code.split('\n').length, lines)
        for (const { line } of found) assert.ok(line >= 1 && line <= lines)
      }),
      { numRuns: 1000 },
    )
  })
})
