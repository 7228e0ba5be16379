import assert from 'node:assert/strict'
import { appendFile, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { random } from '../../../../../node/platform/platform.ts'
import { MAX_UNWRITTEN_BYTES, openHistoryLog } from '../../../../../node/store/events/history-log.ts'
import { folderToCome } from '../../../../../node/store/files/disk.ts'
import type { ChannelHistory } from '../../../../../protocols/events/history/history-contract.ts'
import { MAX_FETCH_BYTES } from '../../../../../protocols/events/protocol.ts'
import { OPEN_END } from '../../../../../protocols/events/series.ts'
import { testFolder } from '../../../../support/folder.ts'
import { keptLog } from '../../../../support/meshes.ts'

const SERIES = { publisher: 'p', word: 'tasks', epoch: 1000 }
const ALL = { from: 1, to: OPEN_END }
const BOUNDS = { maxBytes: 1024 * 1024, maxEvents: 1_000_000, maxAgeMs: 1_000_000 }

const setUp = async (context: TestContext, bounds = BOUNDS) => {
  const folder = join(await testFolder(context), 'tasks')
  const clock = { now: 5_000 }
  const log = keptLog()
  const reopen = () => openHistoryLog(folderToCome(folder), 'tasks', bounds, { now: () => clock.now, log, random })
  const files = async () => (await readdir(folder)).sort().map((name) => join(folder, name))
  return { folder, clock, log, reopen, files }
}

const keep = (history: ChannelHistory, from: number, to = from, size = 10, series = SERIES) =>
  history.keep(series, { from, to }, new Uint8Array(size).fill(from), from * 10)
const found = async (history: ChannelHistory, range = ALL, series = SERIES) =>
  (await history.find(series, range)).batches.map(({ bytes }) => bytes[0])

test('what is kept is found at once, after it was written, and when it is opened again', async (context) => {
  const { clock, reopen } = await setUp(context)
  const history = await reopen()
  for (const [from, to] of [
    [1, 3],
    [7, 9],
    [4, 6],
  ] as const)
    keep(history, from, to)
  keep(history, 1, 1, 10, { ...SERIES, epoch: 2000 })
  assert.deepEqual(await found(history), [1, 4, 7])
  await history.close()
  assert.deepEqual(await found(history, { from: 6, to: 7 }), [4, 7])
  clock.now += 500
  const again = await reopen()
  assert.deepEqual([await found(again), await found(again, ALL, { ...SERIES, epoch: 2000 })], [[1, 4, 7], [1]])
  const { batches } = await again.find(SERIES, ALL)
  assert.deepEqual(
    batches.map(({ ageMs }) => ageMs),
    [500, 500, 500],
  )
  assert.deepEqual(again.list(70), [
    { ...SERIES, from: 1, to: 9, since: 7 },
    { ...SERIES, epoch: 2000, from: 1, to: 1, since: undefined },
  ])
  keep(again, 10)
  assert.deepEqual(await found(again), [1, 4, 7, 10])
  await again.close()
})

test('nothing is made on the disk before the first batch', async (context) => {
  const { folder, reopen } = await setUp(context)
  const history = await reopen()
  assert.deepEqual([await found(history), history.list(undefined)], [[], []])
  await history.close()
  await assert.rejects(readdir(folder), { code: 'ENOENT' })
})

test('while batches are written others come, and all are found', async (context) => {
  const { reopen } = await setUp(context)
  const history = await reopen()
  for (let from = 1; from <= 200; from += 1) {
    keep(history, from)
    if (from % 7 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  await history.close()
  assert.equal((await found(await reopen())).length, 200)
})

test('what is too much or too old goes a segment at a time, the oldest first, and stays away', async (context) => {
  const { clock, reopen, files } = await setUp(context, { ...BOUNDS, maxBytes: 512 * 1024 })
  const history = await reopen()
  for (let from = 1; from <= 200; from += 1) keep(history, from, from, 5_000)
  await history.close()
  const { bytes } = history.figures()
  assert.ok(bytes <= 512 * 1024 && bytes > 400 * 1024, `${bytes} bytes`)
  const left = history.list(undefined)[0]
  assert.equal(left?.to, 200)
  assert.ok((left?.from ?? 0) > 90)
  assert.ok((await files()).length <= 9)
  assert.deepEqual((await reopen()).list(undefined), history.list(undefined))
  clock.now += BOUNDS.maxAgeMs
  assert.deepEqual(await found(history), [])
  assert.equal(history.figures().bytes, 0)
})

test('events are bounded too, and a batch that is too large alone is not kept', async (context) => {
  const { reopen } = await setUp(context, { ...BOUNDS, maxEvents: 80 })
  const history = await reopen()
  for (let from = 1; from <= 200; from += 1) keep(history, from)
  assert.ok(history.figures().events <= 80 && history.figures().events >= 70)
  keep(history, 300, 380)
  assert.equal(history.list(undefined)[0]?.to, 200)
  await history.close()
})

test('an answer holds 256 KiB, and says that there is more', async (context) => {
  const { reopen } = await setUp(context)
  const history = await reopen()
  for (let from = 1; from <= 6; from += 1) keep(history, from, from, 60 * 1024)
  const { batches, more } = await history.find(SERIES, ALL)
  assert.deepEqual([batches.length, more], [4, true])
  assert.ok(batches.reduce((sum, { bytes }) => sum + bytes.length, 0) <= MAX_FETCH_BYTES)
  await history.close()
})

test('a batch that is damaged is missing, and those around it are found', async (context) => {
  const { log, reopen, files } = await setUp(context)
  const history = await reopen()
  for (let from = 1; from <= 5; from += 1) keep(history, from, from, 100)
  await history.close()
  const [file = ''] = await files()
  const bytes = await readFile(file)
  // Its payload is a row of threes.
  bytes[bytes.indexOf(new Uint8Array(50).fill(3))] = 77
  await writeFile(file, bytes)
  assert.deepEqual(await found(history), [1, 2, 4, 5], 'also one that was good when it was opened')
  assert.deepEqual(await found(await reopen()), [1, 2, 4, 5])
  assert.ok(log.lines.some(({ message }) => message.includes('damaged')))
})

test('what a crash cut off is missing, and the next run goes on behind it', async (context) => {
  const { reopen, files } = await setUp(context)
  const history = await reopen()
  for (let from = 1; from <= 3; from += 1) keep(history, from, from, 100)
  await history.close()
  const [file = ''] = await files()
  await truncate(file, (await readFile(file)).indexOf(new Uint8Array(100).fill(3)) + 70)
  const again = await reopen()
  assert.deepEqual(await found(again), [1, 2])
  keep(again, 3)
  await again.close()
  await appendFile(file, new Uint8Array(100).fill(9))
  assert.deepEqual(await found(await reopen()), [1, 2, 3])
})

test('what cannot be written is missing, and is told once', async (context) => {
  const { folder, log, reopen } = await setUp(context)
  const history = await reopen()
  await writeFile(folder, 'a file where the folder would be')
  for (let from = 1; from <= 3; from += 1) {
    keep(history, from)
    assert.deepEqual(await found(history, { from, to: from }), [from], 'it is in memory until then')
    await history.close()
  }
  assert.deepEqual([await found(history), history.list(undefined)], [[], []])
  assert.equal(log.lines.filter(({ message }) => message === 'events cannot be kept on disk').length, 1)
  await rm(folder)
  keep(history, 4)
  await history.close()
  assert.deepEqual(await found(await reopen()), [4], 'it goes on where that ends')
})

test('what waits to be written is bounded; what is too much is not kept', async (context) => {
  const { log, reopen } = await setUp(context, { ...BOUNDS, maxBytes: 200 * 1024 * 1024 })
  const history = await reopen()
  const count = MAX_UNWRITTEN_BYTES / (1024 * 1024)
  for (let from = 1; from <= count + 2; from += 1) keep(history, from, from, 1024 * 1024 - 100)
  assert.equal(history.figures().events, count)
  assert.equal(log.lines.length, 1)
  await history.close()
  keep(history, 100)
  assert.deepEqual(await found(history, { from: 100, to: 100 }), [100])
  await history.close()
})

test('what is caught up goes before what was heard, also after a restart, and ends with its age', async (context) => {
  const { clock, reopen, files } = await setUp(context, { ...BOUNDS, maxBytes: 300_000 })
  clock.now = 900_000
  const heard = { ...SERIES, publisher: 'heard' }
  let history = await reopen()
  const catchUp = (from: number, ageMs: number) =>
    history.keep(SERIES, { from, to: from }, new Uint8Array(30_000).fill(from), 1, ageMs)
  for (const from of [1, 2, 3]) {
    assert.equal(keep(history, from, from, 30_000, heard), true)
    assert.equal(catchUp(from, 500_000 - from), true)
  }
  assert.deepEqual([catchUp(3, 0), catchUp(4, 1_000_000)], [false, false])
  assert.equal((await history.find(SERIES, ALL)).batches[0]?.ageMs, 499_999)
  await history.close()
  assert.equal((await files()).length, 2, 'each in files of their own')
  history = await reopen()
  const batches = [...(await history.find(SERIES, ALL)).batches, ...(await history.find(heard, ALL)).batches]
  assert.deepEqual(
    batches.map(({ bytes, ageMs }) => [bytes.length, bytes[0], ageMs]),
    [
      [30_000, 1, 499_999],
      [30_000, 2, 499_998],
      [30_000, 3, 499_997],
      [30_000, 1, 0],
      [30_000, 2, 0],
      [30_000, 3, 0],
    ],
  )
  for (const from of [4, 5, 6, 7]) keep(history, from, from, 30_000, heard)
  assert.deepEqual([await found(history), await found(history, ALL, heard)], [[], [1, 2, 3, 4, 5, 6, 7]])
  for (const from of [8, 9]) keep(history, from, from, 30_000, heard)
  assert.equal(catchUp(9, 400_000), false, 'full, and it would go first')
  await history.close()
})

test('heard and caught up in turns are all written, and read back', async (context) => {
  const { clock, reopen } = await setUp(context, { ...BOUNDS, maxBytes: 64 * 1024 * 1024 })
  clock.now = 900_000
  const heard = { ...SERIES, publisher: 'heard' }
  const history = await reopen()
  for (let from = 1; from <= 200; from += 1) {
    keep(history, from, from, 5_000, heard)
    history.keep(SERIES, { from, to: from }, new Uint8Array(5_000).fill(from), 1, 1_000)
    if (from % 20 === 0) await history.find(SERIES, ALL)
  }
  await history.close()
  const again = await reopen()
  const all = async (series: typeof SERIES) => {
    const numbers: number[] = []
    for (let from = 1; from <= 200; ) {
      const { batches } = await again.find(series, { from, to: OPEN_END })
      assert.ok(batches.length > 0, `${series.publisher} from ${from}`)
      numbers.push(...batches.map(({ bytes }) => bytes[0] ?? 0))
      from += batches.length
    }
    return numbers
  }
  const wanted = Array.from({ length: 200 }, (_, index) => index + 1)
  assert.deepEqual([await all(SERIES), await all(heard)], [wanted, wanted])
  await again.close()
})
