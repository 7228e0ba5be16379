/** What was promised is on the disk, whole, or what was there before is. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openFolder } from '../../../../../node/store/files/disk.ts'
import { createFoundingFile, FOUNDING_FILE } from '../../../../../node/store/journal/founding-file.ts'
import { createFaultyDisk, type FaultyDisk } from '../../../../../node/testing/virtual/faulty-disk.ts'
import { createRandom } from '../../../../../node/testing/virtual/virtual-time.ts'
import type { FoundingRecord } from '../../../../../protocols/consensus/bootstrap/founding-record.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'
import { testFolder } from '../../../../support/folder.ts'
import { failureOf } from '../../../../support/until.ts'

const [A, B, C] = ['a.01', 'b.02', 'c.03'] as const
const set = [A, B, C]
const MESH = '0123456789abcdef0123456789abcdef'
const highest = { counter: 1, proposer: B }
const fresh: FoundingRecord = { member: A, highest: { counter: 0, proposer: '' } }
const promised: FoundingRecord = { member: A, highest, promise: { round: highest, set } }
const records: FoundingRecord[] = [
  fresh,
  promised,
  { member: A, highest, founded: { meshId: MESH, members: set } },
  { member: A, highest, adopted: { meshId: MESH } },
]

const reasonOf = (error: unknown): unknown =>
  isParleyError(error, 'STA003') && error.hint !== undefined ? error.details.reason : `${error}`
const replace = async (disk: FaultyDisk, text: string): Promise<void> => {
  await disk.remove(FOUNDING_FILE)
  const file = await disk.create(FOUNDING_FILE)
  await file.write(new TextEncoder().encode(text), 0)
  await file.sync()
}

test('what was saved last is loaded; before that there is nothing', async () => {
  const disk = createFaultyDisk()
  assert.equal(await createFoundingFile(disk).load(), undefined)
  for (const record of records) {
    await createFoundingFile(disk).save(record)
    assert.deepEqual(await createFoundingFile(disk).load(), record)
  }
  assert.deepEqual(await disk.list(), [FOUNDING_FILE])
})

test('it lives in a real folder', async (t) => {
  const path = await testFolder(t)
  for (const record of records) await createFoundingFile(await openFolder(path)).save(record)
  assert.deepEqual(await createFoundingFile(await openFolder(path)).load(), records.at(-1))
})

test('saves that come together are carried out one after another', async () => {
  const disk = createFaultyDisk()
  const store = createFoundingFile(disk)
  await Promise.all(records.map((record) => store.save(record)))
  assert.deepEqual(await store.load(), records.at(-1))
})

test('a power cut at any moment leaves the one before or the one that was saved, and never loses a saved one', async () => {
  const seen = new Set<string>()
  for (let seed = 1; seed <= 300; seed += 1) {
    const disk = createFaultyDisk()
    const store = createFoundingFile(disk.mount())
    if (seed % 2 === 0) await store.save(fresh)
    let isSaved = false
    const saving = store.save(promised).then(
      () => {
        isSaved = true
      },
      () => {},
    )
    for (let turn = 0; turn < seed % 40; turn += 1) await Promise.resolve()
    const wasSaved = isSaved
    disk.crash(createRandom(seed))
    await saving
    const again = createFoundingFile(disk.mount())
    const found = await again.load()
    const before = seed % 2 === 0 ? fresh : undefined
    if (wasSaved) assert.deepEqual(found, promised)
    else assert.ok([JSON.stringify(before), JSON.stringify(promised)].includes(JSON.stringify(found)), `seed ${seed}`)
    seen.add(`${wasSaved} ${JSON.stringify(found) === JSON.stringify(promised)}`)
    // What a crash left behind is in nobody's way.
    await again.save(promised)
    assert.deepEqual(await again.load(), promised)
  }
  assert.deepEqual([...seen].sort(), ['false false', 'false true', 'true true'])
})

test('any byte that is changed, and any part that is missing, is found', async () => {
  const disk = createFaultyDisk()
  const store = createFoundingFile(disk)
  await store.save(promised)
  // The line's end is no part of it.
  const size = disk.size(FOUNDING_FILE) - 1
  for (let at = 0; at < size; at += 1) {
    disk.flip(FOUNDING_FILE, at)
    assert.equal(reasonOf(await failureOf(store.load())), 'damaged', `byte ${at}`)
    disk.flip(FOUNDING_FILE, at)
  }
  const file = await disk.open(FOUNDING_FILE)
  for (let left = size - 1; left >= 0; left -= 1) {
    await file.truncate(left)
    assert.equal(reasonOf(await failureOf(store.load())), 'damaged', `cut at ${left}`)
  }
})

test('a file of a later version is refused, and so is one that says what cannot be', async () => {
  const disk = createFaultyDisk()
  const store = createFoundingFile(disk)
  await replace(disk, JSON.stringify({ format: 2, contents: 'of another form' }))
  assert.equal(reasonOf(await failureOf(store.load())), 'newer')
  const impossible: FoundingRecord[] = [
    { ...promised, member: 'd.04' },
    { ...promised, highest: { counter: 0, proposer: '' } },
    { ...promised, adopted: { meshId: MESH } },
    { member: A, highest, founded: { meshId: MESH, members: [B, A, C] } },
    { member: 'without a disk', highest },
    { member: A, highest, adopted: { meshId: 'mesh' } },
  ]
  for (const record of impossible) {
    // With a checksum that matches.
    await store.save(record)
    assert.equal(reasonOf(await failureOf(store.load())), 'damaged', JSON.stringify(record))
  }
})

test('a disk without room, or one that fails, is a typed error, and it can be tried again', async () => {
  const disk = createFaultyDisk()
  const store = createFoundingFile(disk)
  await store.save(fresh)
  disk.room = 0
  assert.equal(reasonOf(await failureOf(store.save(promised))), 'disk-full')
  assert.deepEqual(await store.load(), fresh)
  disk.room = Number.POSITIVE_INFINITY
  disk.failSync = true
  assert.equal(reasonOf(await failureOf(store.save(promised))), 'disk-failed')
  assert.deepEqual(await store.load(), fresh)
  await store.save(promised)
  assert.deepEqual(await store.load(), promised)
})
