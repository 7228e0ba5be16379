/** A damaged log: what a person is shown, and what is kept. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { repairLog, verifyLog } from '../../../../../node/store/journal/journal-repair.ts'
import { logFiles } from '../../../../../node/store/journal/journal-survey.ts'
import { openLogStore } from '../../../../../node/store/log/log-store.ts'
import { createFaultyDisk } from '../../../../../node/testing/virtual/faulty-disk.ts'
import type { Entry } from '../../../../../protocols/consensus/raft/raft-messages.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'
import { failureOf } from '../../../../support/until.ts'

const random = (bytes: number): Uint8Array => new Uint8Array(randomBytes(bytes))
const entry = (index: number): Entry => ({ index, term: 2, kind: 'command', data: new Uint8Array(100).fill(index) })

const written = async (count: number) => {
  const disk = createFaultyDisk()
  const store = await openLogStore(disk, { random, segmentBytes: 2_000 })
  await store.write({ hardState: { term: 2, votedFor: 'a', commit: 0 } })
  for (let i = 1; i <= count; i += 1) await store.write({ entries: [entry(i)] })
  await store.close()
  return { disk, store }
}

test('a log that is whole says what it holds, and is not repaired', async () => {
  const { disk, store } = await written(50)
  const { storageId, term, firstIndex, lastIndex, torn, problem, files } = await verifyLog(disk)
  assert.deepEqual([storageId, term, firstIndex, lastIndex, torn, problem], [store.storageId, 2, 1, 50, 0, undefined])
  assert.equal(files, (await logFiles(disk)).length)
  const error = await failureOf(repairLog(disk, random))
  assert.ok(isParleyError(error, 'STA003') && error.details.reason === 'whole')
})

test('an empty folder is whole', async () => {
  const { files, lastIndex, problem } = await verifyLog(createFaultyDisk())
  assert.deepEqual([files, lastIndex, problem], [0, 0, undefined])
})

test('damage is shown with its file, and what is before it is kept under another storage id', async () => {
  const { disk, store } = await written(60)
  const names = await logFiles(disk)
  const hit = names[1] ?? ''
  disk.flip(hit, 700)
  const before = await verifyLog(disk)
  assert.match(before.problem ?? '', new RegExp(`${hit} at byte \\d+`))
  assert.ok(before.lastIndex > 10 && before.lastIndex < 59)
  const after = await repairLog(disk, random)
  assert.deepEqual([after.lastIndex, after.term, after.problem], [before.lastIndex, 2, undefined])
  assert.notEqual(after.storageId, store.storageId)
  const aside = (await disk.list()).filter((name) => name.endsWith('.damaged'))
  assert.deepEqual(
    aside.sort(),
    names.map((name) => `${name}.damaged`),
  )
  const { opened } = await openLogStore(disk, { random })
  assert.deepEqual(
    opened.entries,
    Array.from({ length: before.lastIndex }, (_, i) => entry(i + 1)),
  )
})

test('a first file that is lost leaves nothing that could stand alone', async () => {
  const { disk } = await written(60)
  const [first = ''] = await logFiles(disk)
  await disk.remove(first)
  assert.match((await verifyLog(disk)).problem ?? '', /entries are missing/)
  const after = await repairLog(disk, random)
  assert.deepEqual([after.lastIndex, after.problem], [0, undefined])
})
