/** The row store on real files: what is committed, read and put off, and what becomes of it when it is opened again. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { cp, mkdir, readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { openFolder } from '../../../../../node/store/files/disk.ts'
import { ROWS_FOLDER } from '../../../../../node/store/known-stores.ts'
import { openAppendLog } from '../../../../../node/store/log/append-log.ts'
import { repairMessages } from '../../../../../node/store/messages/message-repair.ts'
import { openRowStore } from '../../../../../node/store/messages/row-store.ts'
import { ROWS_FORMAT } from '../../../../../node/store/rows/row-manifest.ts'
import { manifestPayload, manifestRecord } from '../../../../../node/store/rows/row-records.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'
import { testFolder } from '../../../../support/folder.ts'
import { failureOf, until } from '../../../../support/until.ts'
import { bytes, contents, deps, filled, flip, gone, put, reread, text } from './row-stores.ts'

const reasonOf = async (promise: Promise<unknown>): Promise<unknown> => {
  const error = await failureOf(promise)
  assert.ok(isParleyError(error, 'STA003'), String(error))
  return error.details.reason
}

test('what was committed is read, also when it is opened again, under the same id', async (t) => {
  const folder = await testFolder(t)
  const store = await openRowStore(folder, deps())
  assert.match(store.id, /^[0-9a-f]{32}$/)
  assert.deepEqual(store.formerIds, [])
  assert.equal(store.state(), 'open')
  await store.commit([put('a/1', 'one'), put('a/2', 'two'), { key: 'b', value: new Uint8Array() }])
  await store.commit([gone('a/1'), gone('never there')])
  assert.deepEqual((await store.getMany(['b', 'a/1', 'a/2', 'x'])).map(text), ['', undefined, 'two', undefined])
  assert.equal(text(await store.get('a/2')), 'two')
  assert.ok(store.bytes() > 0)
  await store.close()
  assert.deepEqual(await reread(folder), { id: store.id, rows: { 'a/2': 'two', b: '' } })
})

test('whoever reads sees all that was called before, written or not', async (t) => {
  const store = await openRowStore(await testFolder(t), deps())
  t.after(() => store.close())
  let asked = 0
  const first = store.commit([put('a', '1'), put('b', '1')])
  store.later([put('a', '2'), gone('b')])
  const last = store.commit([
    {
      key: 'c',
      value: () => {
        asked += 1
        return bytes(String(asked))
      },
    },
  ])
  assert.deepEqual((await store.getMany(['a', 'b', 'c'])).map(text), ['2', undefined, '1'])
  store.later([put('d', 'late')])
  assert.deepEqual(await contents(store), { a: '2', c: '1', d: 'late' })
  await Promise.all([first, last])
  assert.equal(asked, 1)
})

test('rows come by prefix in the order of the bytes of their keys, after one, up to a number', async (t) => {
  const store = await openRowStore(await testFolder(t), deps())
  t.after(() => store.close())
  // By UTF-16 units the first would come after the second.
  const keys = ['p/\uffee', 'p/\u{10ffff}', 'p/\u{10ffff}\u{10ffff}', 'p/a', 'p/b', 'p', 'q', '\u0001', 'o/\u{10ffff}']
  await store.commit(keys.map((key) => put(key, key)))
  const found = async (prefix: string, options?: { after?: string; limit?: number }): Promise<string[]> => {
    const list: string[] = []
    for await (const { key } of store.rows(prefix, options)) list.push(key)
    return list
  }
  const inOrder = (list: readonly string[]): string[] => list.toSorted((a, b) => Buffer.from(a).compare(Buffer.from(b)))
  const all = inOrder(keys)
  assert.deepEqual(await found(''), all)
  assert.deepEqual(
    await found('p/'),
    all.filter((key) => key.startsWith('p/')),
  )
  assert.deepEqual(await found('p/', { after: 'p/a' }), ['p/b', 'p/\uffee', 'p/\u{10ffff}', 'p/\u{10ffff}\u{10ffff}'])
  assert.deepEqual(await found('p/', { after: 'a', limit: 2 }), ['p/a', 'p/b'])
  assert.deepEqual(await found('p/', { after: 'q' }), [])
  assert.deepEqual(await found('', { limit: 0 }), [])
  assert.deepEqual(await found('', { after: 'p', limit: 1 }), ['p/a'])
})

test('a key that is empty, no text or one of its own is refused', async (t) => {
  const store = await openRowStore(await testFolder(t), deps())
  t.after(() => store.close())
  for (const key of ['', '\0sums', '\0', '\ud800'])
    assert.ok((await failureOf(store.commit([put('a', ''), put(key, '')]))) instanceof RangeError)
  assert.deepEqual(await contents(store), {})
})

test('what was put off is written within its time, and at the end', async (t) => {
  const folder = await testFolder(t)
  const due: (() => void)[] = []
  const after = (delayMs: number, fn: () => void) => {
    // The log's seal waits longer, and is nobody's.
    if (delayMs === 50) due.push(fn)
    return () => {}
  }
  const store = await openRowStore(folder, deps({ timers: { after, every: () => () => {} } }))
  store.later([put('a', '1')])
  store.later([put('b', '1')])
  assert.equal(due.length, 1)
  due[0]?.()
  await store.commit([])
  store.later([put('c', '1')])
  assert.equal(due.length, 2)
  await store.close()
  assert.deepEqual((await reread(folder)).rows, { a: '1', b: '1', c: '1' })
})

test('a closed store refuses everything, and closing it twice is harmless', async (t) => {
  const store = await openRowStore(await testFolder(t), deps())
  const before = store.commit([put('a', '1')])
  await Promise.all([store.close(), store.close()])
  await before
  assert.equal(await reasonOf(store.commit([put('b', '1')])), 'closed')
  assert.equal(await reasonOf(store.get('a')), 'closed')
  assert.equal(await reasonOf(contents(store)), 'closed')
  store.later([put('b', '1')])
  await store.close()
})

test('a function of a row that throws ends all that waits, and the store is opened again', async (t) => {
  const waits: { delayMs: number; fn: () => void }[] = []
  const timers = {
    after(delayMs: number, fn: () => void) {
      if (delayMs >= 1_000) waits.push({ delayMs, fn })
      return () => {}
    },
    every: () => () => {},
  }
  const given = deps({ timers })
  const store = await openRowStore(await testFolder(t), given)
  t.after(() => store.close())
  await store.commit([put('a', '1')])
  const states: string[] = []
  store.onState((state) => void states.push(state))
  const wrong = (): Uint8Array => {
    throw new TypeError('no such thing')
  }
  const failures = [store.commit([put('a', '2')]), store.commit([{ key: 'b', value: wrong }])].map((one) =>
    reasonOf(one),
  )
  assert.deepEqual(await Promise.all(failures), ['disk-failed', 'disk-failed'])
  assert.deepEqual([states, store.state()], [['failed'], 'failed'])
  assert.equal(await reasonOf(store.get('a')), 'disk-failed')
  assert.deepEqual(
    waits.map(({ delayMs }) => delayMs),
    [1_000],
  )
  const isOpen = new Promise((resolve) => store.onState(resolve))
  waits[0]?.fn()
  assert.equal(await isOpen, 'open')
  assert.deepEqual(await contents(store), { a: '1' })
  await store.commit([put('a', '3')])
  assert.equal(text(await store.get('a')), '3')
})

test('a store that is damaged when it is to be opened again says so, and goes on once it is as it was', async (t) => {
  const folder = await testFolder(t)
  const waits: (() => void)[] = []
  const after = (delayMs: number, fn: () => void) => {
    if (delayMs >= 1_000) waits.push(fn)
    return () => {}
  }
  const given = deps({ timers: { after, every: () => () => {} } })
  const store = await openRowStore(folder, given)
  t.after(() => store.close())
  await store.commit([put('a', '1')])
  const wrong = (): Uint8Array => {
    throw new TypeError('no such thing')
  }
  await failureOf(store.commit([{ key: 'b', value: wrong }]))
  await rename(join(folder, 'rows', 'mark'), join(folder, 'elsewhere'))
  waits[0]?.()
  await until('another try is due', () => waits.length === 2)
  assert.deepEqual([store.state(), await reasonOf(store.get('a'))], ['failed', 'damaged'])
  assert.equal(given.said.filter(({ level }) => level === 'error').length, 2)
  await rename(join(folder, 'elsewhere'), join(folder, 'rows', 'mark'))
  waits[1]?.()
  await until('it is open', () => store.state() === 'open')
  assert.deepEqual(await contents(store), { a: '1' })
})

test('a folder that was copied gets another id, once, and the one before is told', async (t) => {
  const folder = await testFolder(t)
  const rows = await filled(join(folder, 'one'), 5)
  const before = await reread(join(folder, 'one'))
  await cp(join(folder, 'one'), join(folder, 'two'), { recursive: true })
  const given = deps()
  const copy = await openRowStore(join(folder, 'two'), given)
  assert.notEqual(copy.id, before.id)
  assert.deepEqual(copy.formerIds, [before.id])
  assert.deepEqual(await contents(copy), rows)
  await copy.close()
  assert.deepEqual(
    given.said.map(({ level }) => level),
    ['warn'],
  )
  const again = await openRowStore(join(folder, 'two'), deps())
  assert.deepEqual([again.id, again.formerIds], [copy.id, [before.id]])
  await again.close()
  assert.equal((await reread(join(folder, 'one'))).id, before.id)
})

test('it is remembered at most 16 times who it was', async (t) => {
  const folder = await testFolder(t)
  await filled(join(folder, '0'), 1)
  const ids: string[] = []
  for (let i = 1; i <= 18; i += 1) {
    await cp(join(folder, String(i - 1)), join(folder, String(i)), { recursive: true })
    const store = await openRowStore(join(folder, String(i)), deps())
    ids.unshift(store.id)
    if (i === 18) assert.deepEqual(store.formerIds, ids.slice(1, 17))
    await store.close()
  }
})

test('a store of a later version is refused, and nothing in it is changed', async (t) => {
  const folder = await testFolder(t)
  const rows = join(folder, ROWS_FOLDER)
  await mkdir(folder, { recursive: true })
  const later = { format: ROWS_FORMAT + 1, id: 'a'.repeat(32), formerIds: [], flushed: 0, runs: [] }
  const owner = { apply: () => 0, covered: () => 0, missing: () => undefined, carry: () => manifestPayload(later) }
  const log = await openAppendLog(await openFolder(rows), owner, deps())
  await log.append(manifestRecord(later), 0)
  await log.close()
  const names = (await readdir(rows)).sort()
  assert.equal(await reasonOf(openRowStore(folder, deps())), 'newer')
  assert.deepEqual((await readdir(rows)).sort(), names)
})

test('damage that is found while rows are read ends the store, and the next start refuses it until it is repaired', async (t) => {
  const folder = await testFolder(t)
  const small = deps({ engine: { memoryBytes: 1_000 } })
  const store = await openRowStore(folder, small)
  for (let i = 0; i < 40; i += 1) await store.commit([put(`k/${i}`, `${i}`.padEnd(100))])
  const rows = join(folder, ROWS_FOLDER)
  const tables = async () => (await readdir(rows)).filter((name) => name.endsWith('.table')).sort()
  await until('tables', async () => (await tables()).length > 0)
  await store.close()
  // A byte of the first block; its index is whole.
  for (const name of await tables()) await flip(join(rows, name), 100)
  const again = await openRowStore(folder, deps())
  assert.equal(await reasonOf(contents(again)), 'damaged')
  assert.equal(again.state(), 'failed')
  await again.close()
  assert.equal(await reasonOf(openRowStore(folder, deps())), 'damaged')
  const { aside, after } = await repairMessages(folder, (n) => new Uint8Array(randomBytes(n)))
  assert.deepEqual(aside, ['rows.damaged'])
  assert.ok(after.rows > 0 && after.rows < 40)
  assert.equal((await reread(folder)).id, after.manifest?.id)
  assert.deepEqual(after.manifest?.formerIds, [store.id])
})

test('rows that were removed do not take room for ever', async (t) => {
  const folder = await testFolder(t)
  const store = await openRowStore(folder, deps({ engine: { memoryBytes: 1_000_000 } }))
  t.after(() => store.close())
  const value = new Uint8Array(randomBytes(100_000))
  for (let round = 0; round < 6; round += 1) {
    const keys = Array.from({ length: 60 }, (_, i) => `r/${round}/${i}`)
    await store.commit(keys.map((key) => ({ key, value })))
    await store.commit(keys.map(gone))
  }
  await store.commit([put('last', '')])
  // 36 MB were written.
  await until('room is made', () => store.bytes() < 12_000_000)
  assert.deepEqual(await contents(store), { last: '' })
})
