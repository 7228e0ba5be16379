/** A row store on a disk that runs full: it says so, loses nothing that was answered, and goes on by itself. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { openRowStore } from '../../../../../node/store/messages/row-store.ts'
import type { RowStoreState } from '../../../../../protocols/delivery/store/row-storage.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'
import { createSmallDisk, noSmallDisk } from '../../../../crash/small-disk.ts'
import { failureOf, until } from '../../../../support/until.ts'
import { checkRows, createLoad } from './row-load.ts'
import { deps, put } from './row-stores.ts'

const skip = noSmallDisk() ?? false
const TIMEOUT_MS = 60_000

const reasonOf = (error: unknown): unknown => (isParleyError(error, 'STA003') ? error.details.reason : error)

test('a full disk refuses what waits and what comes, and nothing that was answered is lost', {
  skip,
  timeout: TIMEOUT_MS,
}, async (t) => {
  const disk = createSmallDisk()
  t.after(() => disk.remove())
  const given = deps()
  const store = await openRowStore(join(disk.path, 'messages'), given)
  const states: RowStoreState[] = []
  store.onState((state) => void states.push(state))
  let from = 0
  for (let round = 0; round < 3; round += 1) {
    const load = createLoad(from)
    const running = failureOf(load.run(store, 32))
    await until('commits', () => load.answered() > from + 500)
    await disk.fill()
    assert.equal(reasonOf(await running), 'disk-full')
    assert.equal(store.state(), 'full')
    assert.equal(reasonOf(await failureOf(store.commit([put('x', '1')]))), 'disk-full')
    assert.equal(reasonOf(await failureOf(store.get('last'))), 'disk-full')
    await disk.makeRoom()
    await until('the store goes on', () => store.state() === 'open', 20_000)
    from = await checkRows(store)
    assert.ok(from >= load.answered() && from <= load.called())
  }
  assert.deepEqual(states, ['full', 'open', 'full', 'open', 'full', 'open'])
  await store.close()
  const again = await openRowStore(join(disk.path, 'messages'), deps())
  assert.equal(await checkRows(again), from)
  await again.close()
})

test('it waits longer each time while there is no room, and is closed meanwhile', {
  skip,
  timeout: TIMEOUT_MS,
}, async (t) => {
  const disk = createSmallDisk()
  t.after(() => disk.remove())
  const waits: { readonly delayMs: number; readonly fn: () => void }[] = []
  const after = (delayMs: number, fn: () => void) => {
    waits.push({ delayMs, fn })
    return () => {}
  }
  const given = deps({ timers: { after, every: () => () => {} } })
  const store = await openRowStore(join(disk.path, 'messages'), given)
  await disk.fill()
  const load = createLoad()
  await failureOf(load.run(store, 8))
  for (let i = 0; i < 7; i += 1) {
    const { length } = waits
    waits.findLast(({ delayMs }) => delayMs >= 1_000)?.fn()
    await until('another try', () => waits.length > length)
  }
  assert.deepEqual(
    waits.map(({ delayMs }) => delayMs).filter((delayMs) => delayMs >= 1_000),
    [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000],
  )
  assert.equal(given.said.filter(({ level }) => level === 'error').length, 1)
  await store.close()
  assert.equal(reasonOf(await failureOf(store.get('last'))), 'closed')
  const tried = waits.length
  waits.at(-1)?.fn()
  await disk.makeRoom()
  const again = await openRowStore(join(disk.path, 'messages'), deps())
  assert.ok((await checkRows(again)) >= load.answered())
  await again.close()
  assert.equal(waits.length, tried)
})

test('on a full disk a new store is opened as full, and goes on once there is room; one with rows is read', {
  skip,
  timeout: TIMEOUT_MS,
}, async (t) => {
  const disk = createSmallDisk()
  t.after(() => disk.remove())
  const folder = join(disk.path, 'messages')
  await disk.fill()
  const store = await openRowStore(folder, deps())
  assert.equal(store.state(), 'full')
  assert.throws(() => store.id, { code: 'STA003', details: { reason: 'disk-full' } })
  assert.equal(reasonOf(await failureOf(store.commit([put('a', '2')]))), 'disk-full')
  assert.equal(reasonOf(await failureOf(store.get('a'))), 'disk-full')
  await disk.makeRoom()
  await until('the store goes on', () => store.state() === 'open', 20_000)
  assert.equal(await store.get('a'), undefined)
  await store.commit([put('a', '1')])
  const { id } = store
  await store.close()

  await disk.fill()
  const again = await openRowStore(folder, deps())
  assert.deepEqual([again.id, again.state()], [id, 'open'])
  const row = await again.get('a')
  assert.equal(row && Buffer.from(row).toString(), '1')
  await again.close()
})
