/** Code blocks and command lines, taken out of a text. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { blocksOf, commandsOf } from '../../support/markdown-blocks.ts'

describe('code blocks of a text', () => {
  test('each has its language, its marks and the line that it begins at', () => {
    const text = 'a\n```ts run\nconst b = 1\n\nc()\n```\n\n```\nd\n```\n'
    assert.deepEqual(blocksOf(text), [
      { language: 'ts', marks: ['run'], text: 'const b = 1\n\nc()\n', line: 3 },
      { language: '', marks: [], text: 'd\n', line: 9 },
    ])
  })

  test('one without an end is told with its line', () => {
    assert.throws(() => blocksOf('a\n\n```ts\nb'), /line 4 has no end/)
  })
})

describe('command lines', () => {
  for (const [line, commands] of [
    ['parley up --name a   # a comment', [['parley', 'up', '--name', 'a']]],
    ['a && b | c; d & e', [['a'], ['b'], ['c'], ['d'], ['e']]],
    [`call x '{"a": 1}' "b c"`, [['call', 'x', '{"a": 1}', 'b c']]],
    ['a \\\n  b\nc', [['a', 'b'], ['c']]],
    ['# nothing\n\n', []],
  ] as const) {
    test(JSON.stringify(line), () => assert.deepEqual(commandsOf(line), commands))
  }
})
