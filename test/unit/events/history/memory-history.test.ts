import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createMemoryHistory } from '../../../../protocols/events/history/memory-history.ts'
import { MAX_FETCH_BATCHES, MAX_FETCH_BYTES } from '../../../../protocols/events/protocol.ts'
import type { EventSeries, SequenceRange } from '../../../../protocols/events/series.ts'

const SERIES: EventSeries = { publisher: 'p', word: 'tasks', epoch: 1 }
const HOLD_MS = 15_000
const ALL: SequenceRange = { from: 1, to: Number.MAX_SAFE_INTEGER }

const hold = (maxBytes = 1024 * 1024, maxEvents = 1_000_000) => {
  const clock = { now: 0 }
  const holding = createMemoryHistory({ maxBytes, maxEvents, maxAgeMs: HOLD_MS }, () => clock.now)
  /** A batch of the events `from` to `to`, marked so that it is known again. */
  const keep = (from: number, to = from, size = 10, series = SERIES) =>
    holding.keep(series, { from, to }, new Uint8Array(size).fill(from), from)
  const found = (range = ALL, series = SERIES) => holding.find(series, range).batches.map(({ bytes }) => bytes[0])
  return { clock, holding, keep, found }
}

test('what is held comes in the order of its numbers, whatever the order in which it came', () => {
  const { keep, found } = hold()
  for (const first of [3, 1, 2, 5, 4]) keep(first)
  assert.deepEqual(found(), [1, 2, 3, 4, 5])
})

test('only batches that hold events of the range are found, also where they reach beyond it', () => {
  const { keep, found } = hold()
  keep(1, 10)
  keep(11, 20)
  keep(21, 21)
  keep(31, 40)
  assert.deepEqual(found({ from: 10, to: 11 }), [1, 11])
  assert.deepEqual(found({ from: 20, to: 20 }), [11])
  assert.deepEqual(found({ from: 21, to: 21 }), [21])
  assert.deepEqual(found({ from: 22, to: 30 }), [], 'nothing between two batches')
  assert.deepEqual(found({ from: 35, to: 36 }), [31])
  assert.deepEqual(found({ from: 41, to: 100 }), [])
})

test('publishers, words and lives of a publisher are held apart', () => {
  const { keep, found } = hold()
  const others: EventSeries[] = [
    { ...SERIES, publisher: 'q' },
    { ...SERIES, word: 'agents' },
    { ...SERIES, epoch: 2 },
  ]
  for (const [index, series] of others.entries()) keep(index + 2, index + 2, 10, series)
  keep(1)
  assert.deepEqual(found(), [1])
  assert.deepEqual(
    others.map((series) => found(ALL, series)),
    [[2], [3], [4]],
  )
  assert.deepEqual(found(ALL, { ...SERIES, epoch: 3 }), [])
})

test('bytes are bounded over all series; the oldest goes first', () => {
  const { holding, keep, found } = hold(100)
  const other = { ...SERIES, epoch: 2 }
  const bytes = () => holding.figures().bytes
  keep(1, 1, 50)
  keep(2, 2, 50, other)
  assert.deepEqual([found(), found(ALL, other), bytes()], [[1], [2], 100])
  keep(3, 3, 1)
  assert.deepEqual([found(), found(ALL, other), bytes()], [[3], [2], 51])
  keep(4, 4, 99)
  assert.deepEqual([found(), found(ALL, other), bytes()], [[3, 4], [], 100])
  keep(5, 5, 101)
  assert.deepEqual([found(), bytes()], [[3, 4], 100], 'one that is too large alone is not held, and drives none out')
  const none = hold(0)
  none.keep(1)
  assert.deepEqual([none.found(), none.holding.figures().bytes], [[], 0])
})

test('events are bounded over all series; the oldest batch goes first', () => {
  const { holding, keep, found } = hold(1000, 10)
  keep(1, 5)
  keep(6, 10)
  assert.deepEqual([found(), holding.figures().events], [[1, 6], 10])
  keep(11)
  assert.deepEqual([found(), holding.figures().events], [[6, 11], 6])
  keep(20, 30)
  assert.deepEqual(found(), [6, 11], 'one with more is not held')
})

test('what is held already, whole or in part, is not held twice', () => {
  const { holding, keep, found } = hold()
  keep(1, 5)
  keep(1, 5)
  keep(5, 9)
  assert.deepEqual([found(), holding.figures().events], [[1], 5])
})

test('what is held is listed by series, with the first that was sent since a time', () => {
  const { holding, keep } = hold()
  keep(3, 4)
  keep(7, 9)
  keep(2, 2, 10, { ...SERIES, epoch: 2 })
  const list = (since?: number) => holding.list(since)
  assert.deepEqual(list(), [
    { ...SERIES, from: 3, to: 9 },
    { ...SERIES, epoch: 2, from: 2, to: 2 },
  ])
  assert.deepEqual(
    list(5).map(({ since }) => since),
    [7, undefined],
  )
})

test('after thousands came and went the last of them are held', () => {
  const { holding, keep, found } = hold(100)
  const other = { ...SERIES, word: 'agents' }
  for (let n = 1; n <= 5_000; n += 1) {
    keep(n, n, 10, n % 2 === 0 ? SERIES : other)
    assert.equal(holding.figures().bytes, Math.min(n * 10, 100))
  }
  const marks = (...numbers: number[]) => numbers.map((n) => n % 256)
  assert.deepEqual(found(), marks(4992, 4994, 4996, 4998, 5000))
  assert.deepEqual(found(ALL, other), marks(4991, 4993, 4995, 4997, 4999))
  assert.deepEqual(found({ from: 1, to: 4990 }), [])
})

test('a batch is held for 15 seconds, and its age is told', () => {
  const { clock, holding, keep, found } = hold()
  assert.equal(HOLD_MS, 15_000)
  keep(1)
  clock.now = 5_000
  keep(2)
  clock.now = HOLD_MS - 1
  const ages = () => holding.find(SERIES, ALL).batches.map(({ ageMs }) => ageMs)
  assert.deepEqual(ages(), [HOLD_MS - 1, HOLD_MS - 5_001])
  clock.now = HOLD_MS
  assert.deepEqual([found(), ages()], [[2], [HOLD_MS - 5_000]])
  clock.now = HOLD_MS + 5_000
  assert.deepEqual([found(), holding.figures().bytes], [[], 0])
})

test('an answer holds 256 KiB; what does not fit is asked for again from where it ended', () => {
  const { keep, holding, found } = hold()
  const half = MAX_FETCH_BYTES / 2
  keep(1, 1, half)
  keep(2, 2, half)
  assert.equal(MAX_FETCH_BYTES, 256 * 1024)
  assert.deepEqual([found(), holding.find(SERIES, ALL).more], [[1, 2], false], 'exactly as much')
  keep(3, 3, 1)
  assert.deepEqual([found(), holding.find(SERIES, ALL).more], [[1, 2], true], 'one byte more')
  const rest = { from: 3, to: ALL.to }
  assert.deepEqual([found(rest), holding.find(SERIES, rest).more], [[3], false])
})

test('a first batch above 256 KiB goes alone', () => {
  const { keep, holding, found } = hold(4 * 1024 * 1024)
  keep(1, 1, MAX_FETCH_BYTES + 1)
  assert.deepEqual([found(), holding.find(SERIES, ALL).more], [[1], false])
  keep(2, 2, 1)
  assert.deepEqual([found(), holding.find(SERIES, ALL).more], [[1], true])
  const { batches } = holding.find(SERIES, { from: 1, to: 1 })
  assert.equal(batches[0]?.bytes.length, MAX_FETCH_BYTES + 1)
})

test('an answer holds 4096 batches', () => {
  const { keep, holding } = hold()
  for (let first = 1; first <= MAX_FETCH_BATCHES; first += 1) keep(first, first, 1)
  const full = holding.find(SERIES, ALL)
  assert.deepEqual([full.batches.length, full.more], [MAX_FETCH_BATCHES, false])
  keep(MAX_FETCH_BATCHES + 1, MAX_FETCH_BATCHES + 1, 1)
  const more = holding.find(SERIES, ALL)
  assert.deepEqual([more.batches.length, more.more], [MAX_FETCH_BATCHES, true])
})

test('a small part of a large buffer is copied, so that the large one is not kept', () => {
  const { holding } = hold()
  const read = new Uint8Array(1000)
  read.set([1, 2, 3], 500)
  const kept = (part: Uint8Array, series: EventSeries) => {
    holding.keep(series, { from: 1, to: 1 }, part, 0)
    return holding.find(series, ALL).batches[0]?.bytes
  }
  const small = kept(read.subarray(500, 503), SERIES)
  assert.deepEqual(small, new Uint8Array([1, 2, 3]))
  assert.equal(small?.buffer.byteLength, 3)
  const large = read.subarray(0, 500)
  assert.equal(kept(large, { ...SERIES, epoch: 2 }), large, 'half of a buffer is not worth a copy')
})

test('whatever is kept, what is found is what is young enough, up to the bound, in order', () => {
  const steps = fc.array(
    fc.record({
      waitMs: fc.integer({ min: 0, max: 6_000 }),
      word: fc.constantFrom('a', 'b'),
      from: fc.integer({ min: 1, max: 50 }),
      count: fc.integer({ min: 1, max: 5 }),
      size: fc.oneof(
        { weight: 9, arbitrary: fc.integer({ min: 1, max: 60 }) },
        { weight: 1, arbitrary: fc.integer({ min: 199, max: 202 }) },
      ),
    }),
    { maxLength: 60 },
  )
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 50 }), fc.integer({ min: 0, max: 10 }), (kept, from, span) => {
      const { clock, holding } = hold(200)
      // The dumb one: all of it, cut from the front.
      let model: { word: string; from: number; to: number; bytes: Uint8Array; at: number }[] = []
      for (const { waitMs, word, from: first, count, size } of kept) {
        clock.now += waitMs
        const entry = { word, from: first, to: first + count - 1, bytes: new Uint8Array(size), at: clock.now }
        const isHeld = model.some(
          (one) => one.word === word && one.from <= entry.to && one.to >= entry.from && clock.now - one.at < HOLD_MS,
        )
        if (size <= 200 && !isHeld) model.push(entry)
        holding.keep({ ...SERIES, word }, entry, entry.bytes, 0)
        while (model.reduce((sum, { bytes }) => sum + bytes.length, 0) > 200) model.shift()
        model = model.filter(({ at }) => clock.now - at < HOLD_MS)
      }
      const range = { from, to: from + span }
      for (const word of ['a', 'b']) {
        const wanted = model
          .filter((entry) => entry.word === word && entry.from <= range.to && entry.to >= range.from)
          .sort((a, b) => a.from - b.from)
        const { batches, more } = holding.find({ ...SERIES, word }, range)
        assert.ok(batches.length === wanted.length && batches.every(({ bytes }, i) => bytes === wanted[i]?.bytes))
        assert.equal(more, false)
      }
      const bytes = model.reduce((sum, entry) => sum + entry.bytes.length, 0)
      assert.equal(holding.figures().bytes, bytes)
    }),
  )
})

test('what is caught up goes before what was heard later, and does not take the place of what is younger', () => {
  const { clock, holding, keep, found } = hold(50)
  const catchUp = (from: number, ageMs: number) =>
    holding.keep(SERIES, { from, to: from }, new Uint8Array(10).fill(from), from, ageMs)
  clock.now = 10_000
  for (const from of [11, 12, 13]) keep(from)
  assert.deepEqual([catchUp(1, 5_000), catchUp(2, 4_000)], [true, true])
  assert.equal(catchUp(3, 3_000), true, 'there is one that is older')
  assert.deepEqual(found(), [2, 3, 11, 12, 13])
  assert.equal(catchUp(1, 5_000), false, 'it would go first')
  for (const from of [14, 15]) keep(from)
  assert.deepEqual(found(), [11, 12, 13, 14, 15])
  clock.now += 1
  keep(16)
  assert.deepEqual(found(), [12, 13, 14, 15, 16])
})

test('what is as old as the bound is not caught up, and what is held is not kept twice', () => {
  const { clock, holding, keep, found } = hold()
  clock.now = HOLD_MS * 2
  const catchUp = (from: number, ageMs: number) =>
    holding.keep(SERIES, { from, to: from }, new Uint8Array(10), from, ageMs)
  assert.deepEqual(
    [catchUp(1, HOLD_MS), catchUp(1, Number.POSITIVE_INFINITY), catchUp(1, HOLD_MS - 1)],
    [false, false, true],
  )
  assert.deepEqual([catchUp(1, 0), keep(2), keep(2)], [false, true, false])
  assert.equal(found().length, 2)
  clock.now += 1
  assert.equal(found().length, 1, 'it ends with its age, not so long after it came')
})

test('a batch in a part of a larger buffer does not keep the rest of it, whatever kind of buffer it is', () => {
  const { holding } = hold()
  const read = Buffer.alloc(65_536, 7)
  for (const [from, bytes] of [read.subarray(0, 100), new Uint8Array(read.buffer, read.byteOffset, 100)].entries()) {
    holding.keep({ ...SERIES, epoch: from }, { from: 1, to: 1 }, bytes, 1)
    const [kept] = holding.find({ ...SERIES, epoch: from }, ALL).batches
    assert.deepEqual([kept?.bytes.length, kept?.bytes.buffer.byteLength, kept?.bytes[99]], [100, 100, 7])
  }
})
