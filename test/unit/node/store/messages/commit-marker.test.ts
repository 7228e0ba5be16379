/** The mark: written in turn into two slots, so that a write that was torn leaves the one before. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  COMMIT_MARKER_FILE,
  decodeCommitMarker,
  openCommitMarker,
  readCommitMarker,
  writeCommitMarker,
} from '../../../../../node/store/messages/commit-marker.ts'
import { createFaultyDisk } from '../../../../../node/testing/virtual/faulty-disk.ts'
import { createRandom } from '../../../../../node/testing/virtual/virtual-time.ts'

const ID = '0123456789abcdef0123456789abcdef'
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('what was noted last is read; an old one is there while a new one is written', async () => {
  const disk = createFaultyDisk()
  assert.deepEqual(await readCommitMarker(disk), { kind: 'none' })
  await writeCommitMarker(disk, 3, ID)
  const found = await readCommitMarker(disk)
  assert.deepEqual(found, { kind: 'whole', group: 3, id: ID, slot: 0 })
  const mark = await openCommitMarker(disk, { slot: 0, id: ID }, (error) => assert.fail(String(error)))
  for (let group = 4; group <= 9; group += 1) mark.note(group)
  await mark.close(true)
  assert.deepEqual({ ...(await readCommitMarker(disk)), slot: 0 }, { kind: 'whole', group: 9, id: ID, slot: 0 })
})

test('after a power cut it is one that was noted, never a later one, and at least the one that was synced', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.nat(20), async (seed, notes) => {
      const disk = createFaultyDisk()
      await writeCommitMarker(disk, 5, ID)
      const mark = await openCommitMarker(disk, { slot: 0, id: ID }, (error) => assert.fail(String(error)))
      for (let group = 6; group < 6 + notes; group += 1) {
        mark.note(group)
        if (group % 3 === 0) await turn()
      }
      await turn()
      disk.crash(createRandom(seed))
      const found = await readCommitMarker(disk)
      assert.ok(found.kind === 'whole' && found.group >= 5 && found.group < 6 + notes, JSON.stringify(found))
    }),
  )
})

test('a disk that does not take it is told once, and at the end', async () => {
  const disk = createFaultyDisk()
  await writeCommitMarker(disk, 1, ID)
  const failures: unknown[] = []
  const mark = await openCommitMarker(disk, { slot: 0, id: ID }, (error) => void failures.push(error))
  disk.release()
  mark.note(2)
  await turn()
  mark.note(3)
  await turn()
  assert.equal(failures.length, 1)
  await assert.rejects(mark.close(true))
})

test('whatever stands in the file, it is read as a mark, a newer one or damage', async () => {
  const disk = createFaultyDisk()
  await writeCommitMarker(disk, 7, ID)
  const whole = await disk.read(COMMIT_MARKER_FILE)
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
      const bytes = whole.slice()
      bytes[at] = (bytes[at] ?? 0) ^ mask
      const found = decodeCommitMarker(bytes)
      if (found.kind === 'whole') assert.deepEqual(found, { kind: 'whole', group: 7, id: ID, slot: 0 })
      else assert.equal(found.kind, 'damaged')
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2_000 }), (bytes) =>
      assert.equal(decodeCommitMarker(bytes).kind, 'damaged'),
    ),
  )
  for (let length = 0; length < whole.length; length += 100)
    assert.equal(decodeCommitMarker(whole.subarray(0, length)).kind, length < 540 ? 'damaged' : 'whole')
})
