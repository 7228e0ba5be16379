/** Rows of a collection in their order, while others are put: each once, none passed over. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ChangedRows, listRows } from '../../../../protocols/journal/state/changed-rows.ts'
import { rowKey, SharedRows } from '../../../../protocols/journal/state/collection-rows.ts'
import { savedRows } from '../../../support/saved-rows.ts'

const ID = '1.0'
const ENCODER = new TextEncoder()
const key = fc.nat(40).map((n) => `k${String(n).padStart(2, '0')}`)
const saved = fc.dictionary(key, fc.nat(9), { maxKeys: 30, noNullPrototype: true })
const changes = fc.array(fc.tuple(key, fc.option(fc.nat(9), { nil: undefined })), { maxLength: 30 })
const textOf = (value: number | undefined): string | undefined => (value === undefined ? undefined : String(value))

/** @param before what is done before each saved row is read */
const shared = (rows: Record<string, number>, before: () => void = () => {}): SharedRows => {
  const all = savedRows(new Map(Object.entries(rows).map(([k, v]) => [rowKey(ID, k), ENCODER.encode(String(v))])))
  return new SharedRows({
    ...all,
    async *rows(prefix, after) {
      for await (const row of all.rows(prefix, after)) {
        before()
        yield row
      }
    },
  })
}

test('pages together are what the snapshot has with all that has changed since, the newest of it', async () => {
  await fc.assert(
    fc.asyncProperty(saved, changes, changes, fc.integer({ min: 1, max: 9 }), async (rows, older, newer, most) => {
      const changed = [new ChangedRows(), new ChangedRows()]
      for (const [i, of] of [newer, older].entries()) for (const [k, v] of of) changed[i]?.set(k, textOf(v))
      const expected = new Map<string, number | undefined>(Object.entries(rows))
      for (const [k, v] of [...older, ...newer]) expected.set(k, v)
      const found: [string, unknown][] = []
      for (;;) {
        const after = found.at(-1)?.[0] ?? ''
        const page = await listRows({ id: ID, changed, saved: shared(rows), after, most, mostBytes: 1_000 })
        assert.ok(page.length <= most)
        if (page.length === 0) break
        for (const { key: k, value } of page) found.push([k, value])
      }
      const sorted = [...expected].filter(([, v]) => v !== undefined).sort(([a], [b]) => (a < b ? -1 : 1))
      assert.deepEqual(found, sorted)
    }),
    { numRuns: 300 },
  )
})

test('what is put while the snapshot is read hides no row, and doubles none', async () => {
  await fc.assert(
    fc.asyncProperty(saved, changes, changes, async (rows, before, meanwhile) => {
      const changed = new ChangedRows(before.map(([k, v]) => [k, textOf(v)]))
      const began = new Map<string, number | undefined>(Object.entries(rows))
      for (const [k, v] of before) began.set(k, v)
      const may = new Map<string, Set<number | undefined>>()
      for (const [k, v] of [...began, ...meanwhile]) may.set(k, (may.get(k) ?? new Set([began.get(k)])).add(v))
      const left = [...meanwhile]
      const put = (): void => {
        const [next] = left.splice(0, 1)
        if (next !== undefined) changed.set(next[0], textOf(next[1]))
      }
      const found = await listRows({
        ...{ id: ID, changed: [changed], saved: shared(rows, put), after: '', most: 100, mostBytes: 10_000 },
      })
      const keys = found.map((row) => row.key)
      assert.deepEqual(keys, [...new Set(keys)].sort(), 'in order, each once')
      for (const { key: k, value } of found) assert.ok(may.get(k)?.has(Number(value)), `${k} was never ${value}`)
      for (const [k, values] of may)
        if (!values.has(undefined)) assert.ok(keys.includes(k), `${k} was there all the time`)
    }),
    { numRuns: 500 },
  )
})

test('many rows are put in their order some at a time, with those that come meanwhile', () => {
  const rows = new ChangedRows(Array.from({ length: 10_000 }, (_, i) => [`k${(i * 7_919) % 10_000}`, '1'] as const))
  let turns = 1
  for (; rows.sort(); turns += 1) if (turns === 2) rows.set('m', '1')
  assert.equal(turns, 5, 'turns')
  assert.equal(rows.nextKey('k9999'), 'm')
  assert.equal(rows.nextKey('m'), undefined)
  rows.set('n', '2').set('k5', undefined)
  assert.equal(rows.nextKey('m'), 'n', 'also after all had their place')
  assert.equal(rows.nextKey('k4999'), 'k5', 'one that is gone has its place')
})
