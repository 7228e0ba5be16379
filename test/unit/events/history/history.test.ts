import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createHistory } from '../../../../protocols/events/history/history.ts'
import type { EventStore } from '../../../../protocols/events/history/history-contract.ts'
import { createMemoryHistory } from '../../../../protocols/events/history/memory-history.ts'
import { HistoryRule } from '../../../../protocols/events/options.ts'
import { createQuota } from '../../../../protocols/limits/quota.ts'
import { keptLog } from '../../../support/meshes.ts'

const RANGE = { from: 1, to: 1 }
const seriesOf = (word: string) => ({ publisher: 'p', word, epoch: 1 })

const setUp = (maxWords = 4) => {
  const opened: string[] = []
  const closed: string[] = []
  const store: EventStore = {
    async open(word, bounds) {
      opened.push(word)
      const made = createMemoryHistory(bounds, () => 0)
      return { ...made, close: async () => void closed.push(word) }
    },
    loadCursor: async () => undefined,
    saveCursor: async () => undefined,
    close: async () => undefined,
  }
  const quota = createQuota(1_000_000)
  const history = createHistory(
    { maxHeldBytes: 1000, maxWords, history: [HistoryRule.parse({ topic: '#', store: 'disk' })] },
    store,
    () => 0,
    keptLog(),
    quota,
  )
  return { history, quota, opened, closed }
}

test('words that peers ask for and nobody keeps take no place of those that are kept', async () => {
  const { history, opened, closed } = setUp()
  for (let n = 0; n < 100; n += 1) {
    assert.deepEqual(await history.list(`word${n}`), [])
    assert.deepEqual(await history.find(seriesOf(`word${n}`), RANGE), { batches: [], more: false })
  }
  assert.deepEqual([opened.length, closed.length], [200, 200])
  for (const word of ['a', 'b', 'c', 'd']) history.keep(seriesOf(word), RANGE, new Uint8Array(10), 1)
  for (const word of ['a', 'b', 'c', 'd']) {
    assert.equal((await history.list(word)).length, 1, word)
    assert.equal((await history.find(seriesOf(word), RANGE)).batches.length, 1, word)
  }
  assert.equal(closed.length, 200)
})

test('a word that is asked for while its first batch comes keeps the batch', async () => {
  const { history, closed } = setUp()
  const asking = history.list('a')
  history.keep(seriesOf('a'), RANGE, new Uint8Array(10), 1)
  await asking
  assert.deepEqual([(await history.list('a')).length, closed], [1, []])
})

test('what is held already counts once', async () => {
  const { history, quota } = setUp()
  await history.list('a')
  history.keep(seriesOf('a'), RANGE, new Uint8Array(500_000), 1)
  await history.list('a')
  for (let n = 0; n < 10; n += 1) history.keep(seriesOf('a'), RANGE, new Uint8Array(500_000), 1)
  assert.equal(quota.figures().bytes, 500_000)
  assert.equal(quota.fits(100_000), true)
  assert.deepEqual([quota.figures().givenUpBytes, history.figures().unkept], [0, 0])
})
