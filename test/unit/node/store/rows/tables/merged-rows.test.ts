import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MergedRows, type RowSource } from '../../../../../../node/store/rows/tables/merged-rows.ts'

/** Rows in blocks: what follows the last one of a block is known once it was loaded. */
class Blocks implements RowSource {
  key: string | undefined
  value: Uint8Array | undefined
  readonly #blocks: string[][]
  #block: string[] = []
  readonly #mark: number

  constructor(keys: readonly string[], size: number, mark: number) {
    const sorted = [...new Set(keys)].sort()
    this.#blocks = Array.from({ length: Math.ceil(sorted.length / size) }, (_, i) =>
      sorted.slice(i * size, i * size + size),
    )
    this.#mark = mark
  }

  advance(): void {
    this.key = this.#block.shift()
    this.value = this.key === undefined ? undefined : Uint8Array.of(this.#mark)
  }

  async load(): Promise<boolean> {
    const block = this.#blocks.shift()
    if (block === undefined) return false
    this.#block = [...block]
    this.advance()
    return true
  }

  /** As a merge does that keeps a table as it is. */
  skipBlock(): void {
    this.#block = []
    this.advance()
  }

  get rest(): readonly string[] {
    return this.key === undefined ? [] : [this.key, ...this.#block]
  }
}

const key = fc.integer({ min: 0, max: 40 }).map((n) => `k${String(n).padStart(2, '0')}`)
const sources = fc.array(fc.tuple(fc.array(key, { maxLength: 30 }), fc.integer({ min: 1, max: 5 })), { maxLength: 9 })

test('rows come in the order of their keys, and of one key the newest', async () => {
  await fc.assert(
    fc.asyncProperty(sources, async (given) => {
      const newest = new Map<string, number>()
      for (const [i, [keys]] of given.entries()) for (const one of keys) if (!newest.has(one)) newest.set(one, i)
      const rows = new MergedRows(given.map(([keys, size], i) => new Blocks(keys, size, i)))
      const found: [string, number | undefined][] = []
      while (await rows.load()) {
        for (let row = rows.next(); row !== undefined; row = rows.next()) found.push([row.key, row.value?.[0]])
      }
      const expected = [...newest].sort(([a], [b]) => (a < b ? -1 : 1))
      assert.deepEqual(found, expected)
    }),
    { numRuns: 500 },
  )
})

test('a source may be moved on by others between two loads, as long as it is alone', async () => {
  await fc.assert(
    fc.asyncProperty(sources, async (given) => {
      const blocks = given.map(([keys, size], i) => new Blocks(keys, size, i))
      const rows = new MergedRows(blocks)
      const found: string[] = []
      let turns = 0
      while (await rows.load()) {
        assert.ok(turns++ < 1_000, 'it goes on for ever')
        const alone = blocks.find((one) => one.key !== undefined && rows.isAlone(one, one.rest.at(-1) ?? ''))
        if (alone !== undefined) {
          found.push(...alone.rest)
          alone.skipBlock()
          continue
        }
        for (let row = rows.next(); row !== undefined; row = rows.next()) found.push(row.key)
      }
      assert.deepEqual(found, [...new Set(given.flatMap(([keys]) => keys))].sort())
    }),
    { numRuns: 500 },
  )
})

test('without a source there is nothing', async () => {
  const rows = new MergedRows([])
  assert.equal(rows.next(), undefined)
  assert.equal(await rows.load(), false)
})
