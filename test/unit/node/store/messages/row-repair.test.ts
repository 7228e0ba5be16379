/** Repair of a row store: what is good is kept under another id, what was bad is told, and nothing is thrown away. */
import assert from 'node:assert/strict'
import { readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { openLevelDb } from '../../../../../node/store/messages/level-db.ts'
import { repairRows } from '../../../../../node/store/messages/row-repair.ts'
import { openRowStore } from '../../../../../node/store/messages/row-store.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'
import { testFolder } from '../../../../support/folder.ts'
import { failureOf } from '../../../../support/until.ts'
import { contents, copyOf, deps, filled, flip, put, reread } from './row-stores.ts'

const { random } = deps()

/** Puts bytes in the place of rows, past the store, and opens it again so that they are in a table. */
const spoil = async (folder: string, keys: readonly string[]): Promise<void> => {
  const level = await openLevelDb(join(folder, 'db'), { create: false })
  for (const key of keys) await level.put(key, new Uint8Array(9))
  await level.close()
}

test('a store that is whole is left as it is', async (t) => {
  const folder = await testFolder(t)
  await filled(folder, 5)
  const before = await reread(folder)
  const done = await repairRows(folder, random)
  assert.deepEqual([done.aside, done.badRows], [[], 0])
  assert.deepEqual(await reread(folder), before)
})

test('rows that are bad are dropped and told by key; the rest is another store, and the old files are put aside', async (t) => {
  const folder = await testFolder(t)
  const rows = await filled(folder, 20)
  const before = await openRowStore(folder, deps())
  await before.close()
  await spoil(folder, ['out/000003', 'out/000011'])
  const done = await repairRows(folder, random)
  assert.deepEqual(done.badKeys, ['out/000003', 'out/000011'])
  assert.deepEqual([done.badRows, done.vanished, done.lostGroups], [2, 0, 0])
  assert.deepEqual(done.aside, ['db.damaged', 'mark.damaged'])
  assert.equal(done.after.problem, undefined)
  const { 'out/000003': _, 'out/000011': __, ...left } = rows
  const after = await openRowStore(folder, deps())
  assert.deepEqual(await contents(after), left)
  assert.notEqual(after.id, before.id)
  assert.deepEqual(after.formerIds, [before.id])
  await after.commit([put('new', '1')])
  await after.close()
  assert.equal((await reread(folder)).rows.new, '1')
  assert.deepEqual((await repairRows(folder, random)).aside, [])
  await spoil(folder, ['new'])
  assert.deepEqual((await repairRows(folder, random)).aside, ['db.damaged.2', 'mark.damaged.2'])
})

test('groups that were answered and are cut off are told, since their rows are counted nowhere', async (t) => {
  const folder = await testFolder(t)
  const store = await openRowStore(folder, deps())
  for (let i = 0; i < 10; i += 1) await store.commit([put(`out/${i}`, 'x'.repeat(100))])
  await store.close()
  const db = join(folder, 'db')
  const log = join(db, (await readdir(db)).find((name) => name.endsWith('.log')) ?? '')
  await truncate(log, Math.floor((await stat(log)).size / 2))
  const done = await repairRows(folder, random)
  const { rows } = await reread(folder)
  const kept = Object.keys(rows).length
  assert.ok(kept > 0 && kept < 10, `${kept} rows`)
  assert.deepEqual([done.vanished, done.lostGroups], [0, 10 - kept])
})

test('whatever bytes flip in any of its files, it is repaired, and all rows that are left are ones that were written', {
  timeout: 120_000,
}, async (t) => {
  const folder = await testFolder(t)
  const rows = await filled(join(folder, 'store'), 300, 2_000)
  const store = await openRowStore(join(folder, 'store'), deps())
  for (let i = 0; i < 50; i += 1) {
    rows[`in/${i}`] = `${i}.`.padEnd(1_000, '+')
    await store.commit([put(`in/${i}`, `${i}.`.padEnd(1_000, '+'))])
  }
  await store.close()
  const { id } = store
  const names = (await readdir(join(folder, 'store', 'db'))).filter((name) => !/^LO/.test(name))
  let [runs, kept] = [0, 0]
  const byte = fc.tuple(fc.nat(names.length), fc.nat(999_999), fc.integer({ min: 1, max: 255 }))
  await fc.assert(
    fc.asyncProperty(fc.array(byte, { minLength: 1, maxLength: 4 }), async (flips) => {
      runs += 1
      const copy = await copyOf(join(folder, 'store'), join(folder, `copy-${runs}`))
      for (const [which, at, mask] of flips) {
        const file = which === names.length ? join(copy, 'mark') : join(copy, 'db', names[which] ?? '')
        const { length } = await readFile(file)
        await flip(file, Math.floor((at / 1_000_000) * length), mask)
      }
      const { before, after, aside } = await repairRows(copy, random)
      assert.equal(after.problem, undefined)
      assert.equal(aside.length > 0, before.problem !== undefined)
      const left = await reread(copy)
      for (const [key, value] of Object.entries(left.rows)) assert.equal(rows[key], value)
      if (aside.length === 0) assert.deepEqual(left, { id, rows })
      else assert.notEqual(left.id, id)
      kept += Object.keys(left.rows).length
      await rm(copy, { recursive: true, force: true })
    }),
    { numRuns: 40 },
  )
  t.diagnostic(`${Math.round(kept / runs)} of ${Object.keys(rows).length} rows kept on average`)
})

test('a zero byte anywhere in the name of the list of files is damage, and is repaired', async (t) => {
  const folder = await testFolder(t)
  const rows = await filled(join(folder, 'store'), 5)
  const name = await readFile(join(folder, 'store', 'db', 'CURRENT'))
  for (const at of name.keys()) {
    const copy = await copyOf(join(folder, 'store'), join(folder, `copy-${at}`))
    await writeFile(join(copy, 'db', 'CURRENT'), name.with(at, 0))
    const error = await failureOf(openRowStore(copy, deps()))
    assert.ok(isParleyError(error, 'STA003') && error.details.reason === 'damaged', `byte ${at}: ${error}`)
    assert.equal((await repairRows(copy, random)).after.problem, undefined)
    assert.deepEqual((await reread(copy)).rows, rows)
  }
})

test('with LevelDB or the mark gone there is a store again, with what there was', async (t) => {
  const folder = await testFolder(t)
  const rows = await filled(join(folder, 'one'), 8)
  const { id } = await reread(join(folder, 'one'))
  await rm(join(folder, 'one', 'mark'))
  assert.deepEqual((await repairRows(join(folder, 'one'), random)).aside, ['db.damaged'])
  const one = await openRowStore(join(folder, 'one'), deps())
  assert.deepEqual(await contents(one), rows)
  assert.deepEqual(one.formerIds, [id])
  await one.close()
  await rm(join(folder, 'one', 'db'), { recursive: true })
  const done = await repairRows(join(folder, 'one'), random)
  assert.deepEqual(done.aside, ['mark.damaged'])
  const none = await openRowStore(join(folder, 'one'), deps())
  assert.deepEqual(await contents(none), {})
  assert.deepEqual(none.formerIds, [one.id])
  await none.close()
})

test('a repair that a crash cut off between the two renames is finished', async (t) => {
  const folder = await testFolder(t)
  const rows = await filled(folder, 8)
  const { id } = await reread(folder)
  await spoil(folder, ['out/000001'])
  await repairRows(folder, random)
  await rename(join(folder, 'db'), join(folder, 'mended'))
  await rm(join(folder, 'mark'))
  await rename(join(folder, 'mark.damaged'), join(folder, 'mark'))
  const error = await failureOf(openRowStore(folder, deps()))
  assert.ok(isParleyError(error, 'STA003') && error.details.reason === 'damaged', String(error))
  const done = await repairRows(folder, random)
  assert.equal(done.after.problem, undefined)
  const left = await reread(folder)
  assert.deepEqual(Object.keys(left.rows).length, Object.keys(rows).length - 1)
  assert.notEqual(left.id, id)
})
