/** The rows of delivery: keys in order, bytes there and back, as the schema says. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  decodeOutboxRow,
  decodePeerSenderRow,
  encodeOutboxRow,
  encodePeerSenderRow,
  outboxKey,
  padded,
  parseOutboxKey,
} from '../../../../protocols/delivery/store/delivery-rows.ts'
import { broken, deliveryType, refuses, same } from '../schema.ts'

const peer = fc.stringMatching(/^[A-Za-z0-9]{1,60}$/)
const lane = fc.nat({ max: 63 })
const sequence = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })

test('a key of the outbox says whose it is', () => {
  fc.assert(
    fc.property(peer, lane, sequence, (to, of, at) =>
      assert.deepEqual(parseOutboxKey(outboxKey(to, of, at)), { peer: to, lane: of, sequence: at }),
    ),
  )
  for (const key of ['o/a', 'o//00/00000000001', 's/a', 'o/a/0/00000000001', 'o/a/00/1'])
    assert.equal(parseOutboxKey(key), undefined, key)
})

test('keys of a lane are in the order of their numbers', () => {
  fc.assert(
    fc.property(sequence, sequence, (one, other) => {
      const [a, b] = [outboxKey('a', 1, one), outboxKey('a', 1, other)]
      assert.equal(a < b, one < other)
    }),
  )
  assert.equal(padded(35, 2), '0z')
})

const counts = fc.array(fc.tuple(lane, fc.nat({ max: 2 ** 50 })), { maxLength: 5 }).map((all) => new Map(all))
const policy = fc.record({
  maxRetries: fc.nat({ max: 1_000 }),
  initialDelayMs: fc.integer({ min: 1, max: 86_400_000 }),
  maxDelayMs: fc.integer({ min: 1, max: 86_400_000 }),
})

test('a message of the outbox is read as it was written, and is as the schema says', () => {
  const schema = deliveryType('OutboxRow')
  const expiresAt = fc.option(fc.integer({ min: 1, max: 2 ** 50 }), { nil: undefined })
  const bound = fc.option(
    fc.record({ capability: fc.string({ minLength: 1, maxLength: 64 }), mayRebind: fc.boolean() }),
    { nil: undefined },
  )
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 50 }),
      policy,
      expiresAt,
      bound,
      (message, retry, until, to) => {
        const bytes = encodeOutboxRow(message, retry, until, to)
        const read = decodeOutboxRow(bytes)
        assert.deepEqual(
          { ...read, message: [...(read.message ?? [])] },
          {
            message: [...message],
            policy: { ...retry },
            expiresAt: until,
            capability: to?.capability,
            mayRebind: to?.mayRebind === true,
          },
        )
        same(schema, bytes)
      },
    ),
  )
})

test('the row of a destination is read as it was written, and is as the schema says', () => {
  const schema = deliveryType('Destination')
  const epoch = fc.stringMatching(/^[0-9a-f]{32}$/)
  fc.assert(
    fc.property(epoch, counts, fc.option(counts, { nil: undefined }), (id, next, frontier) => {
      const bytes = encodePeerSenderRow({ epoch: id, next, frontier })
      assert.deepEqual(decodePeerSenderRow(bytes), { epoch: id, next, frontier })
      same(schema, bytes)
    }),
  )
})

test('bytes that are cut off, changed or random are read or refused as malformed', () => {
  const kinds = fc.constantFrom('cut' as const, 'flip' as const, 'add' as const)
  fc.assert(
    fc.property(counts, policy, fc.nat(), fc.nat({ max: 255 }), kinds, (next, retry, at, by, kind) => {
      refuses(decodePeerSenderRow, broken(encodePeerSenderRow({ epoch: 'e', next, frontier: next }), at, by, kind))
      refuses(decodeOutboxRow, broken(encodeOutboxRow(new Uint8Array(20), retry, 5), at, by, kind))
    }),
    { numRuns: 500 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      refuses(decodePeerSenderRow, bytes)
      refuses(decodeOutboxRow, bytes)
    }),
  )
})
