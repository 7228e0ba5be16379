import assert from 'node:assert/strict'
import { test } from 'node:test'
import { exactBytes, packBytes } from '../../../../../node/agent/channel/transferable.ts'

const pool = new Uint8Array(200_000).map((_, at) => at % 251)

test('a part of a buffer is copied, so that posting it neither copies nor takes the rest', () => {
  const part = pool.subarray(10, 30)
  assert.deepEqual(exactBytes(part), part)
  assert.equal(exactBytes(part).buffer.byteLength, 20)
  const packed = packBytes(part)
  assert.equal(packed.bytes.buffer.byteLength, 20)
  assert.deepEqual(packed.transfer, [])
})

test('a large part is copied once and the copy is transferred', () => {
  const part = pool.subarray(1, 100_001)
  const { bytes, transfer } = packBytes(part)
  assert.deepEqual(transfer, [bytes.buffer])
  assert.notEqual(bytes.buffer, pool.buffer)
  assert.deepEqual(structuredClone(bytes, { transfer }), part)
  assert.equal(pool.byteLength, 200_000, 'the buffer under it is still whole')
})

test('a whole buffer is never transferred: somebody may still hold it', () => {
  assert.deepEqual(packBytes(pool), { bytes: pool, transfer: [] })
  assert.equal(exactBytes(pool), pool)
})
