import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { type Frame, KIND, readFrame } from '../../../../protocols/wire/frames/frame.ts'
import { frameOf, oracleFrame, ownFrame } from '../../../support/proto-oracle.ts'

const read = (bytes: Uint8Array): Frame => readFrame(bytes, 0, bytes.length)

interface Vector {
  name: string
  hex: string
  frame: Record<string, unknown>
}

const VECTORS = new URL('../../../interop/vectors/frames.json', import.meta.url)
const BYTES = new Set(['payload', 'session', 'metadata', 'details'])

/** Bytes stand in the file as `{"hex": ...}`-less plain hex under names that are known to be bytes. */
const fromVector = (fields: Record<string, unknown>): Partial<Frame> =>
  Object.fromEntries(
    Object.entries(fields).map(([name, value]) => {
      if (BYTES.has(name)) return [name, new Uint8Array(Buffer.from(String(value), 'hex'))]
      const plain = typeof value !== 'object' || value === null || Array.isArray(value) || name === 'headers'
      return [name, plain ? value : fromVector(value as Record<string, unknown>)]
    }),
  )

describe('golden vectors of frames', () => {
  const file = JSON.parse(readFileSync(VECTORS, 'utf8')) as {
    frames: Vector[]
    readOnly: Vector[]
    malformed: { name: string; hex: string }[]
  }
  const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'))
  /** Behind the length prefix, which is one byte up to 127 and two up to 16,383. */
  const body = (bytes: Uint8Array): Uint8Array => bytes.subarray((bytes[0] ?? 0) < 0x80 ? 1 : 2)

  for (const vector of file.frames) {
    it(`${vector.name}: written, read, and the same for protobufjs`, () => {
      const f = frameOf(fromVector(vector.frame))
      const bytes = bytesOf(vector.hex)
      assert.deepEqual(ownFrame(f), bytes)
      assert.deepEqual(oracleFrame(f), bytes)
      assert.deepEqual(read(body(bytes)), f)
    })
  }

  for (const vector of file.readOnly) {
    it(`${vector.name}: read`, () => {
      assert.deepEqual(read(body(bytesOf(vector.hex))), frameOf(fromVector(vector.frame)))
    })
  }

  for (const vector of file.malformed) {
    it(`${vector.name}: refused with MSG003`, () => {
      assert.throws(() => read(body(bytesOf(vector.hex))), { code: 'MSG003' })
    })
  }

  it('cover every kind of frame', () => {
    const seen = new Set(file.frames.map((vector) => vector.frame.kind ?? 0))
    assert.deepEqual([...seen].sort(), Object.values(KIND).sort())
  })
})
