import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { MAX_ITEMS, MAX_MARKERS, Outline } from '../../../../examples/report/contracts.ts'
import { outline } from '../../../../examples/report/skills/outline.ts'

const of = (path: string, text: string): Outline => Outline.parse(outline({ path, text }))
const items = (path: string, text: string): string[] =>
  of(path, text).items.map(({ level, text: label, line }) => `${line} ${level} ${label}`)

describe('the outline of Markdown', () => {
  test('is its headings, of both kinds, as plain text', () => {
    const text = 'Title\n=====\n\n## A *b* [c](d) `<e>` ##\n\nSub\n---\n\n#### \n#no\n   ### three\n    # code\n'
    assert.deepEqual(items('a.md', text), ['1 1 Title', '4 2 A b c <e>', '6 2 Sub', '11 3 three'])
    assert.equal(of('a.md', text).title, 'Title')
  })

  test('leaves out what stands in fences, comments and front matter', () => {
    const text =
      '---\ntitle: "Front"\n---\n# One\n````md\n# no\n```\n# no\n````\n<!--\n# no\n-->\n~~~\n# no\n~~~\n# Two\n'
    assert.deepEqual(items('a.md', text), ['4 1 One', '16 1 Two'])
    assert.equal(of('a.md', text).title, 'Front')
  })

  test('takes no rule, list or table row for an underlined heading', () => {
    assert.deepEqual(items('a.md', '- item\n---\n\n---\n\n| a |\n---\n\n> quote\n===\n'), [])
  })

  test('of a fence that never closes ends there', () => {
    assert.deepEqual(items('a.md', '# One\n```\n# no\n'), ['1 1 One'])
  })

  test('is found in text files that hold Markdown', () => {
    assert.equal(of('notes.txt', '# A\n\ntext\n\n## B\n').language, 'Markdown')
    assert.equal(of('notes.txt', 'plain\n\ntext\n').language, 'Text')
  })

  test('works with line ends of every system', () => {
    assert.deepEqual(items('a.md', '# A\r\n\r\nB\r\n===\r\n'), ['1 1 A', '3 1 B'])
    assert.deepEqual(items('a.md', '# A\r\rB\r===\r'), ['1 1 A', '3 1 B'])
  })
})

describe('the outline of source', () => {
  test('is its declarations, not those in comments and templates', () => {
    const text = [
      '/*',
      'function no() {}',
      '*/',
      'export default async function* walk() {}',
      'const x = `',
      'class No {}',
      '`',
      'interface Größe {}',
      '  const inner = 1',
      'export abstract class A<T> {}',
      'export const enum E {}',
      'let a, b',
    ].join('\n')
    assert.deepEqual(items('a.ts', text), [
      '4 1 export default async function* walk',
      '5 1 const x',
      '8 1 interface Größe',
      '10 1 export abstract class A',
      '11 1 export const enum E',
      '12 1 let a',
    ])
  })

  test('of tests is their names', () => {
    const text = "const help = 1\ndescribe('a walk', () => {\n  test('finds \"all\"', () => {})\n})\n"
    assert.deepEqual(items('a.test.ts', text), ['2 1 a walk', '3 1 finds "all"'])
  })

  test('is known for many languages', () => {
    const cases: [string, string, string[]][] = [
      [
        'a.py',
        'class A(B):\n    def f(self):\n        pass\nasync def g(): pass\nLIMIT = 3\n',
        ['1 class A', '2 def f', '1 async def g', '1 LIMIT'],
      ],
      [
        'a.go',
        'package p\nfunc (s *S) Do(x int) {}\ntype S struct {\nvar X = 1\n',
        ['1 func (s *S) Do', '1 type S struct', '1 var X'],
      ],
      [
        'a.rs',
        "pub(crate) async fn f<'a>() {}\nimpl<T> A for B<T> {\n    pub fn g() {}\n}\nmacro_rules! m {}\n",
        ['1 pub(crate) async fn f', '1 impl<T> A for B<T>', '2 pub fn g', '1 macro_rules! m'],
      ],
      [
        'A.java',
        'public final class A {\n    public int f(int x) {}\n    private int g() {}\n}\n',
        ['1 public final class A', '2 public int f'],
      ],
      [
        'a.c',
        '#define MAX 3\nstatic int f(int a) {\n  if (a) return 1;\n}\nint g(void);\nstruct s {\nfor (;;)\n',
        ['1 #define MAX', '1 static int f', '1 struct s'],
      ],
      [
        'a.cpp',
        'namespace n {\nvoid A::b() {\ntemplate <typename T> class C {\n',
        ['1 namespace n', '1 void A::b', '1 template <typename T> class C'],
      ],
      ['run', '#!/usr/bin/env bash\nmain() {\n}\nfunction other {\n', ['1 main()', '1 function other']],
      [
        'a.proto',
        'message A {\n  string b = 1;\n}\nservice S {\n  rpc Do(A) returns (A);\n}\n',
        ['1 message A', '1 service S', '2 rpc Do'],
      ],
      ['a.sql', 'CREATE TABLE IF NOT EXISTS t (id int);\n', ['1 CREATE TABLE IF NOT EXISTS t']],
      ['Dockerfile', 'FROM node:24 AS build\nRUN x\n', ['1 FROM node:24 AS build']],
      ['Makefile', 'all: a\nX := 1\n', ['1 all']],
    ]
    for (const [path, text, expected] of cases) {
      assert.deepEqual(
        items(path, text).map((item) => item.replace(/^\d+ /, '')),
        expected,
        path,
      )
    }
  })
})

describe('the outline of data', () => {
  test('of JSON is its top keys with the sizes under them, also when it is commented, cut or broken', () => {
    const text =
      '{\n  // no "x": 1\n  "a": {"b": 1, "c": {"d": 1}},\n  "e\\"f": [1, 2, 3,],\n  "g": "x, {y",\n  "h": [], "i": {}\n}'
    assert.deepEqual(items('a.json', text), ['3 1 a {2}', '4 1 e\\"f [3]', '5 1 g', '6 1 h [0]', '6 1 i {0}'])
    assert.deepEqual(items('a.json', text.slice(0, 65)), ['3 1 a {2}', '4 1 e\\"f [2]'])
  })

  test('of a JSON array is the number of its values', () => {
    assert.equal(of('a.json', '[1, {"a": [1, 2]}, [3], "x,y"]').title, 'array of 4 values')
    assert.equal(of('a.json', '[]').title, 'array of 0 values')
  })

  test('of YAML, TOML, INI and tables is keys, sections and columns', () => {
    assert.deepEqual(items('a.yml', 'a: 1\n  b: 2\n# c: 3\n"d": x\nhttp://x\n'), ['1 1 a', '4 1 d'])
    assert.deepEqual(items('a.toml', 'x = 1\n[a.b]\ny = 2\n[[c]]\n'), ['1 1 x', '2 1 a.b', '4 1 c'])
    assert.deepEqual(items('a.csv', 'id;"name"\n1;2\n'), ['1 1 id', '1 1 name'])
  })
})

describe('the outline of text', () => {
  test('is underlined, numbered and capital headings; the first line is the title', () => {
    const text = 'Das Handbuch\n\n1. Anfang\n\nText steht hier.\n\nENDE\n\nTeil\n~~~~\nText\n'
    assert.deepEqual(items('a.txt', text), ['3 1 1. Anfang', '7 1 ENDE', '9 1 Teil'])
    assert.equal(of('a.txt', text).title, 'Das Handbuch')
  })

  test('of HTML is its headings and title, without scripts for names', () => {
    const text = '<!doctype html>\n<title>T &amp; U</title>\n<h1 class="x">A <b>b</b></h1>\n<h3>C</h3>'
    assert.deepEqual(items('a.html', text), ['3 1 A b', '4 3 C'])
    assert.equal(of('a.html', text).title, 'T & U')
  })

  test('of LaTeX, AsciiDoc and Org is their headings', () => {
    assert.deepEqual(items('a.tex', '\\title{T}\n\\section{A}\n'), ['2 3 A'])
    assert.deepEqual(items('a.adoc', '= T\n\n== A\n'), ['1 1 T', '3 2 A'])
    assert.deepEqual(items('a.org', '* A\n** B\n'), ['1 1 A', '2 2 B'])
  })
})

describe('the measures of a document', () => {
  const measures = (text: string) => {
    const { lines, words, characters, longestLine, paragraphs } = of('a.txt', text)
    return { lines, words, characters, longestLine, paragraphs }
  }

  test('count lines, words, characters, the longest line and paragraphs', () => {
    assert.deepEqual(measures('one two\nthree\n\nfour 5\n'), {
      lines: 4,
      words: 5,
      characters: 22,
      longestLine: 7,
      paragraphs: 2,
    })
    assert.deepEqual(measures('no end'), { lines: 1, words: 2, characters: 6, longestLine: 6, paragraphs: 1 })
    assert.deepEqual(measures(' '), { lines: 1, words: 0, characters: 1, longestLine: 1, paragraphs: 0 })
  })

  test('count code points, and each sign of a script without spaces as a word', () => {
    assert.deepEqual(measures('🦊🦊\n你好 ab'), { lines: 2, words: 3, characters: 8, longestLine: 5, paragraphs: 1 })
    assert.equal(measures('مرحبا بالعالم').words, 2)
  })
})

describe('notes in a document', () => {
  const notes = (path: string, text: string): string[] =>
    of(path, text).markers.map(({ word, text: note, line }) => `${line} ${word} ${note}`)

  test('are found in comments, not in code, strings and prose about them', () => {
    const text = '// TODO: one\nconst TODO = "// TODO: no"\n/*\n * FIXME(x) two\n * the TODO list\n */\n'
    assert.deepEqual(notes('a.ts', text), ['1 TODO one', '4 FIXME two'])
  })

  test('need a colon in text', () => {
    assert.deepEqual(notes('a.md', 'No TODO here.\n\n- TODO: one\n'), ['3 TODO one'])
  })

  test('and headings are listed up to their limit, and all counted', () => {
    const marked = of('a.ts', '// TODO: x\n\n'.repeat(MAX_MARKERS + 1))
    assert.deepEqual([marked.markers.length, marked.totalMarkers], [MAX_MARKERS, MAX_MARKERS + 1])
    const headed = of('a.md', '# h\n'.repeat(MAX_ITEMS + 1))
    assert.deepEqual([headed.items.length, headed.totalItems], [MAX_ITEMS, MAX_ITEMS + 1])
    assert.deepEqual(of('a.md', '# h\n'.repeat(MAX_ITEMS)).items.length, MAX_ITEMS)
  })
})
