/** Tables that LevelDB wrote: any changed byte is found, and what is kept of a damaged one is what LevelDB reads again. */
import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ClassicLevel } from 'classic-level'
import fc from 'fast-check'
import { openLevelDb } from '../../../../../node/store/messages/level-db.ts'
import { isWholeTable, salvageTable } from '../../../../../node/store/messages/level-table.ts'
import { testFolder } from '../../../../support/folder.ts'
import { bytes, text } from './row-stores.ts'

const textOf = (i: number): string => `${i} `.padEnd(i % 50 === 0 ? 20_000 : 300, '.')
const keyOf = (i: number): string => `key/${String(i).padStart(5, '0')}`
const ROWS = 500

/** A table of 500 rows, some of them larger than a block. */
const makeTable = async (t: TestContext): Promise<{ folder: string; table: Uint8Array }> => {
  const folder = await testFolder(t)
  const level = await openLevelDb(join(folder, 'level'), { create: true })
  for (let i = 0; i < ROWS; i += 1) await level.put(keyOf(i), bytes(textOf(i)))
  await level.compactRange('', '~')
  await level.close()
  const [name = '', ...more] = (await readdir(join(folder, 'level'))).filter((one) => one.endsWith('.ldb'))
  assert.deepEqual(more, [])
  return { folder, table: new Uint8Array(await readFile(join(folder, 'level', name))) }
}

/** The numbers of the rows that LevelDB finds in such a table. */
const rowsIn = async (folder: string, table: Uint8Array): Promise<number[]> => {
  await mkdir(folder)
  await writeFile(join(folder, '000005.ldb'), table)
  await ClassicLevel.repair(folder)
  const level = await openLevelDb(folder, { create: false })
  const found: number[] = []
  for await (const [key, value] of level.iterator()) {
    const i = Number(key.slice(4))
    assert.ok(key === keyOf(i) && text(value) === textOf(i), `a row ${key}`)
    assert.ok(text(await level.get(key)) === textOf(i), `the row ${key}`)
    found.push(i)
  }
  await level.close()
  return found
}

test('a table is whole as LevelDB wrote it, and not with any of its bytes changed or cut off', async (t) => {
  const { table } = await makeTable(t)
  assert.equal(isWholeTable(table), true)
  fc.assert(
    fc.property(fc.nat(table.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
      const changed = table.slice()
      changed[at] = (changed[at] ?? 0) ^ mask
      assert.equal(isWholeTable(changed), false)
      assert.equal(isWholeTable(table.subarray(0, at)), false)
    }),
    { numRuns: 300 },
  )
  // Where the index, the filter and the footer are.
  for (let at = table.length - 3_000; at < table.length; at += 1) {
    const changed = table.slice()
    changed[at] = (changed[at] ?? 0) ^ 0x10
    assert.equal(isWholeTable(changed), false, `byte ${at} of ${table.length}`)
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (any) => assert.equal(isWholeTable(any), false)))
})

test('of a table with one changed byte all is kept but the rows of that block, and of the rows nothing else is made', async (t) => {
  const { folder, table } = await makeTable(t)
  assert.equal((await rowsIn(join(folder, 'same'), salvageTable(table) ?? table)).length, ROWS)
  let runs = 0
  await fc.assert(
    fc.asyncProperty(fc.nat(table.length - 1), fc.integer({ min: 1, max: 255 }), async (at, mask) => {
      runs += 1
      const changed = table.slice()
      changed[at] = (changed[at] ?? 0) ^ mask
      const kept = salvageTable(changed)
      assert.ok(kept !== undefined && isWholeTable(kept))
      const found = await rowsIn(join(folder, String(runs)), kept)
      // A block has 4 KiB, or one large row and what was before it.
      assert.ok(found.length >= ROWS - 20, `${ROWS - found.length} lost`)
    }),
    { numRuns: 30 },
  )
})

test('of a table without its index the blocks before the first damage are kept', async (t) => {
  const { folder, table } = await makeTable(t)
  const cut = table.subarray(0, Math.floor(table.length / 2))
  const found = await rowsIn(join(folder, 'cut'), salvageTable(cut) ?? table)
  assert.ok(found.length > ROWS / 3 && found.length < ROWS)
  assert.deepEqual(
    found,
    found.map((_, i) => i),
  )
  assert.equal(salvageTable(new Uint8Array()), undefined)
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (any) => assert.equal(salvageTable(any), undefined)))
})
