/** How parts of a page are written from the code. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { regionsOf, renew, written } from '../../docs/regions.ts'
import { commentsOf } from '../../docs/tables.ts'

const PAGE = `# Page

<!-- generated: one -->
old
<!-- /generated -->

| What | Option | Default | Beyond it |
|---|---|---|---|
| a frame | \`limits.frameBytes\`, \`limits.calls\` | 7 | closed |
| a life | – | 24 h | ended |
`

describe('a page with generated parts', () => {
  test('has its parts and its defaults written anew, and nothing else', () => {
    const renewed = renew(PAGE, (name) => `new ${name}`, { limits: { frameBytes: 131_072, calls: 1_024 } })
    assert.equal(renewed, PAGE.replace('old', '\nnew one\n').replace('| 7 |', '| 128 KiB; 1,024 |'))
    assert.equal(
      renew(renewed, (name) => `new ${name}`, { limits: { frameBytes: 131_072, calls: 1_024 } }),
      renewed,
    )
    assert.deepEqual(regionsOf(PAGE), ['one'])
  })

  test('that names an option which does not exist is refused', () => {
    assert.throws(() => renew(PAGE, () => '', { limits: { frameBytes: 1 } }), /limits\.calls is no option/)
  })
})

test('figures have the unit that the name of their option tells', () => {
  assert.deepEqual(
    [
      ['maxBytes', 4 * 2 ** 20],
      ['maxBytes', 1_000],
      ['maxBytesPerSecond', 64 * 2 ** 20],
      ['timeoutMs', 250],
      ['timeoutMs', 60_000],
      ['keepMs', 2_592_000_000],
      ['maxCalls', 1_536],
    ].map(([name, value]) => written(String(name), Number(value))),
    ['4 MiB', '1,000 B', '64 MiB/s', '250 ms', '1 minute', '30 days', '1,536'],
  )
})

test('the comment in front of a key is its meaning', () => {
  assert.deepEqual(
    [...commentsOf("  /** One. */\n  one: A,\n  two: B,\n  /** Three. */\n  'three-x': C,\n")],
    [
      ['one', 'One.'],
      ['three-x', 'Three.'],
    ],
  )
})
