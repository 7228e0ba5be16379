import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { byteString, bytesOf, isExactName, readableName } from '../../../examples/report/names.ts'

describe('readable names', () => {
  test('are the name itself where it is text', () => {
    for (const name of ['a.md', 'مرحبا', '你好', '🦊', 'a\nb', 'back\\slash', 'a\\xfg']) {
      assert.equal(readableName(Buffer.from(name)), name)
      assert.equal(isExactName(name), true)
    }
  })

  test('show bytes that are no text, and tell them from names that only look so', () => {
    assert.equal(readableName(Buffer.from([0x61, 0xff, 0x62])), 'a\\xFFb')
    assert.equal(readableName(Buffer.from('a\\xFFb')), 'a\\x5CxFFb')
    assert.equal(readableName(Buffer.from([0xc3, 0xa4, 0xc3])), 'ä\\xC3')
    assert.equal(isExactName('a\\xFFb'), false)
  })

  test('are well-formed and never the same for two names', () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes)),
      fc.constantFrom('\\x', '\\xFF', '\\', 'x5C', 'ä', '🦊').map((text) => Buffer.from(text)),
    )
    const name = fc.array(piece, { maxLength: 5 }).map((pieces) => Buffer.concat(pieces))
    fc.assert(
      fc.property(name, name, (a, b) => {
        assert.ok(readableName(a).isWellFormed())
        assert.equal(readableName(a) === readableName(b), a.equals(b))
      }),
      { numRuns: 500 },
    )
  })

  test('byte strings keep every byte and sort as bytes do', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.uint8Array(), (left, right) => {
        const [a, b] = [Buffer.from(left), Buffer.from(right)]
        assert.ok(bytesOf(byteString(a)).equals(a))
        assert.equal(
          Math.sign(Buffer.compare(a, b)),
          byteString(a) < byteString(b) ? -1 : byteString(a) > byteString(b) ? 1 : 0,
        )
      }),
    )
  })
})
