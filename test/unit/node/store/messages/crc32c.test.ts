/** The checksum that LevelDB uses, against the examples of RFC 3720 and one bit at a time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { crc32c } from '../../../../../node/store/messages/crc32c.ts'

const slow = (bytes: Uint8Array): number => {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  }
  return ~crc >>> 0
}

test('it gives what RFC 3720, B.4, says', () => {
  const counting = Uint8Array.from({ length: 32 }, (_, i) => i)
  assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa)
  assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43)
  assert.equal(crc32c(counting), 0x46dd794e)
  assert.equal(crc32c(counting.toReversed()), 0x113fdb5c)
  assert.equal(crc32c(new Uint8Array()), 0)
})

test('it is the same as one bit at a time, wherever the bytes lie', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(9), (bytes, from) => {
      assert.equal(crc32c(bytes.subarray(from)), slow(bytes.subarray(from)))
    }),
  )
})
