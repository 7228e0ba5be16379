import assert from 'node:assert/strict'
import { test } from 'node:test'
import { generateKeyPair, publicKeyFromRaw } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey, peerIdFromPublicKey } from '@libp2p/peer-id'
import fc from 'fast-check'
import { createSigner } from '../../../../node/trust/signer.ts'

const key = await generateKeyPair('Ed25519')
const peer = peerIdFromPrivateKey(key).toString()
const bytes = new TextEncoder().encode('a task')

test('it signs the same bytes as libp2p, and each accepts what the other signed', async () => {
  const signer = createSigner(key)
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 4096 }), async (message) => {
      const ours = await signer.sign(message)
      const theirs = await key.sign(message)
      assert.deepEqual(ours, new Uint8Array(theirs))
      assert.equal(await key.publicKey.verify(message, ours), true)
      assert.equal(await signer.verify(peer, message, theirs), true)
    }),
  )
})

test('a signature of which any bit was changed is accepted by neither', async () => {
  const signer = createSigner(key)
  const good = await signer.sign(bytes)
  await fc.assert(
    fc.asyncProperty(fc.nat(511), async (bit) => {
      const bad = good.slice()
      bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      assert.equal(await signer.verify(peer, bytes, bad), false)
      assert.equal(await key.publicKey.verify(bytes, bad), false)
    }),
  )
})

test('a signature counts for its own bytes and its own peer only', async () => {
  const signer = createSigner(key)
  const signature = await signer.sign(bytes)
  const other = peerIdFromPrivateKey(await generateKeyPair('Ed25519')).toString()
  assert.equal(await signer.verify(peer, bytes, signature), true)
  assert.equal(await signer.verify(peer, bytes.subarray(1), signature), false)
  assert.equal(await signer.verify(other, bytes, signature), false)
})

test('malformed peers and signatures are false, never an error, and leave nothing behind', async () => {
  const signer = createSigner(key)
  const signature = await signer.sign(bytes)
  const id = peerIdFromPrivateKey(key)
  const peers = [
    '',
    'x',
    `${peer}x`,
    peer.slice(1),
    ` ${peer}`,
    id.toCID().toString(),
    'z'.repeat(100_000),
    peerIdFromPrivateKey(await generateKeyPair('secp256k1')).toString(),
    peerIdFromPublicKey((await generateKeyPair('RSA', 2048)).publicKey).toString(),
  ]
  for (const bad of peers) assert.equal(await signer.verify(bad, bytes, signature), false, bad.slice(0, 80))
  assert.equal(signer.heldKeys(), 0)
  for (const length of [0, 63, 65, 1000]) {
    assert.equal(await signer.verify(peer, bytes, new Uint8Array(length)), false)
  }
  await fc.assert(
    fc.asyncProperty(
      fc.string({ unit: 'binary' }),
      fc.uint8Array({ minLength: 64, maxLength: 64 }),
      async (anyPeer, any) => {
        assert.equal(await signer.verify(anyPeer, bytes, any), false)
      },
    ),
  )
  assert.equal(signer.heldKeys(), 0)
})

test('a peer id whose 32 bytes are no point of the curve verifies nothing', async () => {
  const signer = createSigner(key)
  const signature = await signer.sign(bytes)
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 32, maxLength: 32 }), async (raw) => {
      const id = peerIdFromPublicKey(publicKeyFromRaw(raw)).toString()
      assert.equal(await signer.verify(id, bytes, signature), false)
    }),
  )
})

test('keys are held up to the limit; one past it one is dropped, and read again when it is needed', async () => {
  const peers = await Promise.all(
    Array.from({ length: 4 }, async () => {
      const own = await generateKeyPair('Ed25519')
      return { id: peerIdFromPrivateKey(own).toString(), signature: await own.sign(bytes) }
    }),
  )
  const signer = createSigner(key, { maxKeys: 3 })
  for (const [at, { id, signature }] of peers.entries()) {
    assert.equal(await signer.verify(id, bytes, signature), true)
    assert.equal(signer.heldKeys(), Math.min(at + 1, 3))
  }
  // The one that was dropped is read again from its id.
  for (const { id, signature } of peers) assert.equal(await signer.verify(id, bytes, signature), true)
  assert.equal(signer.heldKeys(), 3)
})

test('by default 1024 keys are held', async () => {
  const signer = createSigner(key)
  const signature = new Uint8Array(64)
  for (let at = 0; at < 1025; at += 1) {
    const raw = new Uint8Array(32)
    new DataView(raw.buffer).setUint32(0, at)
    await signer.verify(peerIdFromPublicKey(publicKeyFromRaw(raw)).toString(), bytes, signature)
    assert.equal(signer.heldKeys(), Math.min(at + 1, 1024))
  }
})
