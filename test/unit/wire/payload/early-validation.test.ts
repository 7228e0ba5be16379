/** Faults of large values: found in the first piece that has any, and the same verdict as the schema's. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import * as z from 'zod'
import { isParleyError } from '../../../../protocols/errors.ts'
import { findEarlyIssues, PIECE_ELEMENTS } from '../../../../protocols/wire/payload/early-validation.ts'
import { validate } from '../../../../protocols/wire/payload/payload.ts'

const Rows = z.object({
  rows: z.array(z.object({ id: z.number(), tags: z.array(z.string()).optional() })).min(1),
  names: z.record(z.string(), z.string()).optional(),
})

describe('early faults', () => {
  it('are few where a million elements are of the wrong kind, and name the first', () => {
    for (const value of [
      { rows: Array(500_000).fill(1) },
      { rows: [{ id: 1, tags: Array(500_000).fill(1) }] },
      { rows: [{ id: 1 }], names: Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`n${i}`, i])) },
    ]) {
      assert.ok(findEarlyIssues(Rows, value).length <= PIECE_ELEMENTS)
      assert.throws(
        () => validate(Rows, value, 'rows', 4_000_000),
        (error) => isParleyError(error, 'MSG001') && /rows\.0: |rows\.0\.tags\.0: |names\.n0: /.test(error.message),
      )
    }
  })

  it('are found in the last of many elements as well, with its place', () => {
    const rows = [...Array.from({ length: 3 * PIECE_ELEMENTS }, (_, id) => ({ id })), { id: 'x' }]
    const [issue] = findEarlyIssues(Rows, { rows })
    assert.deepEqual(issue?.path, ['rows', 3 * PIECE_ELEMENTS, 'id'])
  })

  it("are none where the schema finds none, whatever the value; and what it finds is one of the schema's", () => {
    const row = fc.oneof(
      { weight: 300, arbitrary: fc.record({ id: fc.integer() }) },
      { weight: 1, arbitrary: fc.record({ id: fc.string() }) },
    )
    fc.assert(
      fc.property(fc.array(row, { maxLength: 40 }), fc.integer({ min: 0, max: 40 }), (some, times) => {
        const value = { rows: Array.from({ length: times }, () => some).flat() }
        const all = Rows.safeParse(value)
        const early = findEarlyIssues(Rows, value)
        if (all.success) assert.deepEqual(early, [])
        const told = new Set(all.error?.issues.map(({ path }) => path.join('.')))
        for (const { path } of early) assert.ok(told.has(path.join('.')), path.join('.'))
      }),
    )
  })
})
