import assert from 'node:assert/strict'
import { sign, verify } from 'node:crypto'
import { test } from 'node:test'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import fc from 'fast-check'
import { keyPairOfSeed } from '../../../../node/trust/ed25519.ts'

test('a seed gives the key that libp2p makes of it, and what it signs is signed by it', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 32, maxLength: 32 }), async (seed) => {
      const { raw, publicKey, privateKey } = keyPairOfSeed(seed)
      const theirs = await generateKeyPairFromSeed('Ed25519', seed)
      assert.deepEqual(raw, new Uint8Array(theirs.publicKey.raw))
      assert.ok(verify(null, seed, publicKey, sign(null, seed, privateKey)))
    }),
    { numRuns: 20 },
  )
})

test('a seed of any other length is refused', () => {
  for (const length of [0, 31, 33]) assert.throws(() => keyPairOfSeed(new Uint8Array(length)), RangeError)
})
