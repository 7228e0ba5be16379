/** Which numbers were processed: as a set of numbers, in few bytes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type AckRanges,
  isDone,
  LANE_SPAN,
  MAX_REPLACED,
  markDone,
  newAckRanges,
  raiseBase,
} from '../../../protocols/delivery/ack-ranges.ts'
import { decodeSender, encodeSender, type SenderRow } from '../../../protocols/delivery/store/delivery-rows.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import { ProtobufWriter } from '../../../protocols/wire/frames/protobuf.ts'
import { deliveryType, same } from './schema.ts'

const sequence = fc.integer({ min: 1, max: 40 })

test('a position is the set of the numbers that were marked, whatever their order', () => {
  const steps = fc.array(fc.record({ isBase: fc.boolean(), at: sequence }), { maxLength: 60, size: 'max' })
  fc.assert(
    fc.property(steps, (all) => {
      const position = newAckRanges()
      const model = new Set<number>()
      for (const { isBase, at } of all) {
        if (isBase) {
          const below = Array.from({ length: at - 1 }, (_, i) => i + 1)
          const unknown = below.filter((one) => !model.has(one))
          assert.equal(raiseBase(position, at), unknown.length)
          for (const one of below) model.add(one)
        } else {
          markDone(position, at)
          model.add(at)
        }
        for (let one = 1; one <= 45; one += 1) assert.equal(isDone(position, one), model.has(one), `${one}`)
        assert.ok(!isDone({ ...position, upTo: 0 }, position.upTo + 1), 'what follows without a gap is not kept singly')
        assert.equal(position.upTo + position.done.size, model.size)
      }
    }),
  )
})

test('a base that is far away takes no time', () => {
  const position: AckRanges = { upTo: 3, done: new Set([5, 7]) }
  assert.equal(raiseBase(position, Number.MAX_SAFE_INTEGER), Number.MAX_SAFE_INTEGER - 1 - 5)
  assert.equal(position.upTo, Number.MAX_SAFE_INTEGER - 1)
  assert.equal(position.done.size, 0)
})

const epoch = fc.stringMatching(/^[0-9a-f]{32}$/)
const count = fc.integer({ min: 0, max: 2 ** 50 })
const lanes = fc
  .array(fc.tuple(fc.nat({ max: 63 }), count, fc.uniqueArray(fc.integer({ min: 1, max: 2 ** 50 }), { maxLength: 8 })), {
    maxLength: 6,
  })
  .map((all) => new Map(all.map(([lane, upTo, done]) => [lane, { upTo, done: new Set(done) }])))
const row: fc.Arbitrary<SenderRow> = fc.record({
  epoch,
  replaced: fc.array(epoch, { maxLength: MAX_REPLACED }),
  lastSeenAt: count,
  lanes,
  former: fc.option(fc.record({ epoch, lanes }, { noNullPrototype: true }), { nil: undefined }),
})

test('the row of a sender is read as it was written, and is as the schema says', () => {
  const schema = deliveryType('Sender')
  fc.assert(
    fc.property(row, (one) => {
      const bytes = encodeSender(one)
      const { former, ...rest } = decodeSender(bytes)
      assert.deepEqual(rest, { epoch: one.epoch, replaced: one.replaced, lastSeenAt: one.lastSeenAt, lanes: one.lanes })
      assert.deepEqual(former && { epoch: former.epoch, lanes: former.lanes }, one.former)
      same(schema, bytes)
    }),
  )
})

test('as many numbers as a lane spans are read, and one more is refused', () => {
  const rowOf = (size: number): Uint8Array => {
    const done = new Set(Array.from({ length: size }, (_, i) => i + 2))
    return encodeSender({
      epoch: 'a',
      replaced: [],
      lastSeenAt: 0,
      lanes: new Map([[0, { upTo: 0, done }]]),
      former: undefined,
    })
  }
  assert.equal(decodeSender(rowOf(LANE_SPAN)).lanes.get(0)?.done.size, LANE_SPAN)
  assert.throws(
    () => decodeSender(rowOf(LANE_SPAN + 1)),
    (error) => isParleyError(error, 'MSG003'),
  )
})

test('outboxes that were replaced are kept up to a bound, newest first', () => {
  const replaced = Array.from({ length: MAX_REPLACED + 3 }, (_, i) => `${i}`)
  const bytes = encodeSender({ epoch: 'a', replaced, lastSeenAt: 0, lanes: new Map(), former: undefined })
  assert.deepEqual(decodeSender(bytes).replaced, replaced.slice(0, MAX_REPLACED))
})

test('rows in rows without end are not followed', () => {
  let inner: Uint8Array = new Uint8Array()
  for (let depth = 0; depth < 2_000; depth += 1) {
    const writer = new ProtobufWriter(inner.length + 32)
    writer.delimited(5, inner)
    inner = writer.finish()
  }
  assert.deepEqual(decodeSender(inner).former?.lanes, new Map())
})
