/** Random frames for property tests: every field, every kind, at and around the sizes where varints grow. */
import fc from 'fast-check'
import type { CarriedBudget } from '../../protocols/budget/carried/carried-budget.ts'
import type { Frame } from '../../protocols/wire/frames/frame.ts'
import type { EnvelopeExtra, FrameFault, FrameProgress, Hello } from '../../protocols/wire/frames/nested-messages.ts'
import { frameOf } from './proto-oracle.ts'

const uint32 = fc.oneof(
  fc.constantFrom(0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455, 268_435_456, 2 ** 32 - 1),
  fc.integer({ min: 0, max: 2 ** 32 - 1 }),
)
const uint53 = fc.oneof(fc.constantFrom(0, 2 ** 35, 2 ** 49, 2 ** 53 - 1), fc.maxSafeNat())
/** Well-formed text: a lone surrogate has no UTF-8. */
const text = fc.string({ unit: 'grapheme', maxLength: 40 })
/** At most 64 bytes are taken. */
const code = text.filter((value) => Buffer.byteLength(value) <= 64)
const bytes = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 120, maxLength: 140 }))
const method = fc.stringMatching(/^([a-zA-Z][a-zA-Z0-9_]{0,63})?$/)

const all = { noNullPrototype: true }

const hello: fc.Arbitrary<Hello> = fc.record(
  {
    version: text,
    encodings: fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 4 }),
    maxMessageBytes: uint32,
    session: bytes,
    startedAtMs: uint53,
  },
  all,
)

const fault: fc.Arbitrary<FrameFault> = fc.record({ code, message: text, hint: text, details: bytes }, all)

const filled = text.filter((value) => value !== '')
const amount = fc.oneof(fc.constantFrom(0, 126, 127, 2 ** 53 - 2), fc.nat())
const budget: fc.Arbitrary<CarriedBudget> = fc.record(
  {
    amounts: fc.record({ tokens: amount, cost: amount, fanOut: amount }, { requiredKeys: [], noNullPrototype: true }),
    depth: fc.nat({ max: 2 ** 31 }),
    leftMs: amount,
  },
  { requiredKeys: ['amounts'], noNullPrototype: true },
)
const extra: fc.Arbitrary<EnvelopeExtra> = fc.record(
  {
    replyTo: filled,
    correlationId: filled,
    conversationId: filled,
    traceparent: filled,
    headers: fc.dictionary(
      text.filter((key) => key !== '__proto__'),
      text,
      { minKeys: 1, maxKeys: 5, noNullPrototype: true },
    ),
    metadata: fc.uint8Array({ minLength: 1, maxLength: 40 }),
    chain: fc.array(text, { minLength: 1, maxLength: 4 }),
    extendMs: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
    limitMs: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
    budget,
  },
  { requiredKeys: [], noNullPrototype: true },
)

const progress: fc.Arbitrary<FrameProgress> = fc.record({ done: uint32, note: text }, all)

export const arbitraryFrame: fc.Arbitrary<Frame> = fc
  .record({
    kind: fc.integer({ min: 0, max: 11 }),
    exchange: uint53,
    method,
    payload: bytes,
    more: fc.boolean(),
    timeoutMs: uint32,
    priority: fc.integer({ min: 0, max: 3 }),
    ttlMs: uint32,
    credit: uint32,
    encoding: fc.integer({ min: 0, max: 2 }),
    rawBytes: uint32,
    content: fc.integer({ min: 0, max: 2 }),
    atMs: uint53,
    load: uint32,
    fault: fc.option(fault, { nil: undefined }),
    extra: fc.option(extra, { nil: undefined }),
    hello: fc.option(hello, { nil: undefined }),
    progress: fc.option(progress, { nil: undefined }),
  })
  .map(frameOf)
