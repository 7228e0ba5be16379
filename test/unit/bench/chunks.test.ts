import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { checkStream, createChunks } from '../../bench/chunks.ts'

const CHUNK_BYTES = 3 * 4_096

const streamOf = (chunks: number): Buffer => {
  const chunk = createChunks(CHUNK_BYTES, 2)
  return Buffer.concat(Array.from({ length: chunks }, (_, i) => Buffer.from(chunk(i))))
}

test('a stream passes the check however it is cut', () => {
  const stream = streamOf(4)
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: stream.length }), { maxLength: 40 }), (cuts) => {
      const check = checkStream()
      const at = [0, ...cuts.sort((a, b) => a - b), stream.length]
      for (let i = 1; i < at.length; i++) check.add(stream.subarray(at[i - 1], at[i]))
      assert.equal(check.bytes(), stream.length)
    }),
  )
})

test('a piece that is missing, doubled or moved is found', () => {
  const stream = streamOf(4)
  const [a, b, c] = [0, 1, 2].map((i) => stream.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES))
  for (const order of [
    [a, c],
    [a, a],
    [b, a],
  ]) {
    const check = checkStream()
    assert.throws(() => order.forEach((piece) => void (piece !== undefined && check.add(piece))), /not what was sent/)
  }
})

test('one byte that is missing is found by the next mark', () => {
  const stream = streamOf(2)
  const check = checkStream()
  check.add(stream.subarray(0, 100))
  assert.throws(() => check.add(stream.subarray(101)), /byte 4096 of the stream/)
})

test('memory is used again only after as many chunks as are kept', () => {
  const chunk = createChunks(CHUNK_BYTES, 2)
  const first = chunk(0)
  const second = chunk(1)
  assert.deepEqual([...first.subarray(0, 4)], [0, 0, 0, 0])
  assert.deepEqual([...second.subarray(0, 4)], [3, 0, 0, 0])
  assert.equal(chunk(2).buffer, first.buffer)
})

test('a chunk that is no whole number of steps is refused', () => {
  assert.throws(() => createChunks(4_097, 2), RangeError)
})
