import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { inBatches, MAX_BATCH_BYTES, MAX_BATCH_RECORDS } from '../../../../discovery/directory/protocol.ts'

const item = (bytes: number) => ({ bytes: new Uint8Array(bytes), signature: new Uint8Array(0), ageMs: 0 })

test('records are cut into messages in their order, none above the bounds, none without need', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 65_536 }), { maxLength: 40 }), (sizes) => {
      const items = sizes.map(item)
      const batches = inBatches(items)
      assert.deepEqual(batches.flat(), items)
      const totals = batches.map((batch) => batch.reduce((sum, { bytes }) => sum + bytes.length, 0))
      assert.ok(totals.every((total) => total <= MAX_BATCH_BYTES))
      batches.slice(1).forEach((batch, n) => {
        assert.ok((totals[n] ?? 0) + (batch[0]?.bytes.length ?? 0) > MAX_BATCH_BYTES)
      })
    }),
    { numRuns: 50 },
  )
})

test('a message takes as many small records as its bound says, and the next one starts another', () => {
  const counts = (n: number) => inBatches(Array.from({ length: n }, () => item(1))).map((batch) => batch.length)
  assert.deepEqual(counts(MAX_BATCH_RECORDS), [MAX_BATCH_RECORDS])
  assert.deepEqual(counts(MAX_BATCH_RECORDS + 1), [MAX_BATCH_RECORDS, 1])
  assert.deepEqual(counts(0), [])
})
