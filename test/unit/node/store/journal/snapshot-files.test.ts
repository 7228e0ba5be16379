/** Snapshots on disk are whole, or not there. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { createSnapshotStore } from '../../../../../node/store/journal/snapshot-files.ts'
import { createFaultyDisk } from '../../../../../node/testing/virtual/faulty-disk.ts'
import { createRandom } from '../../../../../node/testing/virtual/virtual-time.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'
import { failureOf } from '../../../../support/until.ts'

const random = (bytes: number): Uint8Array => new Uint8Array(randomBytes(bytes))
const meta = { index: 42, term: 3, configuration: { voters: ['a', 'b'], learners: ['c'] } }
const chunks = Array.from({ length: 5 }, (_, i) => new Uint8Array(1_000 * i).fill(i))

const isDamaged = (error: unknown): boolean => isParleyError(error, 'STA003') && error.details.reason === 'damaged'

test('what was saved is read again, with what it is', async () => {
  const store = createSnapshotStore(createFaultyDisk(), random)
  await store.save(meta, chunks)
  assert.deepEqual(await store.read(meta), { meta, chunks })
  await store.save({ ...meta, index: 43 }, [])
  assert.deepEqual((await store.read({ index: 43, term: 3 })).chunks, [])
})

test('any byte that is flipped, and any part that is missing, is found', async () => {
  const disk = createFaultyDisk()
  const store = createSnapshotStore(disk, random)
  await store.save(meta, chunks)
  const [name = ''] = await disk.list()
  for (let at = 0; at < disk.size(name); at += 13) {
    disk.flip(name, at)
    assert.ok(isDamaged(await failureOf(store.read(meta))), `byte ${at}`)
    disk.flip(name, at)
  }
  const file = await disk.open(name)
  for (let size = disk.size(name) - 8; size >= 0; size -= 1_000) {
    await file.truncate(size)
    assert.ok(isDamaged(await failureOf(store.read(meta))), `cut at ${size}`)
  }
  await disk.remove(name)
  assert.ok(isDamaged(await failureOf(store.read(meta))))
})

test('a power cut while one is saved leaves the one before; what is left of the other goes', async () => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const disk = createFaultyDisk()
    const store = createSnapshotStore(disk.mount(), random)
    await store.save(meta, chunks)
    const next = { ...meta, index: 50 }
    const saving = store.save(next, chunks)
    let isSaved = false
    const settled = saving.then(
      () => {
        isSaved = true
      },
      () => {},
    )
    for (let turn = 0; turn < 3 * seed; turn += 1) await Promise.resolve()
    const wasSaved = isSaved
    disk.crash(createRandom(seed))
    await settled
    const after = createSnapshotStore(disk.mount(), random)
    assert.deepEqual((await after.read(meta)).chunks, chunks, `seed ${seed}`)
    const names = (await disk.list()).filter((name) => !name.endsWith('.part'))
    if (wasSaved) assert.ok(names.some((name) => name.includes('50-')))
    // Where it has its name, it is whole.
    if (names.some((name) => name.includes('50-'))) assert.deepEqual((await after.read(next)).chunks, chunks)
    await after.keepOnly([meta])
    assert.equal((await disk.list()).length, 1)
  }
})

test('a full disk leaves nothing of it', async () => {
  const disk = createFaultyDisk()
  const store = createSnapshotStore(disk, random)
  disk.room = 5_000
  const error = await failureOf(store.save(meta, chunks))
  assert.match(String(error), /ENOSPC/)
  assert.deepEqual(await disk.list(), [])
})

test('a source that fails leaves nothing of it', async () => {
  const disk = createFaultyDisk()
  const store = createSnapshotStore(disk, random)
  async function* broken() {
    yield chunks[1] ?? new Uint8Array(0)
    throw new Error('the state machine said no')
  }
  assert.match(String(await failureOf(store.save(meta, broken()))), /said no/)
  assert.deepEqual(await disk.list(), [])
})
