/** Snapshots on disk are whole, or not there; one on top of another has all of both. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import type { Disk } from '../../../../../node/store/files/disk.ts'
import { SnapshotStore, type SnapshotStoreOptions } from '../../../../../node/store/journal/snapshot-store.ts'
import { surveySnapshots } from '../../../../../node/store/journal/snapshot-survey.ts'
import {
  encodeFrame,
  encodeHeader,
  ID_BYTES,
  LOG_FORMAT,
  SALT_BYTES,
} from '../../../../../node/store/log/log-frames.ts'
import { createFaultyDisk, type FaultyDisk } from '../../../../../node/testing/virtual/faulty-disk.ts'
import { createRandom } from '../../../../../node/testing/virtual/virtual-time.ts'
import type { SnapshotAt, StateChange, StateRow } from '../../../../../protocols/consensus/group/group-storage.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'
import { failureOf } from '../../../../support/until.ts'

const random = (bytes: number): Uint8Array => new Uint8Array(randomBytes(bytes))
const configuration = { voters: ['a', 'b'], learners: ['c'] }
const at = (index: number) => ({ index, term: 3, configuration })
const put = (key: string, text: string): StateRow => ({ key, value: new TextEncoder().encode(text) })
const gone = (key: string): StateChange => ({ key, value: undefined })
const many = (from: number, to: number, text = 'x'.repeat(100)): StateRow[] =>
  Array.from({ length: to - from }, (_, i) => put(`r/${String(from + i).padStart(6, '0')}`, `${from + i} ${text}`))

const isDamaged = (error: unknown): boolean => isParleyError(error, 'STA003') && error.details.reason === 'damaged'
const open = (disk: Disk, base?: SnapshotAt, options: Partial<SnapshotStoreOptions> = {}) =>
  SnapshotStore.open(disk, { random, ...options }, base)

const copyOf = async (disk: FaultyDisk): Promise<Disk> => {
  const copy = createFaultyDisk()
  for (const name of await disk.list()) {
    const file = await copy.create(name)
    await file.write(await disk.read(name), 0)
    await file.close()
  }
  return copy
}

const contents = async (store: SnapshotStore, which: SnapshotAt, prefix = ''): Promise<Record<string, string>> => {
  const saved = await store.read(which)
  const found: Record<string, string> = {}
  for await (const { key, value } of saved.rows(prefix)) found[key] = new TextDecoder().decode(value)
  saved.release()
  return found
}

test('a snapshot on top of another has all of both, and each stays what it was', async () => {
  const disk = createFaultyDisk()
  const store = await open(disk)
  await store.save(at(10), [put('a', 'one'), put('b', 'two'), put('c', 'three')])
  await store.save(at(20), [put('b', 'other'), gone('c'), put('d', 'four')], at(10))
  await store.save(at(30), [gone('never there')], at(20))
  assert.deepEqual(await contents(store, at(10)), { a: 'one', b: 'two', c: 'three' })
  assert.deepEqual(await contents(store, at(20)), { a: 'one', b: 'other', d: 'four' })
  assert.deepEqual(await contents(store, at(30), 'b'), { b: 'other' })
  const saved = await store.read(at(30))
  assert.deepEqual([saved.meta, new TextDecoder().decode(await saved.get('d'))], [at(30), 'four'])
  assert.deepEqual([await saved.get('c'), await saved.get('z')], [undefined, undefined])
  await store.close()
  const again = await open(disk, at(30))
  assert.deepEqual(await contents(again, at(30)), { a: 'one', b: 'other', d: 'four' })
  await again.save(at(40), [put('e', 'five')], at(30))
  assert.deepEqual(await contents(again, at(40)), { a: 'one', b: 'other', d: 'four', e: 'five' })
  await again.close()
})

test('a text stands for its bytes, whatever characters it has', async () => {
  const disk = createFaultyDisk()
  const store = await open(disk)
  const texts = ['plain', 'größe', 'ключ', '😀', '']
  await store.save(
    at(1),
    texts.map((value, i) => ({ key: `t/${i}`, value })),
  )
  assert.deepEqual(Object.values(await contents(store, at(1))), texts)
  await store.close()
})

test('what it costs to save one is what has changed, however much there is', async () => {
  const disk = createFaultyDisk()
  const store = await open(disk)
  await store.save(at(1), many(0, 20_000))
  const bytes = async (): Promise<number> => (await disk.list()).reduce((sum, name) => sum + disk.size(name), 0)
  const before = await bytes()
  assert.ok(before > 2_000_000)
  await store.save(at(2), many(5, 15, 'y'), at(1))
  assert.ok((await bytes()) - before < 10_000, `${(await bytes()) - before} bytes`)
  await store.close()
})

test('tables are merged as more and more are put on top, and go once no snapshot has them', async () => {
  const disk = createFaultyDisk()
  const store = await open(disk)
  await store.save(at(0), [])
  const expected = new Map<string, string>()
  for (let i = 1; i <= 60; i += 1) {
    const changes: StateChange[] = many(i * 20, i * 20 + 40, `${i}`)
    if (i > 5) changes.push(gone(`r/${String((i - 5) * 20).padStart(6, '0')}`))
    for (const { key, value } of changes)
      if (value === undefined) expected.delete(key)
      else expected.set(key, typeof value === 'string' ? value : new TextDecoder().decode(value))
    await store.save(at(i), changes, at(i - 1))
    await store.keepOnly([at(i)])
    if (i % 7 === 0) assert.deepEqual(await contents(store, at(i)), Object.fromEntries([...expected].sort()))
  }
  const tables = (await disk.list()).filter((name) => name.endsWith('.table'))
  assert.ok(tables.length < 20, `${tables.length} tables`)
  await store.close()
  const again = await open(disk, at(60))
  assert.deepEqual(await contents(again, at(60)), Object.fromEntries([...expected].sort()))
  await again.keepOnly([])
  assert.deepEqual(await disk.list(), [])
  await again.close()
})

test('who reads one reads it to its end, although it is removed meanwhile', async () => {
  const disk = createFaultyDisk()
  const store = await open(disk)
  await store.save(at(1), many(0, 3_000))
  const saved = await store.read(at(1))
  const rows = saved.rows('r/')[Symbol.asyncIterator]()
  await rows.next()
  await store.save(at(2), many(0, 3_000, 'z'))
  await store.keepOnly([at(2)])
  let count = 1
  for (let next = await rows.next(); next.done !== true; next = await rows.next()) {
    assert.match(new TextDecoder().decode(next.value.value), /x{100}$/)
    count += 1
  }
  assert.equal(count, 3_000)
  const before = (await disk.list()).length
  saved.release()
  saved.release()
  await new Promise((resolve) => setImmediate(resolve))
  assert.ok((await disk.list()).length < before)
  assert.ok(isDamaged(await failureOf(store.read(at(1)))))
  await store.close()
})

test('one that comes from elsewhere stands beside those that are here, and more is put on top of it', async () => {
  const disk = createFaultyDisk()
  const store = await open(disk)
  await store.save(at(1), [put('own', '1')])
  await store.save(at(2), [put('more', '2')], at(1))
  await store.save(at(9), [put('theirs', '9')])
  await store.keepOnly([at(2), at(9)])
  assert.deepEqual(await contents(store, at(2)), { more: '2', own: '1' })
  await store.save(at(10), [put('after', '10')], at(9))
  await store.keepOnly([at(10)])
  assert.deepEqual(await contents(store, at(10)), { after: '10', theirs: '9' })
  assert.equal((await disk.list()).length, 3, 'a snapshot and two tables')
  await store.close()
})

test('any byte that is flipped, and any part that is missing, is found', async () => {
  const disk = createFaultyDisk()
  const store = await open(disk)
  await store.save(at(1), many(0, 200))
  await store.save(at(2), many(100, 130, 'other'), at(1))
  const whole = await contents(store, at(2))
  await store.close()
  const names = (await disk.list()).filter((name) => name.endsWith('.table') || name.includes('2-3.'))
  assert.equal(names.length, 3)
  const isFound = async (): Promise<boolean> => {
    try {
      const read = await open(await copyOf(disk), at(2))
      const found = await contents(read, at(2))
      await read.close()
      assert.deepEqual(found, whole)
      return false
    } catch (error) {
      if (!isDamaged(error)) throw error
      return true
    }
  }
  for (const name of names) {
    let found = 0
    for (let byte = 0; byte < disk.size(name); byte += 37) {
      disk.flip(name, byte)
      const inSurvey = (await surveySnapshots(disk)).some(({ index, meta }) => index === 2 && meta === undefined)
      assert.ok(inSurvey || !(await isFound()), `${name}: byte ${byte} is found by who reads, not by who verifies`)
      if (inSurvey) found += 1
      else if (byte > 64) assert.fail(`${name}: byte ${byte} is not found`)
      disk.flip(name, byte)
    }
    assert.ok(found > 5)
    const kept = await disk.read(name)
    await disk.remove(name)
    assert.ok(await isFound())
    const file = await disk.create(name)
    await file.write(kept, 0)
  }
})

test('a power cut while one is saved leaves the one before; what is left of the other goes', async () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const disk = createFaultyDisk()
    const store = await open(disk.mount())
    await store.save(at(1), many(0, 50))
    const expected = await contents(store, at(1))
    let isSaved = false
    const settled = store.save(at(2), many(50, 80), at(1)).then(
      () => {
        isSaved = true
      },
      () => {},
    )
    for (let turn = 0; turn < 3 * seed; turn += 1) await Promise.resolve()
    const wasSaved = isSaved
    disk.crash(createRandom(seed))
    await settled
    const after = await open(disk.mount(), at(1))
    assert.deepEqual(await contents(after, at(1)), expected, `seed ${seed}`)
    const isThere = (await surveySnapshots(disk)).find(({ index }) => index === 2)
    if (wasSaved) assert.ok(isThere?.meta !== undefined)
    // Where it has its name, it is whole.
    if (isThere !== undefined) assert.equal(Object.keys(await contents(after, at(2))).length, 80)
    await after.keepOnly([at(1)])
    assert.equal((await disk.list()).length, 2)
    await after.close()
  }
})

test('a full disk leaves nothing of it, and the next one has what it should have had', async () => {
  const disk = createFaultyDisk()
  const store = await open(disk)
  await store.save(at(1), many(0, 10))
  const before = await disk.list()
  disk.room = 3_000
  assert.match(String(await failureOf(store.save(at(2), many(10, 100), at(1)))), /ENOSPC/)
  assert.match(String(await failureOf(store.save(at(9), many(10, 100)))), /ENOSPC/)
  assert.deepEqual(await disk.list(), before)
  disk.room = Number.POSITIVE_INFINITY
  await store.save(at(3), [...many(10, 100), put('z', 'last')], at(1))
  assert.equal(Object.keys(await contents(store, at(3))).length, 101)
  await store.close()
})

test('a source that fails leaves nothing of it', async () => {
  const disk = createFaultyDisk()
  const store = await open(disk)
  async function* broken() {
    yield put('a', 'b')
    throw new Error('the state machine said no')
  }
  assert.match(String(await failureOf(store.save(at(1), broken()))), /said no/)
  assert.deepEqual(await disk.list(), [])
  await store.close()
})

test('closing waits for what is being saved, which ends soon and leaves nothing', async () => {
  const disk = createFaultyDisk()
  const store = await open(disk)
  await store.save(at(1), many(0, 10))
  const before = await disk.list()
  async function* slow() {
    for (let i = 0; ; i += 1) {
      yield put(`r/${i}`, 'x')
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  const saving = failureOf(store.save(at(2), slow(), at(1)))
  await new Promise((resolve) => setTimeout(resolve, 5))
  await store.close()
  const error = await saving
  assert.ok(isParleyError(error, 'STA003') && error.details.reason === 'closed')
  assert.deepEqual(await disk.list(), before)
})

test('damage that is found while rows are read is told', async () => {
  const disk = createFaultyDisk()
  const store = await open(disk)
  await store.save(at(1), many(0, 500))
  await store.close()
  const [table = ''] = (await disk.list()).filter((name) => name.endsWith('.table'))
  disk.flip(table, 1_000)
  const told: string[] = []
  const read = await open(disk, at(1), { onDamage: (what) => void told.push(what) })
  assert.ok(isDamaged(await failureOf(contents(read, at(1)))))
  assert.match(told.join(), /^[^,]*\.table is damaged/)
  await read.close()
})

/** As versions before tables wrote it: all that it holds in its own file. */
const writeEarlier = async (disk: FaultyDisk, meta: ReturnType<typeof at>, chunks: readonly Uint8Array[]) => {
  const salt = random(SALT_BYTES)
  const text = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))
  const parts: Uint8Array[] = [
    encodeHeader({ format: LOG_FORMAT, sequence: 0, salt, storageId: new Uint8Array(ID_BYTES), previous: 0 }),
  ]
  let previous = 0
  for (const payload of [text(meta), ...chunks, text({ count: chunks.length })]) {
    const { bytes, crc } = encodeFrame(salt, previous, payload)
    parts.push(bytes)
    previous = crc
  }
  const file = await disk.create(`${String(meta.index).padStart(16, '0')}-${meta.term}.snapshot`)
  await file.write(Buffer.concat(parts), 0)
  await file.sync()
  await disk.syncNames()
}

test('a snapshot of an earlier version is taken over, whenever the power fails', async () => {
  const chunks = ['{"a":1}', 'second', ''].map((text) => new TextEncoder().encode(text))
  const decode: SnapshotStoreOptions['decode'] = async function* (given) {
    let i = 0
    for await (const chunk of given) yield { key: `chunk/${i++}`, value: chunk }
  }
  const expected = { 'chunk/0': '{"a":1}', 'chunk/1': 'second', 'chunk/2': '' }
  for (let seed = 1; seed <= 40; seed += 1) {
    const disk = createFaultyDisk()
    await writeEarlier(disk, at(42), chunks)
    const opening = open(disk.mount(), at(42), { decode }).catch(() => undefined)
    for (let turn = 0; turn < 3 * seed; turn += 1) await Promise.resolve()
    disk.crash(createRandom(seed))
    await opening
    const store = await open(disk.mount(), at(42), { decode })
    assert.deepEqual(await contents(store, at(42)), expected)
    assert.equal((await surveySnapshots(disk))[0]?.problem, undefined)
    await store.close()
    const again = await open(disk.mount(), at(42))
    assert.deepEqual(await contents(again, at(42)), expected)
    await again.close()
  }
})
