/** Fences on disk and the mark beside them: what was let through is not forgotten without a word, and a torn frame is cut off. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { FENCE_FILE, readFences } from '../../../../../node/store/fences/fence-file.ts'
import {
  acceptFenceLoss,
  createFenceStore,
  type FenceStoreOptions,
} from '../../../../../node/store/fences/fence-store.ts'
import { encodeFrame, encodeHeader, LOG_HEADER_BYTES } from '../../../../../node/store/log/log-frames.ts'
import { LOG_MARKER_FILE } from '../../../../../node/store/log/log-marker.ts'
import { segmentName } from '../../../../../node/store/log/log-segments.ts'
import { createFaultyDisk, type FaultyDisk } from '../../../../../node/testing/virtual/faulty-disk.ts'
import { createRandom } from '../../../../../node/testing/virtual/virtual-time.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'
import { createFenceGuard } from '../../../../../protocols/journal/fencing/fence-guard.ts'
import { createTimers, diskOf, type Image, imageOf, readable } from '../../../../support/disk-image.ts'
import { failureOf } from '../../../../support/until.ts'

const TAIL = 4_096
const WRITES = 160
const random = (bytes: number): Uint8Array => new Uint8Array(randomBytes(bytes))
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const open = async (disk: FaultyDisk, options: FenceStoreOptions = {}) => {
  const store = createFenceStore(disk.mount(), random, options)
  return { fences: await createFenceGuard(store), close: () => store.close() }
}
/** What is appended to. */
const LOG = segmentName(1)
const logIn = async (disk: Pick<FaultyDisk, 'list'>): Promise<string> =>
  (await disk.list())
    .filter((name) => /^\d{16}\.log$/.test(name))
    .sort()
    .at(-1) ?? ''

const reasonOf = async (disk: FaultyDisk): Promise<unknown> => {
  const error = await failureOf(open(disk))
  return isParleyError(error, 'STA003') ? error.details.reason : `${error}`
}

/** @param end how its process ended: with all of it synced and sealed, or in the middle of it */
const written = async (end: 'closed' | 'killed'): Promise<Image> => {
  const disk = createFaultyDisk()
  const { fences, close } = await open(disk)
  for (let i = 1; i <= WRITES; i += 1) await fences.accept('a', { term: 1, index: i })
  if (end === 'closed') await close()
  else {
    await turn()
    disk.release()
  }
  return imageOf(disk)
}

/** @returns whether it is refused; otherwise all that was let through is known */
const isRefused = async (image: Image, what: string): Promise<boolean> => {
  const { problem, table } = await readFences(readable(image))
  if (problem === undefined)
    assert.deepEqual(table.scopes.get('a'), { term: 1, index: WRITES }, `${what}: a loss without a word`)
  else assert.equal(problem.details.reason, 'damaged', what)
  return problem !== undefined
}
const damagedEnd = (bytes: Uint8Array, at: number): [string, Uint8Array][] => {
  const [flipped, zeroed, emptied] = [bytes.slice(), bytes.slice(), bytes.slice()]
  flipped[at] = (flipped[at] ?? 0) ^ 0xff
  zeroed[at] = 0
  emptied.fill(0, at)
  return [
    [`byte ${at} flipped`, flipped],
    [`byte ${at} zeroed`, zeroed],
    [`zeros from byte ${at} on`, emptied],
    [`cut at byte ${at}`, bytes.slice(0, at)],
  ]
}

describe('whatever happens to the last 4 KiB, no fence that was let through is lost without a word', () => {
  for (const end of ['closed', 'killed'] as const)
    test(`${end}: each byte flipped, zeroed, zeroed to the end, and the file cut there`, async () => {
      const image = await written(end)
      const whole = image.get(LOG) ?? new Uint8Array()
      assert.ok(whole.length > TAIL)
      assert.equal(await isRefused(image, 'as it was'), false)
      let [refused, harmless] = [0, 0]
      for (let at = whole.length - TAIL; at < whole.length; at += 1)
        for (const [what, bytes] of damagedEnd(whole, at))
          if (await isRefused(new Map(image).set(LOG, bytes), what)) refused += 1
          else harmless += 1
      assert.ok(refused > 3 * TAIL - 200 && harmless > 0, `${refused} refused, ${harmless} harmless`)
    })

  test('the file is gone, or its mark is, or it is an older version of itself', async () => {
    for (const end of ['closed', 'killed'] as const) {
      const image = await written(end)
      for (const name of [LOG, LOG_MARKER_FILE]) {
        const without = new Map(image)
        without.delete(name)
        assert.ok(await isRefused(without, `${name} is gone`))
      }
      assert.ok(await isRefused(new Map(image).set(LOG_MARKER_FILE, new Uint8Array(12_288)), 'no whole mark'))
    }
    const disk = createFaultyDisk()
    const { fences, close } = await open(disk)
    for (let i = 1; i <= 4_000; i += 1) await fences.accept('a', { term: 1, index: i })
    const older = await disk.read(LOG)
    // Long enough that it is written anew meanwhile.
    for (let i = 4_001; i <= 5_000; i += 1) await fences.accept('a', { term: 1, index: i })
    await close()
    const image = await imageOf(disk)
    assert.ok((image.get(LOG)?.length ?? 0) < older.length)
    assert.match((await readFences(readable(image.set(LOG, older)))).problem?.message ?? '', /does not follow/)
  })
})

test('a frame that nobody was let through for is cut off, and what comes next stands behind what is good', async () => {
  const image = await written('killed')
  const bytes = image.get(LOG) ?? new Uint8Array()
  for (const torn of [Buffer.alloc(40), random(3), random(200)]) {
    const disk = await diskOf(new Map(image).set(LOG, Buffer.concat([bytes, torn])))
    const { fences, close } = await open(disk)
    assert.deepEqual(fences.highest('a'), { term: 1, index: WRITES })
    await fences.accept('a', { term: 2, index: 1 })
    await close()
    const again = await open(disk)
    assert.deepEqual(again.fences.highest('a'), { term: 2, index: 1 })
    await again.close()
  }
})

test('power cuts at any time, damage of what was at rest: refused, or all that was let through is known', async () => {
  const cycle = async (seed: number): Promise<void> => {
    const chance = createRandom(seed)
    const disk = createFaultyDisk()
    let highest = 0
    for (let life = 0; life < 4; life += 1) {
      const { fences, close } = await open(disk)
      assert.ok((fences.highest('a')?.index ?? 0) >= highest, `seed ${seed}, life ${life}`)
      const ends = Math.floor(chance() * 12)
      for (let i = 0; i < ends; i += 1) {
        const index = (fences.highest('a')?.index ?? 0) + 1
        await fences.accept('a', { term: 1, index })
        highest = index
      }
      if (chance() < 0.5) await close()
      else fences.accept('a', { term: 1, index: highest + 1 }).catch(() => {})
      await turn()
      if (chance() < 0.5) disk.crash(chance)
      else disk.release()
    }
    const { fences, close } = await open(disk)
    await fences.accept('a', { term: 2, index: 1 })
    await close()
    const size = disk.size(LOG)
    disk.flip(LOG, Math.floor(chance() * size))
    const found = await readFences(disk)
    if (found.problem === undefined)
      assert.deepEqual(found.table.scopes.get('a'), { term: 2, index: 1 }, `seed ${seed}`)
  }
  await fc.assert(fc.asyncProperty(fc.nat(0xff_ff_ff), cycle), { numRuns: 60 })
})

/** As a version without marks wrote it. */
const oldFile = (indices: readonly number[]): Uint8Array => {
  const salt = random(8)
  const parts = [encodeHeader({ format: 1, sequence: 0, salt, storageId: new Uint8Array(16), previous: 0 })]
  let previous = 0
  for (const index of indices) {
    const frame = encodeFrame(salt, previous, new TextEncoder().encode(JSON.stringify([['a', 1, index, 0, 0]])))
    previous = frame.crc
    parts.push(frame.bytes)
  }
  return Buffer.concat(parts)
}

test('a file of an older version is taken over, and its end is missed from then on', async () => {
  const disk = await diskOf(new Map([[FENCE_FILE, oldFile([1, 2, 3])]]))
  const { fences, close } = await open(disk)
  assert.deepEqual(fences.highest('a'), { term: 1, index: 3 })
  await close()
  const image = await imageOf(disk)
  const name = await logIn(disk)
  assert.deepEqual([name, (await disk.list()).includes(FENCE_FILE)], [segmentName(0), false])
  const bytes = image.get(name) ?? new Uint8Array()
  const cut = await readFences(readable(new Map(image).set(name, bytes.slice(0, LOG_HEADER_BYTES))))
  assert.equal(cut.problem?.details.reason, 'damaged')
})

test('a file of an older version that is damaged is refused as it is; what is good of it is kept where that is accepted', async () => {
  for (const [bytes, kept, aside] of [
    [oldFile([1, 2, 3]).map((byte, at) => (at === 70 ? byte ^ 1 : byte)), undefined, FENCE_FILE],
    [oldFile([1, 2, 3]).map((byte, at) => (at === 110 ? byte ^ 1 : byte)), 1, segmentName(0)],
    [new Uint8Array(80).fill(7), undefined, FENCE_FILE],
  ] as const) {
    const disk = await diskOf(new Map([[FENCE_FILE, bytes]]))
    assert.equal(await reasonOf(disk), 'damaged')
    assert.deepEqual(await disk.list(), [FENCE_FILE])
    assert.deepEqual(await acceptFenceLoss(disk, random), [`${aside}.damaged`])
    assert.equal((await open(disk)).fences.highest('a')?.index, kept)
  }
})

test('without room the file is opened as it is, and taken over with the next fence that has room', async () => {
  const disk = await diskOf(new Map([[FENCE_FILE, oldFile([1, 2, 3])]]))
  disk.room = disk.used()
  const { fences, close } = await open(disk)
  assert.deepEqual(fences.highest('a'), { term: 1, index: 3 })
  await assert.rejects(fences.accept('a', { term: 2, index: 1 }), { code: 'STA003', details: { reason: 'disk-full' } })
  disk.room = Number.POSITIVE_INFINITY
  await fences.accept('a', { term: 2, index: 2 })
  await close()
  const again = await open(disk)
  assert.deepEqual(again.fences.highest('a'), { term: 2, index: 2 })
  assert.equal((await readFences(disk)).mark.kind, 'whole')
})

test('a disk that says nothing of a sync costs that fence, and the next one makes a whole new file', async () => {
  const disk = createFaultyDisk()
  const { fences, close } = await open(disk)
  await fences.accept('a', { term: 1, index: 1 })
  disk.failSync = true
  await assert.rejects(fences.accept('a', { term: 1, index: 2 }), { details: { reason: 'disk-failed' } })
  await fences.accept('a', { term: 1, index: 3 })
  await close()
  assert.equal(await logIn(disk), segmentName(2))
  await assert.rejects(fences.accept('a', { term: 1, index: 4 }), { code: 'STA003' })
})

test('the seal stands behind the last fence once nothing was written for a while, and once', async () => {
  const disk = createFaultyDisk()
  const timers = createTimers()
  const { fences, close } = await open(disk, { timers })
  await fences.accept('a', { term: 1, index: 1 })
  await fences.accept('a', { term: 1, index: 2 })
  await turn()
  const before = disk.size(LOG)
  for (let i = 0; i < 3; i += 1) {
    timers.runOut()
    await turn()
  }
  assert.equal(disk.size(LOG), before + 16)
  assert.equal((await readFences(disk)).isSealed, true)
  await close()
  assert.equal(disk.size(LOG), before + 16)
})

test('a loss that is accepted goes on with what is good of it, and keeps a copy', async () => {
  const image = await written('closed')
  const bytes = image.get(LOG) ?? new Uint8Array()
  const disk = await diskOf(image.set(LOG, bytes.slice(0, -400)))
  assert.equal(await reasonOf(disk), 'damaged')
  assert.deepEqual(await acceptFenceLoss(disk, random), [`${LOG}.damaged`])
  const { fences } = await open(disk)
  assert.ok((fences.highest('a')?.index ?? 0) > WRITES - 20)
  assert.deepEqual(await acceptFenceLoss(disk, random), [])
  disk.flip(await logIn(disk), 20)
  assert.equal(await reasonOf(disk), 'damaged')
  await acceptFenceLoss(disk, random)
  assert.equal((await open(disk)).fences.highest('a'), undefined)
})

test('whatever lies in the folder, it is read, or refused with a reason', async () => {
  const piece = fc.uint8Array({ maxLength: 300 })
  await fc.assert(
    fc.asyncProperty(fc.option(piece), fc.option(piece), async (file, mark) => {
      const image: Image = new Map()
      if (file !== null) image.set(FENCE_FILE, file)
      if (mark !== null) image.set(LOG_MARKER_FILE, mark)
      const { problem } = await readFences(readable(image))
      assert.equal(problem === undefined, file === null && mark === null)
    }),
  )
})
