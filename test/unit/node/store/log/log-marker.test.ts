/** The mark beside the log, and its seals: what is gone from the end is noticed, and a power cut is not taken for it. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { encodeFrame, encodeHeader } from '../../../../../node/store/log/log-frames.ts'
import { encodeChanges } from '../../../../../node/store/log/log-items.ts'
import {
  LOG_MARKER_FILE,
  missingByMarker,
  readLogMarker,
  writeLogMarker,
} from '../../../../../node/store/log/log-marker.ts'
import { openLogStore, readRaftLog } from '../../../../../node/store/log/log-store.ts'
import { createFaultyDisk, type FaultyDisk } from '../../../../../node/testing/virtual/faulty-disk.ts'
import { createRandom } from '../../../../../node/testing/virtual/virtual-time.ts'
import type { Entry } from '../../../../../protocols/consensus/raft/raft-messages.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'
import { createTimers, diskOf, type Image, imageOf, readable } from '../../../../support/disk-image.ts'
import { failureOf } from '../../../../support/until.ts'

const TAIL = 4_096
const random = (bytes: number): Uint8Array => new Uint8Array(randomBytes(bytes))
const entry = (index: number, size = 60): Entry => ({
  index,
  term: 3,
  kind: 'command',
  data: new Uint8Array(size).fill(index),
})
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const reasonOf = (error: unknown): unknown => (isParleyError(error) ? error.details.reason : `${error}`)
const configuration = { voters: ['a', 'b', 'c'], learners: [] }

const lastLog = (image: Image): string =>
  [...image.keys()]
    .filter((name) => name.endsWith('.log'))
    .sort()
    .at(-1) ?? ''

const WRITES = 40
/** @param end how its process ended: with all of it synced and sealed, or in the middle of it */
const written = async (end: 'closed' | 'killed', segmentBytes = 2_000): Promise<Image> => {
  const disk = createFaultyDisk()
  const store = await openLogStore(disk.mount(), { random, segmentBytes })
  for (let i = 1; i <= WRITES; i += 1)
    await store.write({ hardState: { term: 3, votedFor: `m${i}`, commit: i - 1 }, entries: [entry(i)] })
  if (end === 'closed') await store.close()
  else {
    await turn()
    disk.release()
  }
  return imageOf(disk)
}

/** Opens what is left of a log. @returns what is wrong with it; undefined: all that was answered is there */
const judge = async (image: Image, what: string): Promise<string | undefined> => {
  const { problem, state } = await readRaftLog(readable(image))
  if (problem !== undefined) {
    assert.equal(problem.details.reason, 'damaged', what)
    return problem.message
  }
  const { hardState, entries } = state
  assert.deepEqual([hardState.votedFor, entries.length], [`m${WRITES}`, WRITES], `${what}: a loss without a word`)
  return undefined
}

describe('whatever happens to the last 4 KiB of a log, nothing that was answered is lost without a word', () => {
  for (const end of ['closed', 'killed'] as const)
    test(`${end}: each byte flipped, zeroed, zeroed to the end, and the file cut there`, async () => {
      const image = await written(end, 1 << 20)
      const name = lastLog(image)
      const whole = image.get(name) ?? new Uint8Array()
      assert.equal(await judge(image, 'as it was'), undefined)
      let [refused, harmless] = [0, 0]
      const look = async (bytes: Uint8Array, what: string): Promise<void> => {
        if ((await judge(new Map(image).set(name, bytes), what)) === undefined) harmless += 1
        else refused += 1
      }
      for (let at = Math.max(0, whole.length - TAIL); at < whole.length; at += 1) {
        const [flipped, zeroed, emptied] = [whole.slice(), whole.slice(), whole.slice()]
        flipped[at] = (flipped[at] ?? 0) ^ 0xff
        zeroed[at] = 0
        emptied.fill(0, at)
        await look(flipped, `byte ${at} flipped`)
        await look(zeroed, `byte ${at} zeroed`)
        await look(emptied, `zeros from byte ${at} on`)
        await look(whole.slice(0, at), `cut at byte ${at}`)
      }
      assert.ok(refused > 3 * TAIL - 200 && harmless > 0, `${refused} refused, ${harmless} harmless`)
    })

  test('a last file that is gone, and an older version of each file, are noticed', async () => {
    for (const end of ['closed', 'killed'] as const) {
      const image = await written(end)
      const name = lastLog(image)
      const without = new Map(image)
      without.delete(name)
      assert.match((await judge(without, 'the last file is gone')) ?? '', /there was a file/)
      const none = new Map([...image].filter(([one]) => !one.endsWith('.log')))
      assert.match((await judge(none, 'all files are gone')) ?? '', /none of the files is there/)
    }
  })

  test('an older version of the whole file is noticed, as each of its seals left it', async () => {
    const disk = createFaultyDisk()
    const timers = createTimers()
    const store = await openLogStore(disk.mount(), { random, timers })
    const older: Uint8Array[] = []
    for (let i = 1; i <= WRITES; i += 1) {
      await store.write({ hardState: { term: 3, votedFor: `m${i}`, commit: i - 1 }, entries: [entry(i)] })
      if (i % 5 !== 0) continue
      await turn()
      // Once for what was written meanwhile, once for the seal.
      timers.runOut()
      timers.runOut()
      await turn()
      older.push(await disk.read('0000000000000001.log'))
    }
    assert.equal(store.counts().seals, 8)
    await store.close()
    const image = await imageOf(disk)
    for (const [i, bytes] of older.entries()) {
      const found = await judge(new Map(image).set(lastLog(image), bytes), `as it was sealed ${i}`)
      assert.equal(found === undefined, i === older.length - 1)
    }
  })

  test('a mark that is gone, or damaged as a whole, beside a log that had one, is no proof of anything', async () => {
    for (const end of ['closed', 'killed'] as const) {
      const image = await written(end)
      const without = new Map(image)
      without.delete(LOG_MARKER_FILE)
      assert.match((await judge(without, 'no mark')) ?? '', /is not there/)
      const damaged = new Map(image).set(LOG_MARKER_FILE, new Uint8Array(12_288))
      assert.match((await judge(damaged, 'no whole mark')) ?? '', /is damaged/)
    }
  })

  test('a byte of the mark alone refuses no log, unless it is of its header', async () => {
    const image = await written('closed')
    const mark = image.get(LOG_MARKER_FILE) ?? new Uint8Array()
    for (let at = 12; at < mark.length; at += at % 4_096 < 48 ? 1 : 61) {
      const flipped = mark.slice()
      flipped[at] = (flipped[at] ?? 0) ^ 0xff
      assert.equal(await judge(new Map(image).set(LOG_MARKER_FILE, flipped), `byte ${at} of the mark`), undefined)
    }
  })

  test('the first files of a log, gone without a snapshot of what they held, are missed', async () => {
    const disk = createFaultyDisk()
    const store = await openLogStore(disk.mount(), { random, segmentBytes: 2_000 })
    for (let i = 1; i <= 40; i += 1) await store.write({ entries: [entry(i)] })
    await store.close()
    // The last file has nothing but its first frame: term and vote.
    const again = await openLogStore(disk.mount(), { random, segmentBytes: 1 })
    await again.write({ hardState: { term: 4, votedFor: undefined, commit: 40 } })
    await again.close()
    const image = await imageOf(disk)
    const last = lastLog(image)
    const alone = new Map([...image].filter(([name]) => !name.endsWith('.log') || name === last))
    assert.match((await readRaftLog(readable(alone))).problem?.message ?? '', /entries are missing/)
  })
})

test('the seal is written once nothing was written for a while, on closing, and once', async () => {
  const disk = createFaultyDisk()
  const timers = createTimers()
  const store = await openLogStore(disk.mount(), { random, timers })
  timers.runOut()
  await turn()
  assert.equal(store.counts().seals, 0, 'there is nothing to be sealed')
  await store.write({ entries: [entry(1)] })
  await turn()
  timers.runOut()
  await turn()
  timers.runOut()
  await turn()
  assert.equal(store.counts().seals, 1)
  await store.write({ entries: [entry(2)] })
  await store.close()
  assert.equal(store.counts().seals, 2)
  const again = await openLogStore(disk.mount(), { random, timers })
  await again.close()
  assert.deepEqual([again.counts().seals, again.opened.entries.length], [0, 2])
})

test('a disk without room for the seal refuses nothing, and is not asked again and again', async () => {
  const disk = createFaultyDisk()
  const timers = createTimers()
  const store = await openLogStore(disk.mount(), { random, timers })
  await store.write({ entries: [entry(1)] })
  disk.room = disk.used()
  timers.runOut()
  await turn()
  timers.runOut()
  await turn()
  assert.deepEqual([store.counts().seals, store.counts().failed], [0, 0])
  disk.room = Number.POSITIVE_INFINITY
  await store.write({ entries: [entry(2)] })
  await store.close()
  assert.equal(store.counts().seals, 1)
})

/** As a version without marks wrote it. */
const oldLog = async (disk: FaultyDisk, count: number): Promise<void> => {
  const salt = random(8)
  const file = await disk.create('0000000000000001.log')
  await file.write(encodeHeader({ format: 1, sequence: 1, salt, storageId: random(16), previous: 0 }), 0)
  let [at, previous] = [64, 0]
  for (let i = 1; i <= count; i += 1) {
    const { bytes, crc } = encodeFrame(salt, previous, encodeChanges([{ entries: [entry(i)] }]))
    await file.write(bytes, at)
    at += bytes.length
    previous = crc
  }
  await file.sync()
  await disk.syncNames()
}

test('a log of an older version is opened as ever, and has a mark from then on', async () => {
  const disk = createFaultyDisk()
  await oldLog(disk, 9)
  const store = await openLogStore(disk.mount(), { random })
  assert.equal(store.opened.entries.length, 9)
  assert.equal((await readLogMarker(disk)).kind, 'whole')
  await store.close()
  const image = await imageOf(disk)
  const bytes = image.get(lastLog(image)) ?? new Uint8Array()
  const { problem } = await readRaftLog(readable(new Map(image).set(lastLog(image), bytes.slice(0, -200))))
  assert.equal(problem?.details.reason, 'damaged')
})

test('what a version without marks wrote, or put in the place of a log, is opened again', async () => {
  const disk = createFaultyDisk()
  const store = await openLogStore(disk.mount(), { random, segmentBytes: 500 })
  for (let i = 1; i <= 20; i += 1) await store.write({ entries: [entry(i)] })
  await store.close()
  const mark = await disk.read(LOG_MARKER_FILE)
  // It goes on, and leaves the mark as it is.
  const older = await openLogStore(disk.mount(), { random, segmentBytes: 500 })
  for (let i = 21; i <= 40; i += 1) await older.write({ entries: [entry(i)] })
  await older.write({ base: { meta: { index: 38, term: 3, configuration }, keeps: true } })
  await older.close()
  const image = (await imageOf(disk)).set(LOG_MARKER_FILE, mark)
  assert.equal((await readRaftLog(readable(image))).problem, undefined)
  // A log of another storage id, without a word of a mark.
  const other = createFaultyDisk()
  await oldLog(other, 3)
  const replaced = (await imageOf(other)).set(LOG_MARKER_FILE, mark)
  const opened = await openLogStore(await diskOf(replaced), { random })
  assert.equal(opened.opened.entries.length, 3)
})

test('a mark of a later version is refused as such', async () => {
  const image = await written('closed')
  const disk = await diskOf(image)
  const { crc32 } = await import('node:zlib')
  const header = Buffer.from(image.get(LOG_MARKER_FILE)?.slice(0, 12) ?? [])
  header.writeUInt32BE(2, 4)
  header.writeUInt32BE(crc32(header.subarray(0, 8)), 8)
  const file = await disk.open(LOG_MARKER_FILE)
  await file.write(header, 0)
  assert.equal(reasonOf(await failureOf(openLogStore(disk, { random }))), 'newer')
})

test('whatever stands in the file of the mark, it is read as a position, a newer format, or damage', async () => {
  const disk = createFaultyDisk()
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      fc.maxSafeNat(),
      fc.maxSafeNat(),
      fc.nat(0xff_ff_ff_ff),
      async (id, sequence, end, crc) => {
        const position = { id: Buffer.from(id).toString('hex'), sequence, end, crc }
        await writeLogMarker(disk, position)
        assert.deepEqual(await readLogMarker(disk), { kind: 'whole', value: position, slot: 0 })
      },
    ),
  )
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 13_000, size: 'max' }), async (bytes) => {
      assert.equal((await readLogMarker({ read: async () => bytes })).kind, 'damaged')
    }),
    { numRuns: 50 },
  )
})

test('a mark misses what does not reach it, and nothing else', () => {
  const position = { id: 'aa', sequence: 4, end: 500, crc: 7 }
  const good = { id: 'aa', firstSequence: 3, lastSequence: 4, end: 500, crcAtMark: 7, wasMarked: true }
  const missed = (change: Partial<typeof good>, at: Partial<typeof position> = {}) =>
    missingByMarker({ kind: 'whole', slot: 0, value: { ...position, ...at } }, { ...good, ...change }, 64) !== undefined
  assert.equal(missed({}), false)
  assert.equal(missed({ end: 499 }), true)
  assert.equal(missed({ end: 501 }), false)
  assert.equal(missed({ crcAtMark: 8 }), true)
  assert.equal(missed({ lastSequence: 3 }), true)
  assert.equal(missed({ lastSequence: 5, end: 64 }), false)
  assert.equal(missed({ firstSequence: 5, lastSequence: 5, end: 64 }), false)
  assert.equal(missed({ id: 'bb' }), true)
  assert.equal(missed({ id: 'bb', wasMarked: false }), false)
  assert.equal(missed({ end: 64 }, { end: 64 }), false)
})

test('a power cut at any moment leaves a log that opens with all that was answered: 3,000 cuts', async () => {
  let [torn, behind] = [0, 0]
  for (let seed = 1; seed <= 500; seed += 1) {
    const chance = createRandom(seed)
    const disk = createFaultyDisk()
    let [answered, asked] = [0, 0]
    for (let life = 0; life < 6; life += 1) {
      const timers = createTimers()
      const opened = await openLogStore(disk.mount(), { random, timers, segmentBytes: 6_000 })
      const last = opened.opened.entries.at(-1)?.index ?? opened.opened.snapshot?.index ?? 0
      assert.ok(last >= answered && last <= asked, `seed ${seed}, life ${life}: ${last} of ${answered} to ${asked}`)
      torn += opened.counts().cutOff
      ;[answered, asked] = [last, last]
      const count = Math.floor(chance() * 12)
      for (let i = 0; i < count; i += 1) {
        const snapshot = chance() < 0.1 && answered > 0
        if (!snapshot) asked += 1
        const change = snapshot
          ? { base: { meta: { index: answered, term: 3, configuration }, keeps: true } }
          : { entries: [entry(asked, Math.floor(chance() * 1_500))] }
        const writing = opened.write(change).then(() => {
          answered = asked
        })
        if (chance() < 0.4) timers.runOut()
        if (i === count - 1 && chance() < 0.7) {
          writing.catch(() => {})
          for (let n = Math.floor(chance() * 40); n > 0; n -= 1) await Promise.resolve()
        } else await writing
        if (chance() < 0.3) {
          timers.runOut()
          for (let n = Math.floor(chance() * 20); n > 0; n -= 1) await Promise.resolve()
        }
      }
      const closing = chance() < 0.2 ? opened.close().catch(() => {}) : undefined
      for (let n = Math.floor(chance() * 20); n > 0; n -= 1) await Promise.resolve()
      const before = await readLogMarker(disk)
      disk.crash(chance)
      await closing
      const after = await readLogMarker(disk)
      if (before.kind === 'whole' && after.kind === 'whole' && after.value.end < before.value.end) behind += 1
    }
  }
  assert.ok(torn > 0 && behind > 100, `${torn} bytes were torn, and ${behind} marks fell behind`)
})
