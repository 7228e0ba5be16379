/** A row store whose files were changed behind its back: it is found when it is opened, or no row is the worse for it. */
import assert from 'node:assert/strict'
import { cp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { openLevelDb } from '../../../../../node/store/messages/level-db.ts'
import { encodeSums, SUMS_KEY, sealRow } from '../../../../../node/store/messages/row-codec.ts'
import { openRowStore } from '../../../../../node/store/messages/row-store.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'
import { testFolder } from '../../../../support/folder.ts'
import { failureOf } from '../../../../support/until.ts'
import { copyOf, deps, filled, flip, put, reread } from './row-stores.ts'

const picture = async (folder: string): Promise<Record<string, string>> => {
  const files: Record<string, string> = {}
  for (const name of (await readdir(folder)).sort())
    files[name] = (await readFile(join(folder, name))).toString('base64')
  return files
}

/** That it is not opened, says what helps, and nothing in the folder was changed. */
const refused = async (folder: string): Promise<string> => {
  const db = join(folder, 'db')
  const before = await picture(db).catch(() => undefined)
  const error = await failureOf(openRowStore(folder, deps()))
  assert.ok(isParleyError(error, 'STA003'), String(error))
  assert.equal(error.details.reason, 'damaged', error.message)
  assert.match(error.hint ?? '', /parley store repair/)
  assert.deepEqual(await picture(db).catch(() => undefined), before)
  return error.message
}

/** Some rows in tables, some in the log: 300 rows of 2 KB were written, opened again, and 100 more. */
const mixed = async (folder: string): Promise<Record<string, string>> => {
  const rows = await filled(folder, 300, 2_000)
  const store = await openRowStore(folder, deps())
  for (let i = 0; i < 100; i += 1) {
    await store.commit([put(`in/${i}`, `${i}.`.padEnd(1_000, '+')), put('out/000007', `again ${i}`)])
    rows[`in/${i}`] = `${i}.`.padEnd(1_000, '+')
  }
  rows['out/000007'] = 'again 99'
  await store.close()
  return rows
}

const fileOf = async (folder: string, end: RegExp): Promise<string> => {
  const name = (await readdir(join(folder, 'db'))).sort().findLast((one) => end.test(one))
  assert.ok(name !== undefined, `no ${end} in ${folder}`)
  return join(folder, 'db', name)
}

/** @returns whether the change was found; else all rows have to be there */
const check = async (t: TestContext, folder: string, rows: Record<string, string>): Promise<boolean> => {
  try {
    assert.deepEqual((await reread(folder)).rows, rows)
    return false
  } catch (error) {
    assert.ok(isParleyError(error, 'STA003'), String(error))
    assert.equal(error.details.reason, 'damaged', error.message)
    t.diagnostic(error.message)
    return true
  }
}

for (const [what, end, always] of [
  ['log', /\.log$/, true],
  ['tables', /\.ldb$/, true],
  ['list of files', /^MANIFEST-/, false],
] as const)
  test(`bytes that flip anywhere in the ${what} are found, or harm no row`, { timeout: 120_000 }, async (t) => {
    const folder = await testFolder(t)
    const rows = await mixed(join(folder, 'store'))
    assert.equal(await check(t, await copyOf(join(folder, 'store'), join(folder, 'same')), rows), false)
    let found = 0
    let runs = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(999_999), fc.integer({ min: 1, max: 255 })), {
          minLength: 1,
          maxLength: 3,
        }),
        async (flips) => {
          runs += 1
          const copy = await copyOf(join(folder, 'store'), join(folder, `copy-${runs}`))
          const file = await fileOf(copy, end)
          const before = await readFile(file)
          for (const [at, mask] of flips) await flip(file, Math.floor((at / 1_000_000) * before.length), mask)
          const isSame = before.equals(await readFile(file))
          const isFound = await check(t, copy, rows)
          if (isFound) found += 1
          if (always) assert.equal(isFound, !isSame)
          await rm(copy, { recursive: true, force: true })
        },
      ),
      { numRuns: 40 },
    )
    t.diagnostic(`${found} of ${runs} found`)
    assert.ok(found > 0)
  })

test('a log that lost its end, whatever part of it, is found by the mark', async (t) => {
  const folder = await testFolder(t)
  await mixed(join(folder, 'store'))
  const log = await fileOf(join(folder, 'store'), /\.log$/)
  const { size } = await stat(log)
  for (const left of [0, 1, 6, 7, 100, 32_768, Math.floor(size / 2), size - 1_000, size - 1]) {
    const copy = await copyOf(join(folder, 'store'), join(folder, `copy-${left}`))
    await truncate(await fileOf(copy, /\.log$/), left)
    assert.match(await refused(copy), /end at group \d+, and were answered to group 401|vanished|older rows/)
  }
})

test('a write that a power cut tore was never answered, and nothing is lost by it', async (t) => {
  const folder = await testFolder(t)
  const rows = await filled(folder, 10)
  const log = await fileOf(folder, /\.log$/)
  const whole = await readFile(log)
  const store = await openRowStore(folder, deps())
  await store.close()
  const now = await fileOf(folder, /\.log$/)
  // What a torn write leaves behind the last group: the beginning of one.
  await writeFile(now, Buffer.concat([await readFile(now), whole.subarray(0, 60)]))
  assert.deepEqual((await reread(folder)).rows, rows)
})

test('a table, the list of files, the whole of LevelDB or the mark that is gone is found', async (t) => {
  const folder = await testFolder(t)
  await mixed(join(folder, 'store'))
  for (const end of [/\.ldb$/, /\.log$/, /^MANIFEST-/, /^CURRENT$/]) {
    const copy = await copyOf(join(folder, 'store'), join(folder, `without${end.source.replace(/\W/g, '')}`))
    await rm(await fileOf(copy, end))
    await refused(copy)
  }
  const none = await copyOf(join(folder, 'store'), join(folder, 'none'))
  await rm(join(none, 'db'), { recursive: true })
  assert.match(await refused(none), /folder db is not there/)
  const markless = await copyOf(join(folder, 'store'), join(folder, 'markless'))
  await rm(join(markless, 'mark'))
  assert.match(await refused(markless), /how far they should go is not there/)
})

test('a damaged table that does not count any more is passed over', async (t) => {
  const folder = await testFolder(t)
  const rows = await filled(folder, 4)
  await writeFile(join(folder, 'db', '000099.ldb'), 'what a crash left of a table that was being written')
  assert.deepEqual((await reread(folder)).rows, rows)
})

test('a mark of which one half is damaged still counts; without both it is refused', async (t) => {
  const folder = await testFolder(t)
  const rows = await filled(folder, 4)
  await flip(join(folder, 'mark'), 512)
  assert.deepEqual((await reread(folder)).rows, rows)
  await flip(join(folder, 'mark'), 1_024)
  await flip(join(folder, 'mark'), 513)
  assert.match(await refused(folder), /how far they should go is damaged/)
})

test('an older copy of the rows under the mark of today is refused, as are the rows of another store', async (t) => {
  const folder = await testFolder(t)
  await filled(join(folder, 'one'), 3)
  await cp(join(folder, 'one', 'db'), join(folder, 'old'), { recursive: true })
  const store = await openRowStore(join(folder, 'one'), deps())
  await store.commit([put('a', '1')])
  await store.close()
  await rm(join(folder, 'one', 'db'), { recursive: true })
  await cp(join(folder, 'old'), join(folder, 'one', 'db'), { recursive: true })
  assert.match(await refused(join(folder, 'one')), /end at group 4, and were answered to group 5/)
  await filled(join(folder, 'two'), 9)
  await rm(join(folder, 'one', 'db'), { recursive: true })
  await cp(join(folder, 'two', 'db'), join(folder, 'one', 'db'), { recursive: true })
  assert.match(await refused(join(folder, 'one')), /of another store/)
})

test('rows that vanish, come back or are older ones show in the sums, although each one is whole', async (t) => {
  const folder = await testFolder(t)
  await filled(join(folder, 'store'), 20)
  const changed = async (name: string, change: (level: Awaited<ReturnType<typeof openLevelDb>>) => Promise<void>) => {
    const copy = await copyOf(join(folder, 'store'), join(folder, name))
    const level = await openLevelDb(join(copy, 'db'), { create: false })
    await change(level)
    await level.close()
    return refused(copy)
  }
  assert.match(await changed('less', (level) => level.del('out/000003')), /1 row of 21 vanished/)
  const old = sealRow('back', new Uint8Array(3)).bytes
  assert.match(await changed('more', (level) => level.put('back', old)), /1 row that were? removed/)
  const older = sealRow('out/000003', new Uint8Array(3)).bytes
  assert.match(await changed('older', (level) => level.put('out/000003', older)), /older rows/)
  const bad = new Uint8Array(9)
  assert.match(
    await changed('bad', (level) => level.put('out/000003', bad)),
    /1 row with a wrong checksum.*out\/000003/,
  )
  const none = sealRow(SUMS_KEY, encodeSums({ group: 21, count: 0, sum: 0 })).bytes
  assert.match(await changed('sums', (level) => level.put(SUMS_KEY, none)), /21 rows that were removed/)
  assert.match(await changed('no sums', (level) => level.del(SUMS_KEY)), /which rows there should be/)
})

test('a store that was only begun when the process died is begun again', async (t) => {
  const folder = await testFolder(t)
  await filled(join(folder, 'store'), 0)
  await rm(join(folder, 'store', 'mark'))
  const { rows } = await reread(join(folder, 'store'))
  assert.deepEqual(rows, {})
  await rm(join(folder, 'store', 'mark'))
  await rm(join(folder, 'store', 'db'), { recursive: true })
  assert.deepEqual((await reread(join(folder, 'store'))).rows, {})
  await rm(join(folder, 'store', 'mark'))
  for (const name of await readdir(join(folder, 'store', 'db')))
    if (!/MANIFEST/.test(name)) await rm(join(folder, 'store', 'db', name))
  assert.deepEqual((await reread(join(folder, 'store'))).rows, {})
})
