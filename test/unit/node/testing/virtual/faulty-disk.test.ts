/** The disk that can fail: what is read is what was written, and what is left after a power cut is what was synced, or more. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createFaultyDisk } from '../../../../../node/testing/virtual/faulty-disk.ts'
import { createRandom } from '../../../../../node/testing/virtual/virtual-time.ts'

const FILE = 'a'

/** As a file is after a write or a cut, made anew each time. */
const written = (bytes: Uint8Array, at: number, more: Uint8Array): Uint8Array => {
  const all = new Uint8Array(Math.max(bytes.length, at + more.length))
  all.set(bytes)
  all.set(more, at)
  return all
}
const truncated = (bytes: Uint8Array, size: number): Uint8Array =>
  written(new Uint8Array(size), 0, bytes.slice(0, size))

test('random writes, cuts and syncs are read as they were made, and a power cut leaves what was synced', async () => {
  for (let seed = 1; seed <= 30; seed += 1) {
    const random = createRandom(seed)
    const below = (most: number): number => Math.floor(random() * most)
    const disk = createFaultyDisk()
    const file = await disk.create(FILE)
    await disk.syncNames()
    let current = new Uint8Array(0)
    let synced = current
    let since = 0
    for (let i = 0; i < 60; i += 1) {
      const what = random()
      if (what < 0.7) {
        const bytes = Uint8Array.from({ length: below(2_000) }, () => below(256))
        const at = below(current.length + 100)
        await file.write(bytes, at)
        current = written(current, at, bytes) as Uint8Array<ArrayBuffer>
        since += 1
      } else if (what < 0.85) {
        const size = below(current.length + 50)
        await file.truncate(size)
        current = truncated(current, size) as Uint8Array<ArrayBuffer>
        since += 1
      } else {
        await file.sync()
        synced = current
        since = 0
      }
      assert.equal(await file.size(), current.length)
      assert.deepEqual(await disk.read(FILE), current)
      assert.deepEqual(await file.read(10, 5), current.slice(5, 15))
    }
    disk.crash(random)
    const left = await disk.read(FILE)
    if (since === 0) assert.deepEqual(left, synced)
    await assert.rejects(file.write(new Uint8Array(1), 0), { code: 'EBADF' })
    // What the power cut left is what there is from now on.
    disk.crash(random)
    assert.deepEqual(await disk.read(FILE), left)
  }
})

test('a sync that fails keeps nothing, and the next one keeps all', async () => {
  const disk = createFaultyDisk()
  const file = await disk.create(FILE)
  await disk.syncNames()
  await file.write(Uint8Array.of(1, 2, 3), 0)
  disk.failSync = true
  await assert.rejects(file.sync(), { code: 'EIO' })
  await file.write(Uint8Array.of(4), 3)
  await file.sync()
  disk.crash(() => 0)
  assert.deepEqual(await disk.read(FILE), Uint8Array.of(1, 2, 3, 4))
})

test('a byte that is flipped is flipped for good', async () => {
  const disk = createFaultyDisk()
  const file = await disk.create(FILE)
  await disk.syncNames()
  await file.write(Uint8Array.of(1, 2), 0)
  disk.flip(FILE, 1)
  disk.crash(() => 0)
  assert.deepEqual(await disk.read(FILE), Uint8Array.of(1, 0x42))
})
