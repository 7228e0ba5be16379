/** What the commands do that every journal knows, and in which order fences are. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isParleyError } from '../../../../protocols/errors.ts'
import { compareFences, type Fence, NO_FENCE } from '../../../../protocols/journal/fencing/fence.ts'
import {
  BUILT_IN_KINDS,
  beginEpoch,
  deleteRecord,
  EPOCHS_PREFIX,
  EpochSchema,
  FEATURE_LEVEL_KEY,
  featureLevelOf,
  JsonSchema,
  putRecord,
  raiseLevel,
} from '../../../../protocols/journal/state/built-in-kinds.ts'
import type { AnyCommandKind, CommandKind } from '../../../../protocols/journal/state/command-kind.ts'
import { JournalRecords } from '../../../../protocols/journal/state/journal-records.ts'
import { MAX_JSON_DEPTH } from '../../../../protocols/journal/state/json-value.ts'

const create = () => {
  const records = new JournalRecords()
  let index = 0
  return {
    records,
    /** @returns its answer, or the code of its error with its reason */
    run<I, O>(kind: CommandKind<I, O>, input: I, term = 1): O | string {
      index += 1
      const fence = { term, index }
      try {
        return records.transact(fence, index, (tx) => kind.apply(tx, input, { fence, at: 1_000 + index, by: 'peer' }))
      } catch (error) {
        if (!isParleyError(error)) throw error
        return [error.code, error.details.reason].filter((one) => one !== undefined).join(' ')
      }
    },
  }
}

test('a record is put and deleted only at the version that is wanted', () => {
  const { run, records } = create()
  assert.equal(run(putRecord, { key: 'a', value: 1, ifVersion: 0 }), null)
  assert.equal(run(putRecord, { key: 'a', value: 2, ifVersion: 0 }), 'STA003 version')
  assert.equal(run(putRecord, { key: 'a', value: 2, ifVersion: 1 }), null)
  assert.equal(records.get('a')?.version, 3)
  assert.equal(run(deleteRecord, { key: 'a', ifVersion: 1 }), 'STA003 version')
  assert.deepEqual(run(deleteRecord, { key: 'a', ifVersion: 3 }), { existed: true })
  assert.equal(run(putRecord, { key: 'a', value: 2, ifVersion: 3 }), 'STA003 version', 'a version does not come back')
  assert.deepEqual(run(deleteRecord, { key: 'a', ifVersion: 0 }), { existed: false })
  assert.deepEqual(run(deleteRecord, { key: 'a' }), { existed: false })
})

test('the error of a wrong version says which one it is', () => {
  const { run, records } = create()
  run(putRecord, { key: 'a', value: 1 })
  const act = () =>
    records.transact({ term: 1, index: 9 }, 9, (tx) =>
      putRecord.apply(tx, { key: 'a', value: 2, ifVersion: 7 }, { fence: { term: 1, index: 9 }, at: 9, by: 'peer' }),
    )
  assert.throws(act, (error) => isParleyError(error, 'STA003') && error.details.version === 1)
})

test("programs do not write the mesh's own records", () => {
  const { run, records } = create()
  assert.equal(run(putRecord, { key: FEATURE_LEVEL_KEY, value: 9 }), 'SEC002')
  run(raiseLevel, { level: 2 })
  assert.equal(run(deleteRecord, { key: FEATURE_LEVEL_KEY }), 'SEC002')
  assert.equal(records.get(FEATURE_LEVEL_KEY)?.value, 2)
})

test('the history holds the last 256 epochs, in their order', () => {
  const { run, records } = create()
  const terms = [...Array.from({ length: 300 }, (_, i) => i + 1), 999, 1_000, 10_000]
  for (const term of terms) run(beginEpoch, { leader: `p${term}`, name: 'n' }, term)
  const kept = records.list(EPOCHS_PREFIX, '', 1_000, 1_000_000).map(({ value }) => EpochSchema.parse(value))
  assert.deepEqual(
    kept.map(({ epoch }) => epoch),
    terms.slice(-256),
  )
  assert.deepEqual(kept.at(-1), { epoch: 10_000, leader: 'p10000', name: 'n', at: 1_303 })
  run(beginEpoch, { leader: 'again', name: 'n' }, 10_000)
  assert.equal(records.list(EPOCHS_PREFIX, '', 1_000, 1_000_000).length, 256, 'one entry for each epoch')
})

test('the level only rises', () => {
  const { run, records } = create()
  const level = (): number => featureLevelOf(records.get(FEATURE_LEVEL_KEY)?.value)
  assert.equal(level(), 1)
  assert.deepEqual(run(raiseLevel, { level: 3 }), { level: 3 })
  assert.deepEqual(run(raiseLevel, { level: 2 }), { level: 3 })
  assert.equal(level(), 3)
  const { version } = records.get(FEATURE_LEVEL_KEY) ?? {}
  run(raiseLevel, { level: 3 })
  assert.equal(records.get(FEATURE_LEVEL_KEY)?.version, version, 'what is so already is not written again')
})

test('input is checked where it enters: keys, versions, values that are no JSON or too deep', () => {
  const isTaken = (kind: AnyCommandKind, input: unknown): boolean => kind.input.safeParse(input).success
  assert.ok(isTaken(putRecord as AnyCommandKind, { key: 'k'.repeat(256), value: null }))
  for (const key of ['', 'k'.repeat(257), 7]) assert.ok(!isTaken(putRecord as AnyCommandKind, { key, value: null }))
  for (const ifVersion of [-1, 0.5, '1'])
    assert.ok(!isTaken(putRecord as AnyCommandKind, { key: 'k', value: 1, ifVersion }))
  const nested = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth))
  const good = [null, 0, 'x', true, [], {}, { a: [1, { b: null }] }, { a: undefined }, nested(MAX_JSON_DEPTH)]
  for (const value of good) assert.ok(JsonSchema.safeParse(value).success, JSON.stringify(value))
  const bad = [
    undefined,
    Number.NaN,
    -Infinity,
    1n,
    Symbol('x'),
    () => 1,
    new Date(),
    new Map(),
    [undefined],
    new Array(1),
  ]
  for (const value of [...bad, nested(MAX_JSON_DEPTH + 1), nested(50_000), { a: new Set() }])
    assert.ok(!JsonSchema.safeParse(value).success, typeof value)
  assert.equal(new Set(BUILT_IN_KINDS.map(({ name }) => name)).size, BUILT_IN_KINDS.length)
})

test('a fence of a later term is higher, and within a term that of a later entry', () => {
  const fence = fc.record({ term: fc.nat(3), index: fc.nat(3) })
  fc.assert(
    fc.property(fence, fence, fence, (a, b, c) => {
      const sign = (x: Fence, y: Fence): number => Math.sign(compareFences(x, y))
      assert.equal(sign(a, b) + sign(b, a), 0)
      assert.equal(sign(a, b) === 0, a.term === b.term && a.index === b.index)
      if (sign(a, b) <= 0 && sign(b, c) <= 0) assert.ok(sign(a, c) <= 0)
      assert.ok(compareFences(NO_FENCE, a) <= 0)
    }),
  )
  assert.ok(compareFences({ term: 2, index: 1 }, { term: 1, index: 9 }) > 0)
})
