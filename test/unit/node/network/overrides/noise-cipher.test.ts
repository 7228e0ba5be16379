/** The cipher of Noise's records, against the two implementations that upstream brings. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { asCrypto, nodeCrypto } from '@chainsafe/libp2p-noise/crypto'
import { Uint8ArrayList } from 'uint8arraylist'
import { noiseCrypto } from '../../../../../node/network/overrides/noise-cipher.ts'

const NOTHING = new Uint8Array(0)
/** Around the size from which on OpenSSL is taken, and the largest record. */
const SIZES = [0, 1, 255, 383, 384, 399, 400, 401, 416, 1_200, 4_096, 65_519]

const bytes = (size: number): Uint8Array => new Uint8Array(randomBytes(size))

describe('the cipher of Noise records', () => {
  for (const size of SIZES) {
    for (const ad of [NOTHING, bytes(32)]) {
      it(`${size} bytes, ${ad.length} beside them: as upstream's, both ways`, () => {
        const key = bytes(32)
        const nonce = bytes(12)
        const text = bytes(size)
        const sealed = noiseCrypto.chaCha20Poly1305Encrypt(text, nonce, ad, key).subarray()
        for (const upstream of [asCrypto, nodeCrypto]) {
          const theirs = upstream.chaCha20Poly1305Encrypt(text, nonce, ad, key).subarray()
          assert.deepEqual(new Uint8Array(sealed), new Uint8Array(theirs))
        }
        const opened = noiseCrypto.chaCha20Poly1305Decrypt(sealed.slice(), nonce, ad, key).subarray()
        assert.deepEqual(new Uint8Array(opened), text)
      })
    }
  }

  it('a text in several pieces is one text', () => {
    const key = bytes(32)
    const nonce = bytes(12)
    const pieces = [bytes(300), bytes(1), bytes(900)]
    const list = new Uint8ArrayList(...pieces)
    const whole = noiseCrypto.chaCha20Poly1305Encrypt(list.subarray(), nonce, NOTHING, key).subarray()
    const sealed = noiseCrypto.chaCha20Poly1305Encrypt(list, nonce, NOTHING, key).subarray()
    assert.deepEqual(new Uint8Array(sealed), new Uint8Array(whole))
    const inPieces = new Uint8ArrayList(whole.subarray(0, 7), whole.subarray(7))
    const opened = noiseCrypto.chaCha20Poly1305Decrypt(inPieces, nonce, NOTHING, key).subarray()
    assert.deepEqual(new Uint8Array(opened), list.subarray())
  })

  for (const size of [100, 1_000]) {
    it(`a record of ${size} bytes that was changed in any part is refused`, () => {
      const key = bytes(32)
      const nonce = bytes(12)
      const sealed = new Uint8Array(noiseCrypto.chaCha20Poly1305Encrypt(bytes(size), nonce, NOTHING, key).subarray())
      for (const at of [0, size - 1, size, size + 15]) {
        const changed = sealed.slice()
        changed[at] = (changed[at] ?? 0) ^ 1
        assert.throws(() => noiseCrypto.chaCha20Poly1305Decrypt(changed, nonce, NOTHING, key), `byte ${at}`)
      }
      const otherNonce = nonce.slice()
      otherNonce[4] = (otherNonce[4] ?? 0) ^ 1
      assert.throws(() => noiseCrypto.chaCha20Poly1305Decrypt(sealed.slice(), otherNonce, NOTHING, key))
      assert.throws(() => noiseCrypto.chaCha20Poly1305Decrypt(sealed.slice(), nonce, NOTHING, bytes(32)))
      assert.throws(() => noiseCrypto.chaCha20Poly1305Decrypt(sealed.slice(), nonce, bytes(1), key))
    })
  }

  it('a record shorter than its tag is refused', () => {
    assert.throws(() => noiseCrypto.chaCha20Poly1305Decrypt(bytes(15), bytes(12), NOTHING, bytes(32)))
  })
})
