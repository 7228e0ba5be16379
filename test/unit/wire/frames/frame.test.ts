import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import protobuf from 'protobufjs'
import { ParleyError } from '../../../../protocols/errors.ts'
import { type Frame, KIND, readFrame, writeFrame } from '../../../../protocols/wire/frames/frame.ts'
import { ProtobufWriter } from '../../../../protocols/wire/frames/protobuf.ts'
import { arbitraryFrame } from '../../../support/arbitrary-frame.ts'
import { frameOf, oracleDecode, oracleEncode, oracleFrame, ownFrame, sparse } from '../../../support/proto-oracle.ts'

const read = (bytes: Uint8Array): Frame => readFrame(bytes, 0, bytes.length)

const isMalformed = (error: unknown): boolean => error instanceof ParleyError && error.code === 'MSG003'

/** Reads, and lets only MSG003 pass: any other error is a defect. */
const readsOrRefuses = (bytes: Uint8Array): Frame | undefined => {
  try {
    return read(bytes)
  } catch (error) {
    assert.ok(isMalformed(error), `${error}`)
    return undefined
  }
}

const unknownFields = fc
  .array(
    fc.record({
      field: fc.integer({ min: 19, max: 2000 }),
      wireType: fc.constantFrom(0, 1, 2, 5),
      value: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
    }),
    { minLength: 1, maxLength: 4 },
  )
  .map((fields) => {
    const writer = protobuf.Writer.create()
    for (const { field, wireType, value } of fields) {
      writer.uint32((field << 3) | wireType)
      const long = `${value}`
      if (wireType === 0) writer.uint64(long)
      else if (wireType === 1) writer.fixed64(long)
      else if (wireType === 2) writer.bytes(new Uint8Array(Number(value % 300n)))
      else writer.fixed32(Number(value % 2n ** 32n))
    }
    return new Uint8Array(writer.finish())
  })

const nested = (number: number, bytes: Uint8Array): Uint8Array => {
  const writer = new ProtobufWriter()
  writer.delimited(number, bytes)
  return writer.finish()
}

describe('frames', () => {
  it('are written byte for byte as protobufjs writes them from parley.proto', () => {
    fc.assert(
      fc.property(arbitraryFrame, (f) => {
        assert.deepEqual(ownFrame(f), oracleFrame(f))
      }),
      { numRuns: 500 },
    )
  })

  it('are read back as they were from what protobufjs wrote', () => {
    fc.assert(
      fc.property(arbitraryFrame, (f) => {
        assert.deepEqual(read(oracleEncode(f)), f)
      }),
      { numRuns: 500 },
    )
  })

  it('are understood by protobufjs', () => {
    fc.assert(
      fc.property(arbitraryFrame, (f) => {
        const bytes = ownFrame(f)
        const prefix = bytes.length - oracleEncode(f).length
        const seen = oracleDecode(bytes.subarray(prefix))
        const { payload, ...rest } = seen
        const { payload: sentPayload, ...sent } = sparse(f)
        assert.deepEqual(JSON.parse(JSON.stringify(rest)), JSON.parse(JSON.stringify(sent)))
        assert.deepEqual(new Uint8Array((payload as Uint8Array | undefined) ?? []), sentPayload ?? new Uint8Array(0))
      }),
      { numRuns: 200 },
    )
  })

  it('report how many bytes they took, wherever in a buffer they are written', () => {
    fc.assert(
      fc.property(fc.array(arbitraryFrame, { minLength: 1, maxLength: 5 }), (frames) => {
        const writer = new ProtobufWriter(8)
        const sizes = frames.map((f) => writeFrame(writer, f))
        assert.deepEqual(
          sizes,
          frames.map((f) => oracleFrame(f).length),
        )
        assert.equal(
          writer.finish().length,
          sizes.reduce((sum, size) => sum + size, 0),
        )
      }),
      { numRuns: 100 },
    )
  })

  it('keep what they know when a newer peer adds fields, before, between and after', () => {
    fc.assert(
      fc.property(arbitraryFrame, unknownFields, unknownFields, (f, before, after) => {
        const known = oracleEncode(f)
        const bytes = new Uint8Array([...before, ...known, ...after])
        assert.deepEqual(read(bytes), f)
      }),
      { numRuns: 200 },
    )
  })

  it('skip fields of a newer peer inside hello, extra and fault', () => {
    fc.assert(
      fc.property(unknownFields, (unknown) => {
        assert.deepEqual(read(nested(15, unknown)).fault, {
          code: '',
          message: '',
          hint: '',
          details: new Uint8Array(0),
        })
        assert.deepEqual(read(nested(16, unknown)).extra, {})
        assert.equal(read(nested(17, unknown)).hello?.version, '')
        assert.deepEqual(read(nested(18, unknown)).progress, { done: 0, note: '' })
        assert.deepEqual(read(nested(16, nested(5, unknown))).extra, { headers: { '': '' } })
      }),
      { numRuns: 100 },
    )
  })

  it('that are cut off anywhere are read as a shorter message or refused with MSG003', () => {
    fc.assert(
      fc.property(arbitraryFrame, (f) => {
        const bytes = oracleEncode(f)
        for (let length = 0; length < bytes.length; length += 1) {
          const whole = readsOrRefuses(bytes.slice(0, length))
          const view = readsOrRefuses(bytes.subarray(0, length))
          assert.deepEqual(view, whole, 'nothing behind the end is looked at')
        }
      }),
      { numRuns: 60 },
    )
  })

  it('never read past their end, whatever lies behind it', () => {
    fc.assert(
      fc.property(arbitraryFrame, fc.nat(200), (f, cut) => {
        const bytes = oracleEncode(f)
        const end = Math.min(cut, bytes.length)
        const alone = readsOrRefuses(bytes.slice(0, end))
        let inPlace: Frame | undefined
        try {
          inPlace = readFrame(bytes, 0, end)
        } catch (error) {
          assert.ok(isMalformed(error))
        }
        assert.deepEqual(inPlace, alone)
      }),
      { numRuns: 300 },
    )
  })

  it('refuse random bytes with MSG003 and nothing else', () => {
    let refused = 0
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        if (readsOrRefuses(bytes) === undefined) refused += 1
      }),
      { numRuns: 3000 },
    )
    assert.ok(refused > 1000, `${refused} of 3000 were refused`)
  })

  it('refuse one flipped byte with MSG003 or read another message, and nothing else', () => {
    fc.assert(
      fc.property(arbitraryFrame, fc.nat(), fc.integer({ min: 1, max: 255 }), (f, at, flip) => {
        const bytes = oracleEncode(f)
        if (bytes.length === 0) return
        const index = at % bytes.length
        bytes[index] = (bytes[index] ?? 0) ^ flip
        readsOrRefuses(bytes)
      }),
      { numRuns: 1000 },
    )
  })

  it('give a payload that is a view of the chunk it came in, not a copy', () => {
    const bytes = oracleEncode(frameOf({ payload: new Uint8Array([1, 2, 3]) }))
    const payload = read(bytes).payload
    assert.equal(payload.buffer, bytes.buffer)
  })

  it('copy what outlives the chunk, also out of a Buffer', () => {
    const session = new Uint8Array([1, 2, 3])
    const hello = { version: '1.0.0', encodings: [], maxMessageBytes: 1, session, startedAtMs: 1 }
    const details = new Uint8Array([4, 5])
    const fault = { code: 'APP001', message: '', hint: '', details }
    const chunk = Buffer.from(oracleEncode(frameOf({ hello, fault, extra: { metadata: details } })))
    const back = read(chunk)
    chunk.fill(0)
    assert.deepEqual([back.hello?.session, back.fault?.details, back.extra?.metadata], [session, details, details])
  })

  it('keep a header named __proto__ as an ordinary header', () => {
    const headers = Object.fromEntries([['__proto__', 'x']])
    const back = read(ownFrame(frameOf({ extra: { headers } })).subarray(1)).extra?.headers
    assert.deepEqual(Object.entries(back ?? {}), [['__proto__', 'x']])
  })

  it('carry an exchange number and times above 32 bits', () => {
    const f = frameOf({ exchange: 2 ** 32 + 5, atMs: 2 ** 33 })
    assert.deepEqual(read(oracleEncode(f)), f)
    assert.deepEqual(ownFrame(f), oracleFrame(f))
  })
})

describe('bounds of a frame', () => {
  const utf8 = (length: number): string => 'x'.repeat(length)

  it('take a method of 64 bytes and refuse one of 65', () => {
    assert.equal(read(ownFrame(frameOf({ method: utf8(64) })).subarray(1)).method, utf8(64))
    assert.throws(() => read(oracleEncode(frameOf({ method: utf8(65) }))), { code: 'MSG003' })
  })

  it('take a text of 8,192 bytes and refuse one of 8,193', () => {
    const withId = (length: number) => oracleEncode(frameOf({ extra: { conversationId: utf8(length) } }))
    assert.equal(read(withId(8192)).extra?.conversationId?.length, 8192)
    assert.throws(() => read(withId(8193)), { code: 'MSG003' })
  })

  it('take 64 headers and refuse 65', () => {
    const withHeaders = (count: number) =>
      oracleEncode(
        frameOf({ extra: { headers: Object.fromEntries(Array.from({ length: count }, (_, i) => [`h${i}`, 'v'])) } }),
      )
    assert.equal(Object.keys(read(withHeaders(64)).extra?.headers ?? {}).length, 64)
    assert.throws(() => read(withHeaders(65)), { code: 'MSG003' })
  })

  it('take a chain of 64 peers and refuse 65', () => {
    const withChain = (count: number) => oracleEncode(frameOf({ extra: { chain: Array(count).fill('p') } }))
    assert.equal(read(withChain(64)).extra?.chain?.length, 64)
    assert.throws(() => read(withChain(65)), { code: 'MSG003' })
  })

  it('take 64 encodings and refuse 65, packed or one by one', () => {
    const hello = { version: '1.0.0', maxMessageBytes: 1, session: new Uint8Array(8), startedAtMs: 1 }
    const packed = (count: number) =>
      oracleEncode(frameOf({ kind: KIND.hello, hello: { ...hello, encodings: Array(count).fill(1) } }))
    const single = (count: number) => nested(17, new Uint8Array(Array(count).fill([0x10, 1]).flat()))
    assert.equal(read(packed(64)).hello?.encodings.length, 64)
    assert.throws(() => read(packed(65)), { code: 'MSG003' })
    assert.equal(read(single(64)).hello?.encodings.length, 64)
    assert.throws(() => read(single(65)), { code: 'MSG003' })
  })

  it('take a number of 2^53 - 1 and refuse 2^53', () => {
    const varint = (value: bigint) => protobuf.Writer.create().uint64(`${value}`).finish()
    assert.equal(read(new Uint8Array([0x10, ...varint(2n ** 53n - 1n)])).exchange, 2 ** 53 - 1)
    assert.throws(() => read(new Uint8Array([0x10, ...varint(2n ** 53n)])), { code: 'MSG003' })
  })
})
