/** Signatures that are checked once for all nodes of a process. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSignatureCache } from '../../../../node/trust/signer.ts'

const bytes = new Uint8Array([1, 2, 3])
const signature = new Uint8Array(64).fill(200)

/** A check that counts how often it is made. */
const checking = (answer: () => Promise<boolean>) => {
  let checks = 0
  return {
    checks: () => checks,
    check: () => {
      checks += 1
      return answer()
    },
  }
}

test('a good signature is checked once, also for those who ask while it is being checked', async () => {
  const verified = createSignatureCache()
  const { check, checks } = checking(async () => true)
  const all = await Promise.all([1, 2, 3].map(() => verified.once('p', bytes, signature, check)))
  const again = await verified.once('p', bytes.slice(), signature.slice(), check)
  assert.deepEqual([...all, again, checks(), verified.size()], [true, true, true, true, 1, 1])
})

test('other bytes, another peer or another signature are checked anew', async () => {
  const verified = createSignatureCache()
  await verified.once('p', bytes, signature, async () => true)
  const { check, checks } = checking(async () => false)
  assert.equal(await verified.once('p', new Uint8Array([1, 2, 4]), signature, check), false)
  assert.equal(await verified.once('q', bytes, signature, check), false)
  assert.equal(await verified.once('p', bytes, new Uint8Array(64).fill(201), check), false)
  assert.equal(await verified.once('p', new Uint8Array([1, 2, 3, 0]), signature, check), false)
  assert.equal(checks(), 4)
})

test('what is kept are bytes, not a view of a buffer that somebody writes into', async () => {
  const verified = createSignatureCache()
  const buffer = bytes.slice()
  await verified.once('p', buffer, signature, async () => true)
  buffer[0] = 9
  const { check, checks } = checking(async () => false)
  assert.equal(await verified.once('p', buffer, signature, check), false)
  assert.equal(checks(), 1)
})

test('a bad signature and a check that failed are not kept', async () => {
  const verified = createSignatureCache()
  const bad = checking(async () => false)
  for (let i = 0; i < 3; i += 1) assert.equal(await verified.once('p', bytes, signature, bad.check), false)
  assert.equal(bad.checks(), 3)
  const broken = checking(() => Promise.reject(new Error('no threads')))
  for (let i = 0; i < 2; i += 1) await assert.rejects(verified.once('p', bytes, signature, broken.check), /no threads/)
  assert.deepEqual([broken.checks(), verified.size()], [2, 0])
})

test('what is kept is bounded, and large messages are not kept at all', async () => {
  const verified = createSignatureCache()
  const at = (n: number) => new Uint8Array(64).fill(n % 256).fill(n >> 8, 0, 1)
  for (let n = 0; n < 2_000; n += 1) await verified.once('p', bytes, at(n), async () => true)
  assert.equal(verified.size(), 512)
  const { check, checks } = checking(async () => true)
  await verified.once('p', bytes, at(1_999), check)
  await verified.once('p', bytes, at(0), check)
  for (let i = 0; i < 2; i += 1) await verified.once('p', new Uint8Array(4_097), signature, check)
  assert.equal(checks(), 3)
})
