import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ParleyError } from '../../../../protocols/errors.ts'
import { type Frame, KIND } from '../../../../protocols/wire/frames/frame.ts'
import { createFrameReader } from '../../../../protocols/wire/frames/frame-reader.ts'
import { arbitraryFrame } from '../../../support/arbitrary-frame.ts'
import { frameOf, oracleEncode, oracleFrame } from '../../../support/proto-oracle.ts'

const join = (parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts))

/** Cuts at the given places (fractions of the whole). */
const chunksOf = (bytes: Uint8Array, cuts: number[]): Uint8Array[] => {
  const places = [...new Set(cuts.map((cut) => Math.floor(cut * bytes.length)))].sort((a, b) => a - b)
  return [0, ...places].map((start, i) => bytes.slice(start, places[i] ?? bytes.length))
}

const readAll = (chunks: Uint8Array[], maxFrameBytes = 100_000): { frames: Frame[]; pending: number } => {
  const inbox = createFrameReader(maxFrameBytes)
  const frames: Frame[] = []
  for (const chunk of chunks) inbox.push(chunk, (frame) => frames.push(frame))
  return { frames, pending: inbox.pendingBytes() }
}

describe('inbox', () => {
  it('finds the same frames however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(arbitraryFrame, { maxLength: 6 }),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 }),
        (sent, cuts) => {
          const { frames, pending } = readAll(chunksOf(join(sent.map(oracleFrame)), cuts))
          assert.deepEqual(frames, sent)
          assert.equal(pending, 0)
        },
      ),
      { numRuns: 300 },
    )
  })

  it('finds the same frames where it is stopped after any of them, and none before it is asked again', () => {
    fc.assert(
      fc.property(
        fc.array(arbitraryFrame, { maxLength: 6 }),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 6 }),
        fc.infiniteStream(fc.boolean()),
        (sent, cuts, stops) => {
          const inbox = createFrameReader(100_000)
          const frames: Frame[] = []
          let stopped = false
          const take = (frame: Frame): boolean => {
            assert.equal(stopped, false)
            frames.push(frame)
            stopped = stops.next().value === true
            return !stopped
          }
          for (const chunk of chunksOf(join(sent.map(oracleFrame)), cuts)) {
            inbox.push(chunk, take)
            while (stopped) {
              stopped = false
              inbox.push(new Uint8Array(0), take)
            }
          }
          assert.deepEqual(frames, sent)
          assert.equal(inbox.pendingBytes(), 0)
        },
      ),
      { numRuns: 200 },
    )
  })

  it('finds the same frames when the bytes come one by one', () => {
    fc.assert(
      fc.property(fc.array(arbitraryFrame, { maxLength: 4 }), (sent) => {
        const bytes = join(sent.map(oracleFrame))
        const { frames, pending } = readAll(Array.from(bytes, (byte) => new Uint8Array([byte])))
        assert.deepEqual(frames, sent)
        assert.equal(pending, 0)
      }),
      { numRuns: 100 },
    )
  })

  it('hands over each frame as soon as its last byte is there, and not before', () => {
    const bytes = oracleFrame(frameOf({ kind: KIND.response, exchange: 7, payload: new Uint8Array(300) }))
    const inbox = createFrameReader(1000)
    let seen = 0
    const count = (): void => {
      seen += 1
    }
    inbox.push(bytes.subarray(0, bytes.length - 1), count)
    assert.equal(seen, 0)
    assert.equal(inbox.pendingBytes(), bytes.length - 1)
    inbox.push(bytes.subarray(bytes.length - 1), count)
    assert.equal(seen, 1)
    assert.equal(inbox.pendingBytes(), 0)
  })

  it('takes an empty chunk as nothing', () => {
    const bytes = oracleFrame(frameOf({ exchange: 1 }))
    const { frames } = readAll([new Uint8Array(0), bytes.subarray(0, 1), new Uint8Array(0), bytes.subarray(1)])
    assert.equal(frames.length, 1)
  })

  it('takes a frame of the largest size and refuses one byte more, before its bytes come', () => {
    const body = oracleEncode(frameOf({ payload: new Uint8Array(500) }))
    const bytes = oracleFrame(frameOf({ payload: new Uint8Array(500) }))
    assert.equal(readAll([bytes], body.length).frames.length, 1)
    const inbox = createFrameReader(body.length - 1)
    assert.throws(
      () => inbox.push(bytes.subarray(0, 2), () => assert.fail('no frame may come')),
      (error) =>
        error instanceof ParleyError &&
        error.code === 'MSG001' &&
        error.details.bytes === body.length &&
        error.details.maxBytes === body.length - 1,
    )
  })

  it('refuses a length prefix that does not end within 5 bytes', () => {
    const inbox = createFrameReader(1000)
    inbox.push(new Uint8Array([0x80, 0x80, 0x80, 0x80]), () => assert.fail('no frame may come'))
    assert.throws(() => inbox.push(new Uint8Array([0x80]), () => {}), { code: 'MSG003' })
  })

  it('never holds more than the largest frame and its prefix', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 90 }), { maxLength: 30 }), (chunks) => {
        const inbox = createFrameReader(64)
        try {
          for (const chunk of chunks) {
            inbox.push(chunk, () => {})
            assert.ok(inbox.pendingBytes() <= 64 + 5, `${inbox.pendingBytes()} bytes`)
          }
        } catch (error) {
          assert.ok(error instanceof ParleyError && ['MSG001', 'MSG003'].includes(error.code), `${error}`)
        }
      }),
      { numRuns: 1000 },
    )
  })

  it('reads a frame inside one chunk without a copy', () => {
    const bytes = oracleFrame(frameOf({ payload: new Uint8Array([9, 8, 7]) }))
    assert.equal(readAll([bytes]).frames[0]?.payload.buffer, bytes.buffer)
  })
})
