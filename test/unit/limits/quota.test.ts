/** One bound over all that a node keeps on disk: who gives up for whom, who is refused, and that it holds. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isParleyError } from '../../../protocols/errors.ts'
import { createHistory } from '../../../protocols/events/history/history.ts'
import type { EventStore } from '../../../protocols/events/history/history-contract.ts'
import { createMemoryHistory } from '../../../protocols/events/history/memory-history.ts'
import { HistoryRule } from '../../../protocols/events/options.ts'
import { createQuota } from '../../../protocols/limits/quota.ts'
import { deliveryPair, Note } from '../../support/delivery-pair.ts'

const MAX = 16_000
/** What is not an answer may use so much. */
const MOST = 15_000

/** A user that holds a number of bytes. */
const holder = (bytes = 0) => {
  const state = { bytes, asked: [] as number[] }
  return {
    state,
    firm: { bytes: () => state.bytes },
    soft: {
      bytes: () => state.bytes,
      giveUp(wanted: number) {
        state.asked.push(wanted)
        state.bytes = Math.max(0, state.bytes - wanted)
      },
    },
  }
}

test('who can give up does so for others, as much as is missing, and no more than it has', () => {
  const quota = createQuota(MAX)
  const [history, outbox] = [holder(10_000), holder(4_000)]
  quota.add('history', history.soft)
  quota.add('outbox', outbox.firm)
  assert.ok(quota.fits(1_000))
  assert.deepEqual(history.state.asked, [])
  assert.ok(quota.fits(3_000))
  assert.deepEqual(history.state.asked, [2_000])
  outbox.state.bytes += 3_000
  quota.recordGrowth(3_000)
  assert.ok(!quota.fits(9_000), 'the outbox keeps what it has')
  assert.equal(history.state.bytes, 0)
  assert.deepEqual(quota.figures(), {
    maxBytes: MAX,
    bytes: 7_000,
    parts: { history: 0, outbox: 7_000 },
    givenUpBytes: 10_000,
  })
})

test('a part is left for answers', () => {
  let refused = 0
  const quota = createQuota(MAX, () => {
    refused += 1
  })
  quota.add('outbox', holder(MOST).firm)
  assert.ok(!quota.fits(1))
  assert.ok(quota.fits(1_000, true))
  assert.ok(!quota.fits(1_001, true))
  assert.equal(refused, 2)
})

test('what is too large gives nobody the trouble of giving up', () => {
  const quota = createQuota(MAX)
  const history = holder(10_000)
  quota.add('history', history.soft)
  assert.ok(!quota.couldEverFit(MOST + 1) && quota.couldEverFit(MOST))
  assert.ok(!quota.fits(MOST + 1))
  assert.deepEqual(history.state.asked, [])
})

test('who has left counts no more, and a smaller bound holds at once', () => {
  const quota = createQuota(MAX)
  const stop = quota.add('outbox', holder(MOST).firm)
  assert.ok(!quota.fits(1))
  stop()
  assert.ok(quota.fits(1))
  quota.add('outbox', holder(9_000).firm)
  assert.ok(!quota.isOver())
  quota.resize(8_000)
  assert.ok(quota.isOver() && !quota.fits(0))
})

test('it holds whatever is kept and freed, and nobody is refused who would have room', () => {
  const step = fc.record({ who: fc.nat(2), bytes: fc.integer({ min: 1, max: 6_000 }), isAnswer: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.array(fc.nat(59), { maxLength: 20 }), (steps, frees) => {
      const quota = createQuota(MAX)
      const parts = [holder(), holder(), holder()]
      for (const [i, part] of parts.entries()) quota.add(String(i), i === 0 ? part.soft : part.firm)
      for (const [i, { who, bytes, isAnswer }] of steps.entries()) {
        const part = parts[who]
        if (part === undefined) continue
        if (frees.includes(i)) {
          part.state.bytes = 0
          continue
        }
        const firm = parts.slice(1).reduce((sum, { state }) => sum + state.bytes, 0)
        const most = isAnswer ? MAX : MOST
        const isTaken = quota.fits(bytes, isAnswer)
        assert.equal(isTaken, firm + bytes <= most)
        if (!isTaken) continue
        part.state.bytes += bytes
        quota.recordGrowth(bytes)
        assert.ok(quota.figures().bytes <= MAX)
      }
    }),
  )
})

const words = (): EventStore => ({
  open: async (_word, bounds) => createMemoryHistory(bounds, () => now++),
  loadCursor: async () => undefined,
  saveCursor: async () => {},
  close: async () => {},
})
let now = 0

test('the history on disk gives up what is oldest, of whichever word, and what has no room is counted', async () => {
  const quota = createQuota(MAX)
  const log = { error() {}, warn() {}, info() {} }
  const settings = {
    maxHeldBytes: 1_000_000,
    maxWords: 10,
    history: [HistoryRule.parse({ topic: 'a', store: 'disk' }), HistoryRule.parse({ topic: 'b', store: 'disk' })],
  }
  const history = createHistory(settings, words(), () => 0, log, quota)
  const keep = (word: string, at: number): void =>
    history.keep({ publisher: 'p', word, epoch: 1 }, { from: at, to: at }, new Uint8Array(4_000), 0)
  for (const word of ['a', 'b']) await history.list(word)
  keep('a', 1)
  keep('b', 1)
  keep('a', 2)
  const held = async (word: string) => (await history.list(word)).map(({ from, to }) => [from, to])
  assert.deepEqual([await held('a'), await held('b')], [[[1, 2]], [[1, 1]]])
  keep('b', 2)
  assert.deepEqual([await held('a'), await held('b')], [[[2, 2]], [[1, 2]]])
  const outbox = holder(MOST - 5_000)
  quota.add('outbox', outbox.firm)
  keep('a', 3)
  assert.deepEqual([await held('a'), await held('b')], [[[3, 3]], []])
  outbox.state.bytes = MOST
  keep('a', 4)
  assert.deepEqual([await held('a'), history.figures().unkept, quota.figures().parts.history], [[], 1, 0])
  // What is in memory is no matter of the disk.
  keep('c', 1)
  assert.deepEqual(await held('c'), [[1, 1]])
  await history.close()
  assert.deepEqual(Object.keys(quota.figures().parts), ['outbox'])
})

const note = (n: number) => ({ n, fill: 'x'.repeat(3_000) })

test('who sends waits for room in the quota, gets it when it is there, and is told what to do where it is not', async () => {
  const quota = createQuota(MAX)
  const { time, from, to, network } = await deliveryPair({ quota, settings: { roomTimeoutMs: 1_000 } })
  network.disconnect(from.node, to.node)
  const send = (n: number) => from.messages.send(to.id, Note, note(n))
  for (const n of [1, 2, 3, 4]) await time.settled(send(n), 1_000)
  const late = assert.rejects(send(5), (error) => {
    assert.ok(isParleyError(error, 'COM003'), String(error))
    assert.match(error.message, /as much on disk as it may/)
    assert.match(error.hint ?? '', /limits\.maxDiskBytes/)
    assert.equal(error.details.reason, 'disk-quota')
    return true
  })
  await time.run(1_100)
  await late
  await assert.rejects(from.messages.send(to.id, Note, { n: 6, fill: 'x'.repeat(20_000) }), (error) =>
    isParleyError(error, 'COM003'),
  )
  const waiting = send(7)
  const got: number[] = []
  await to.messages.receive(Note, ({ n }) => void got.push(n))
  await time.run(100)
  network.connect(from.node, to.node)
  await time.settled(waiting, 20_000)
  await time.run(20_000)
  assert.deepEqual(got.sort(), [1, 2, 3, 4, 7])
  assert.equal(quota.figures().bytes, 0)
})

test('room that somebody else gave back is found by who waits', async () => {
  const quota = createQuota(MAX)
  const other = holder(MOST)
  quota.add('other', other.firm)
  const { time, from, to } = await deliveryPair({ quota, settings: { roomTimeoutMs: 60_000 } })
  const sent = from.messages.send(to.id, Note, note(1))
  await time.run(5_000)
  other.state.bytes = 0
  await time.settled(sent, 1_000)
})

test('a full quota takes nothing into the inbox, and the sender tries again', async () => {
  const quota = createQuota(MAX)
  const other = holder(MOST)
  quota.add('other', other.firm)
  const { time, from, to } = await deliveryPair({}, { quota })
  await to.messages.inbox.open()
  await time.settled(from.messages.send(to.id, Note, note(1)), 1_000)
  await time.run(3_000)
  assert.deepEqual(await to.messages.inbox.list(), [])
  other.state.bytes = 0
  await time.run(60_000)
  assert.equal((await to.messages.inbox.list()).length, 1)
  assert.ok((quota.figures().parts.inbox ?? 0) > 3_000)
})

test('where others use the quota up, a new dead letter takes the place of the oldest ones, and of no more', async () => {
  const quota = createQuota(40_000)
  const { time, from, to } = await deliveryPair({ quota, settings: { retry: { maxRetries: 0 } } })
  await to.messages.receive(Note, () => {
    throw new Error('a handler of a test')
  })
  const die = async (n: number): Promise<void> => {
    const { delivered } = await time.settled(from.messages.send(to.id, Note, note(n)), 1_000)
    const end = delivered()
    await assert.rejects(time.settled(end, 20_000))
  }
  for (const n of [1, 2, 3]) await die(n)
  const kept = async () => {
    const letters = await from.messages.deadLetters.list()
    return Promise.all(letters.map(async ({ id }) => (await from.messages.deadLetters.show(id)).data))
  }
  assert.equal((await kept()).length, 3)
  const other = holder(0)
  quota.add('other', other.firm)
  const sending = from.messages.send(to.id, Note, note(4))
  const { delivered } = await time.settled(sending, 1_000)
  other.state.bytes = 40_000
  quota.refresh()
  await assert.rejects(time.settled(delivered(), 20_000))
  assert.deepEqual(
    (await kept()).map((data) => (data as { n: number }).n),
    [2, 3, 4],
  )
})
