import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { random } from '../../../../../node/platform/platform.ts'
import { encodeSegment } from '../../../../../node/store/events/history-files.ts'
import { openHistoryLog } from '../../../../../node/store/events/history-log.ts'
import { decodeBatch, readSegment } from '../../../../../node/store/events/history-segment.ts'
import { type Disk, folderToCome } from '../../../../../node/store/files/disk.ts'
import { decodeHeader, encodeHeader, LOG_FORMAT, LOG_HEADER_BYTES } from '../../../../../node/store/log/log-frames.ts'
import { segmentName } from '../../../../../node/store/log/log-segments.ts'
import { createFaultyDisk } from '../../../../../node/testing/virtual/faulty-disk.ts'
import { OPEN_END } from '../../../../../protocols/events/series.ts'
import { testFolder } from '../../../../support/folder.ts'
import { keptLog } from '../../../../support/meshes.ts'

const SERIES = { publisher: 'p', word: 'tasks', epoch: 1000 }
const ALL = { from: 1, to: OPEN_END }
const BOUNDS = { maxBytes: 64 * 1024 * 1024, maxEvents: 1_000_000, maxAgeMs: 1_000_000 }
const NOW = 5_000

const openOn = (disk: Disk, log = keptLog()) => openHistoryLog(disk, 'tasks', BOUNDS, { now: () => NOW, log, random })

const setUp = async (context: TestContext) => {
  const folder = join(await testFolder(context), 'tasks')
  await mkdir(folder)
  return { folder, disk: folderToCome(folder) }
}

const batches = fc.array(
  fc.record({
    series: fc.record({ publisher: fc.string({ minLength: 1, maxLength: 60, unit: 'binary' }), epoch: fc.nat() }),
    range: fc
      .tuple(fc.integer({ min: 1, max: 2 ** 50 }), fc.nat(1000))
      .map(([from, count]) => ({ from, to: from + count })),
    keptAt: fc.nat(2 ** 48),
    sentAt: fc.nat(2 ** 48),
    payload: fc.uint8Array({ maxLength: 300 }),
  }),
  { minLength: 1, maxLength: 5 },
)

/** All that a segment has, with the payloads. */
const contentsOf = (bytes: Uint8Array) => {
  const salt = decodeHeader(bytes)?.salt ?? new Uint8Array()
  return readSegment(bytes).found.map(({ at, size, ...batch }) => {
    const { payload } = decodeBatch(bytes.subarray(at, at + size), salt) ?? {}
    return { ...batch, payload: payload && new Uint8Array(payload) }
  })
}

test('batches are read as they were written, and never from changed bytes', () => {
  fc.assert(
    fc.property(batches, fc.nat(), fc.integer({ min: 1, max: 255 }), (all, at, flip) => {
      const bytes = encodeSegment(1, random(8), all)
      assert.deepEqual(contentsOf(bytes), structuredClone(all))
      assert.ok(readSegment(bytes).isFinished)
      const where = at % bytes.length
      bytes[where] = (bytes[where] ?? 0) ^ flip
      const left = contentsOf(bytes)
      assert.ok(readSegment(bytes).lost > 0, 'it is seen')
      assert.ok(where < LOG_HEADER_BYTES || left.length >= all.length - 1)
      for (const one of left) assert.ok(all.some((good) => isDeepStrictEqual(structuredClone(good), one)))
    }),
  )
})

test('a byte that is changed anywhere costs one batch at most, unless it is of the header, and no batch is another one', async () => {
  const all = [1, 2, 3].map((from) => ({
    series: SERIES,
    range: { from, to: from },
    keptAt: NOW,
    sentAt: from,
    payload: new Uint8Array(20).fill(from),
  }))
  const bytes = encodeSegment(1, random(8), all)
  for (let at = 0; at < bytes.length; at += 1) {
    const disk = createFaultyDisk()
    const changed = new Uint8Array(bytes)
    changed[at] = (changed[at] ?? 0) ^ 1
    const file = await disk.create(segmentName(1))
    await file.write(changed, 0)
    // A change of the format is one of the header's checksum too.
    const history = await openOn(disk)
    const found = await history.find(SERIES, ALL)
    const numbers = found.batches.map(({ bytes: payload }) => payload[0] ?? 0)
    assert.ok(at < LOG_HEADER_BYTES || numbers.length >= 2, `byte ${at}: ${numbers}`)
    for (const { bytes: payload } of found.batches) assert.equal(new Set(payload).size, 1)
    await history.close()
  }
})

test('opening reads the header and the index of what is finished, and no batch', async (context) => {
  const { disk } = await setUp(context)
  const history = await openOn(disk)
  for (let from = 1; from <= 100; from += 1)
    history.keep(SERIES, { from, to: from }, new Uint8Array(30_000).fill(from), from)
  await history.close()
  let read = 0
  const counting: Disk = {
    ...disk,
    async open(name) {
      const file = await disk.open(name)
      return {
        ...file,
        async read(bytes, at) {
          read += bytes
          return file.read(bytes, at)
        },
      }
    },
  }
  const again = await openOn(counting)
  assert.deepEqual(again.list(undefined), [{ ...SERIES, from: 1, to: 100 }])
  assert.ok(read > 0 && read < 5_000, `${read} bytes`)
  assert.equal((await again.find(SERIES, { from: 50, to: 50 })).batches[0]?.bytes[0], 50)
  await again.close()
})

test('what a crash left without an index gets one when it is opened', async () => {
  const disk = createFaultyDisk()
  const history = await openOn(disk)
  for (let from = 1; from <= 20; from += 1) {
    history.keep(SERIES, { from, to: from }, new Uint8Array(100).fill(from), from)
    if (from % 5 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  disk.release()
  const cut = await disk.open(segmentName(1))
  await cut.truncate((await cut.size()) - 30)
  const log = keptLog()
  await (await openOn(disk, log)).close()
  assert.equal(log.lines.length, 1, 'that something is cut off is told once')
  const again = await openOn(disk, log)
  assert.equal((await again.find(SERIES, ALL)).batches.length, 19)
  assert.equal(log.lines.length, 1)
  assert.ok(readSegment(await disk.read(segmentName(1))).isFinished)
})

test('a power cut at any time leaves batches as they were kept, and what follows is kept', async () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const disk = createFaultyDisk()
    // Of the process whose machine loses power: it does nothing afterwards.
    const history = await openOn(disk.mount())
    for (let from = 1; from <= seed; from += 1) {
      history.keep(SERIES, { from, to: from }, new Uint8Array(600).fill(from), from)
      if (from % 7 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    let state = seed
    disk.crash(() => {
      state = (state * 48_271) % 2_147_483_647
      return state / 2_147_483_647
    })
    const again = await openOn(disk)
    const { batches: left } = await again.find(SERIES, ALL)
    for (const { bytes } of left) assert.deepEqual([bytes.length, new Set(bytes).size], [600, 1])
    again.keep(SERIES, { from: 100, to: 100 }, new Uint8Array(600).fill(100), 1)
    await again.close()
    const last = await openOn(disk)
    assert.equal((await last.find(SERIES, ALL)).batches.length, left.length + 1)
    await last.close()
  }
})

test('a file whose header has no room is made again once there is room', async () => {
  const disk = createFaultyDisk()
  const history = await openOn(disk.mount())
  disk.room = 10
  history.keep(SERIES, { from: 1, to: 1 }, new Uint8Array(60).fill(1), 1)
  await history.close()
  assert.deepEqual(await disk.list(), [])
  disk.room = Number.POSITIVE_INFINITY
  history.keep(SERIES, { from: 2, to: 2 }, new Uint8Array(60).fill(2), 1)
  await history.close()
  const again = await openOn(disk.mount())
  const { batches: left } = await again.find(SERIES, ALL)
  assert.deepEqual(
    left.map(({ bytes }) => bytes[0]),
    [2],
  )
  await again.close()
})

test('a segment of a later version is left as it is', async (context) => {
  const { folder, disk } = await setUp(context)
  const header = { format: LOG_FORMAT + 1, sequence: 1, salt: random(8), storageId: new Uint8Array(16), previous: 0 }
  await writeFile(join(folder, segmentName(1)), encodeHeader(header))
  await assert.rejects(openOn(disk), { code: 'STA003', details: { reason: 'newer' } })
  assert.deepEqual(await readdir(folder), [segmentName(1)])
})

/** As versions before wrote a batch. */
const earlierRecord = (from: number): Buffer => {
  const publisher = Buffer.from(SERIES.publisher)
  const bytes = Buffer.concat([Buffer.alloc(56), publisher, Buffer.alloc(100, from)])
  bytes.writeUInt32BE(0x50_45_48_31)
  bytes.writeUInt32BE(100, 8)
  bytes.writeUInt16BE(publisher.length, 12)
  bytes.writeDoubleBE(SERIES.epoch, 16)
  bytes.writeDoubleBE(from, 24)
  bytes.writeUInt32BE(1, 32)
  bytes.writeDoubleBE(NOW - 10, 40)
  bytes.writeDoubleBE(7, 48)
  bytes.writeUInt32BE(crc32(bytes.subarray(8)), 4)
  return bytes
}

test('segments of earlier versions are taken over, without what was damaged, and again where that was interrupted', async (context) => {
  const { folder, disk } = await setUp(context)
  const records = [1, 2, 3].map(earlierRecord)
  records[1]?.fill(9, 80, 90)
  const earlier = join(folder, '000000000004.history')
  await writeFile(earlier, Buffer.concat(records))
  const log = keptLog()
  const history = await openOn(disk, log)
  const { batches: found } = await history.find(SERIES, ALL)
  assert.deepEqual(
    found.map(({ bytes, ageMs }) => [bytes.length, bytes[0], ageMs]),
    [
      [100, 1, 10],
      [100, 3, 10],
    ],
  )
  assert.equal(log.lines.length, 1)
  history.keep(SERIES, { from: 4, to: 4 }, new Uint8Array(10), 1)
  await history.close()
  assert.deepEqual(await readdir(folder), [segmentName(4), segmentName(5)])
  // It was written, and the old one not removed yet.
  await writeFile(earlier, Buffer.concat([earlierRecord(1), earlierRecord(2), earlierRecord(3)]))
  await writeFile(join(folder, `${segmentName(4)}.part`), 'begun')
  const again = await openOn(disk)
  assert.equal((await again.find(SERIES, ALL)).batches.length, 4)
  await again.close()
  assert.ok(!(await readdir(folder)).includes('000000000004.history'))
  assert.ok((await readFile(join(folder, segmentName(4)))).length > 0)
})
