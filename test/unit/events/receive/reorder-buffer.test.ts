import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MAX_EPOCHS, ReorderBuffer } from '../../../../protocols/events/receive/reorder-buffer.ts'

const create = (maxPublishers = 10, maxWaitingBytes = 1000) => {
  const order = new ReorderBuffer<string>({ maxPublishers, maxWaitingBytes })
  const series = (publisher = 'p', epoch = 1, word = 'a') => ({ publisher, word, epoch })
  const admit = (from: number, to = from, of = series(), hold = true) => {
    const result = order.admit(of, { from, to, bytes: 10, at: 0, value: `${from}-${to}` }, hold)
    return result.verdict === 'next' ? result.deliver.map(({ value }) => value).join(' ') : result.verdict
  }
  return { order, series, admit }
}

test('the first batch of an unknown publisher is no gap, the next in order neither', () => {
  const { order, admit } = create()
  assert.deepEqual([admit(41, 42), admit(43)], ['41-42', '43-43'])
  assert.equal(order.missing('p', 'a'), undefined)
})

test('what was let in is a duplicate, whole or in part, and so is what waits', () => {
  const { admit } = create()
  assert.equal(admit(1, 10), '1-10')
  assert.deepEqual([admit(1, 10), admit(10), admit(10, 14)], ['duplicate', 'duplicate', 'duplicate'])
  assert.deepEqual(
    [admit(15, 19), admit(19), admit(12, 15), admit(19, 25)],
    ['ahead', 'duplicate', 'duplicate', 'duplicate'],
  )
  assert.equal(admit(11, 14), '11-14 15-19')
})

test('what is wanted is the lowest gap; when it is given up, what waited behind it is let in', () => {
  const { order, series, admit } = create()
  admit(1)
  admit(10)
  admit(5, 6)
  assert.deepEqual(order.missing('p', 'a'), { kind: 'gap', series: series(), range: { from: 2, to: 4 } })
  const ready = order.giveUp(series(), { from: 2, to: 4 })
  assert.deepEqual(
    ready.map(({ value }) => value),
    ['5-6'],
  )
  assert.deepEqual(order.missing('p', 'a')?.range, { from: 7, to: 9 })
  assert.equal(admit(3), 'duplicate')
})

test('a head opens a gap where nothing came, and none that is known', () => {
  const { order, series, admit } = create()
  assert.equal(order.noteHead(series(), 5, 0), false, 'nothing is missed of one that was not heard')
  admit(5)
  assert.equal(order.noteHead(series(), 5, 0), false)
  assert.equal(order.noteHead(series(), 8, 0), true)
  assert.deepEqual(order.missing('p', 'a')?.range, { from: 6, to: 8 })
})

test('a base says from where on all is for us, before anything was heard', () => {
  const { order, series, admit } = create()
  order.startAt(series(), 4)
  assert.equal(admit(6), 'ahead')
  assert.deepEqual(order.missing('p', 'a')?.range, { from: 4, to: 5 })
  order.startAt(series(), 9)
  assert.equal(admit(4, 5), '4-5 6-6', 'more was known already')
})

test('a life waits until the one before it has ended, and is then counted from 1', () => {
  const { order, series, admit } = create()
  admit(1)
  assert.equal(admit(1, 2, series('p', 2)), 'ahead')
  assert.equal(order.missing('p', 'a')?.kind, 'tail')
  assert.equal(admit(2), '2-2', 'the life before it goes on')
  assert.deepEqual(
    order.endEpoch(series()).map(({ value }) => value),
    ['1-2'],
  )
  assert.equal(admit(3), 'stale')
  assert.equal(admit(4, 4, series('p', 2)), 'ahead')
  assert.deepEqual(order.missing('p', 'a')?.range, { from: 3, to: 3 })
})

test('lives are bounded: of one too many the oldest that was not begun is left out', () => {
  const { order, series, admit } = create()
  admit(1)
  for (let epoch = 2; epoch <= MAX_EPOCHS + 1; epoch += 1) assert.equal(admit(1, 1, series('p', epoch)), 'ahead')
  assert.equal(order.waitingBytes(), (MAX_EPOCHS - 1) * 10)
  order.endEpoch(series())
  assert.equal(order.position('p', 'a')?.epoch, 3)
})

test('where nobody minds a gap the row goes on behind it', () => {
  const { order, series, admit } = create()
  admit(1)
  assert.equal(admit(9, 9, series(), false), '9-9')
  assert.equal(admit(1, 1, series('p', 2), false), '1-1')
  assert.equal(admit(10, 10, series(), false), 'stale')
  assert.equal(order.missing('p', 'a'), undefined)
})

test('what passed while nobody listened was not missed, but an old batch stays old', () => {
  const { order, series, admit } = create()
  admit(1, 5)
  admit(8)
  order.stopListening('a')
  assert.equal(order.waitingBytes(), 0)
  assert.deepEqual([admit(5), admit(7)], ['duplicate', 'duplicate'])
  assert.equal(order.noteHead(series(), 40, 0), false)
  assert.equal(admit(50), '50-50')
  assert.equal(admit(52), 'ahead')
})

test('bytes that wait are bounded over all rows; what has no room is wanted', () => {
  const { order, series, admit } = create(10, 20)
  admit(1)
  admit(1, 1, series('q'))
  assert.deepEqual([admit(3), admit(3, 3, series('q')), admit(4)], ['ahead', 'ahead', 'unkept'])
  assert.equal(order.waitingBytes(), 20)
  assert.equal(admit(2), '2-2 3-3')
  assert.deepEqual(order.missing('p', 'a')?.range, { from: 4, to: 4 })
})

test('beyond the bound the publisher heard longest ago is forgotten, with what waited', () => {
  const { order, series, admit } = create(3)
  for (const publisher of ['p', 'q', 'r']) admit(1, 1, series(publisher))
  admit(3, 3, series('q'))
  admit(2)
  admit(1, 1, series('r', 1, 'b'))
  assert.equal(order.size(), 3)
  admit(1, 1, series('s'))
  assert.deepEqual([order.size(), order.waitingBytes(), order.publishers('a')], [3, 0, ['p', 'r', 's']])
  assert.equal(admit(1, 1, series('q')), '1-1', 'it is heard like a new one')
  assert.deepEqual(order.wordsOf('r'), ['a', 'b'])
})

test('a batch that overtakes others with the same numbers does not hold up what is behind them', () => {
  const { order, admit } = create()
  admit(1)
  admit(3)
  admit(5)
  assert.equal(admit(2, 4), '2-4 5-5')
  assert.equal(order.waitingBytes(), 0)
})

test('whatever comes in whatever order, it is let in once and in order, and what is wanted is what is missing', () => {
  const batches = fc.array(fc.integer({ min: 0, max: 19 }), { maxLength: 60 })
  fc.assert(
    fc.property(batches, fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 3 }), (arrivals, heads) => {
      const { order, series } = create(10, 1_000_000)
      order.startAt(series(), 1)
      const heard: number[] = []
      const known = new Set<number>()
      let horizon = 0
      for (const [index, which] of arrivals.entries()) {
        const [from, to] = [which * 2 + 1, which * 2 + 2]
        const result = order.admit(series(), { from, to, bytes: 1, at: 0, value: '' }, true)
        assert.equal(result.verdict === 'duplicate', known.has(from))
        known.add(from)
        horizon = Math.max(horizon, to)
        for (const one of result.deliver) heard.push(one.from, one.to)
        const head = heads[index]
        if (head !== undefined) {
          order.noteHead(series(), head, 0)
          horizon = Math.max(horizon, head)
        }
        assert.deepEqual(
          heard,
          heard.map((_, at) => at + 1),
        )
        const want = order.missing('p', 'a')
        const next = heard.length + 1
        if (next > horizon) assert.equal(want, undefined)
        else {
          const behind = [...known].filter((first) => first > next).sort((a, b) => a - b)[0] ?? horizon + 1
          assert.deepEqual(want?.range, { from: next, to: behind - 1 })
        }
      }
    }),
    { numRuns: 2000 },
  )
})
