/** Frames of delivery: there and back, as the schema says, and nothing malformed gets in. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type AckFrame,
  decodeAckFrame,
  decodeMessageFrame,
  encodeAckFrame,
  encodeMessageFrame,
  type FrameEntry,
} from '../../../protocols/delivery/delivery-frames.ts'
import { LANES } from '../../../protocols/delivery/durable-message.ts'
import type { Fault } from '../../../protocols/errors.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import { ProtobufWriter } from '../../../protocols/wire/frames/protobuf.ts'
import { broken, deliveryType, refuses, same } from './schema.ts'

const lane = fc.nat({ max: LANES - 1 })
const sequence = fc.integer({ min: 1, max: 2 ** 50 })
const session = fc.integer({ min: 1, max: 2 ** 48 })
const entry: fc.Arbitrary<FrameEntry> = fc.record({
  lane,
  sequence,
  message: fc.option(fc.uint8Array({ maxLength: 50 }), { nil: undefined }),
  ttlMs: fc.nat(),
  attempt: fc.nat({ max: 1_000 }),
})
const numbers = fc.array(
  fc.record({ lane, sequences: fc.array(sequence, { minLength: 1, maxLength: 6 }) }, { noNullPrototype: true }),
  {
    maxLength: 4,
  },
)
const fault: fc.Arbitrary<Fault> = fc
  .record({
    code: fc.constantFrom('APP001', 'COM003', 'X'),
    message: fc.string({ maxLength: 40 }),
    hint: fc.option(fc.string({ minLength: 1, maxLength: 40 }), { nil: undefined }),
    details: fc.option(fc.constant({ retryAfterMs: 5 }), { nil: undefined }),
  })
  .map(({ hint, details, ...rest }) => ({ ...rest, ...(hint !== undefined && { hint }), ...(details && { details }) }))
const answer: fc.Arbitrary<AckFrame> = fc.record({
  session,
  acked: numbers,
  failed: fc.array(fc.record({ lane, sequence, fault }, { noNullPrototype: true }), { maxLength: 3 }),
  held: numbers,
  missing: numbers,
  window: fc.nat({ max: 1_000 }),
  greet: fc.boolean(),
})
const isMalformed = (error: unknown): boolean => isParleyError(error, 'MSG003')

test('messages are read as they were written, and are as the schema says', () => {
  const schema = deliveryType('Messages')
  fc.assert(
    fc.property(session, fc.array(entry, { maxLength: 8 }), (of, entries) => {
      const bytes = encodeMessageFrame(of, entries)
      const read = decodeMessageFrame(bytes)
      assert.equal(read.session, of)
      assert.deepEqual(
        read.entries.map((one) => ({ ...one, message: one.message && [...one.message] })),
        entries.map((one) => ({ ...one, message: one.message && [...one.message] })),
      )
      // Zero values that the other codec would leave out: an empty message is one all the same.
      schema.decode(bytes)
    }),
  )
})

test('answers are read as they were written, and are as the schema says', () => {
  const schema = deliveryType('Answer')
  fc.assert(
    fc.property(answer, (one) => {
      const bytes = encodeAckFrame(one)
      assert.deepEqual(decodeAckFrame(bytes), { ...one })
      same(schema, bytes)
    }),
  )
})

test('what another codec writes is read the same', () => {
  const schema = deliveryType('Messages')
  fc.assert(
    fc.property(session, fc.array(entry, { maxLength: 5 }), (of, entries) => {
      const foreign = new Uint8Array(
        schema.encode(schema.create({ session: of, entries: entries.map((one) => ({ ...one })) })).finish(),
      )
      assert.deepEqual(decodeMessageFrame(foreign), decodeMessageFrame(encodeMessageFrame(of, entries)))
    }),
  )
})

test('bytes that are cut off, changed or random are read or refused as malformed', () => {
  const kinds = fc.constantFrom('cut' as const, 'flip' as const, 'add' as const)
  fc.assert(
    fc.property(
      answer,
      fc.array(entry, { maxLength: 4 }),
      fc.nat(),
      fc.nat({ max: 255 }),
      kinds,
      (one, entries, at, by, kind) => {
        refuses(decodeAckFrame, broken(encodeAckFrame(one), at, by, kind))
        refuses(decodeMessageFrame, broken(encodeMessageFrame(1, entries), at, by, kind))
      },
    ),
    { numRuns: 500 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      refuses(decodeAckFrame, bytes)
      refuses(decodeMessageFrame, bytes)
    }),
    { numRuns: 500 },
  )
})

test('a lane that does not exist and a number 0 are malformed', () => {
  const one = { sequence: 1, message: undefined, ttlMs: 0, attempt: 1 }
  assert.equal(decodeMessageFrame(encodeMessageFrame(1, [{ ...one, lane: LANES - 1 }])).entries.length, 1)
  assert.throws(() => decodeMessageFrame(encodeMessageFrame(1, [{ ...one, lane: LANES }])), isMalformed)
  assert.throws(() => decodeMessageFrame(encodeMessageFrame(1, [{ ...one, lane: 0, sequence: 0 }])), isMalformed)
})

test('4096 messages go into a frame, and one more is malformed', () => {
  const all = (count: number): FrameEntry[] =>
    Array.from({ length: count }, (_, i) => ({ lane: 0, sequence: i + 1, message: undefined, ttlMs: 0, attempt: 1 }))
  assert.equal(decodeMessageFrame(encodeMessageFrame(1, all(4_096))).entries.length, 4_096)
  assert.throws(() => decodeMessageFrame(encodeMessageFrame(1, all(4_097))), isMalformed)
})

test('16384 numbers of a lane are read, and one more is malformed', () => {
  const frame = (count: number): Uint8Array =>
    encodeAckFrame({
      session: 1,
      acked: [{ lane: 0, sequences: Array.from({ length: count }, (_, i) => i + 1) }],
      failed: [],
      held: [],
      missing: [],
      window: 0,
      greet: false,
    })
  assert.equal(decodeAckFrame(frame(16_384)).acked[0]?.sequences.length, 16_384)
  assert.throws(() => decodeAckFrame(frame(16_385)), isMalformed)
})

test('more lanes than there are, and details that are not JSON, are malformed', () => {
  const nothing = { session: 1, failed: [], held: [], missing: [], window: 0, greet: false }
  const lanes = (count: number) => Array.from({ length: count }, () => ({ lane: 0, sequences: [1] }))
  assert.equal(decodeAckFrame(encodeAckFrame({ ...nothing, acked: lanes(LANES) })).acked.length, LANES)
  assert.throws(() => decodeAckFrame(encodeAckFrame({ ...nothing, acked: lanes(LANES + 1) })), isMalformed)
  const failure = new ProtobufWriter(64)
  failure.varintField(2, 1)
  failure.stringField(6, 'no JSON')
  const frame = new ProtobufWriter(64)
  frame.delimited(3, failure.finish())
  assert.throws(() => decodeAckFrame(frame.finish()), isMalformed)
})

test('long texts of a failure are cut, and details that are too large left out', () => {
  const long: Fault = {
    code: 'APP001',
    message: 'é'.repeat(5_000),
    hint: 'h'.repeat(5_000),
    details: { text: 'd'.repeat(20_000) },
  }
  const bytes = encodeAckFrame({
    session: 1,
    acked: [],
    failed: [{ lane: 0, sequence: 1, fault: long }],
    held: [],
    missing: [],
    window: 0,
    greet: false,
  })
  const [failed] = decodeAckFrame(bytes).failed
  assert.equal(failed?.fault.message.length, 1_024)
  assert.equal(failed?.fault.hint?.length, 1_024)
  assert.equal(failed?.fault.details, undefined)
})
