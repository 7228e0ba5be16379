import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ReorderBuffer } from '../../../../protocols/events/receive/reorder-buffer.ts'
import { GapRepair, MAX_JOBS } from '../../../../protocols/events/repair/gap-repair.ts'
import type { Retrieved } from '../../../../protocols/events/repair/retrieval.ts'
import { createPorts, turn } from '../ports.ts'

const setUp = () => {
  const net = createPorts()
  const { port } = net.add('self')
  const order = new ReorderBuffer<string>({ maxPublishers: 100, maxWaitingBytes: 1000 })
  const asked: { word: string; give: (answer: Retrieved) => void }[] = []
  const retrieval = {
    retrieve: ({ word }: { word: string }) => new Promise<Retrieved>((give) => asked.push({ word, give })),
  }
  const lost: string[] = []
  const repair = new GapRepair(port, order, retrieval, {
    admit: () => undefined,
    lost(series, range) {
      lost.push(`${series.word} ${range.from}-${range.to}`)
      order.giveUp(series, range)
    },
    epochEnded: () => undefined,
    waitForRoom: async () => undefined,
    hasListeners: () => true,
  })
  /** Number 1 came, and the publisher says that there are 3. */
  const open = (word: string): void => {
    const series = { publisher: 'p', word, epoch: 1 }
    order.startAt(series, 2)
    order.noteHead(series, 3, 0)
    repair.check('p', word, 0)
  }
  const gone: Retrieved = { gone: { from: 2, to: 3 }, batches: [], fetched: false }
  return { net, repair, order, asked, lost, open, gone }
}

test('16 rows are worked at at one time; one more waits until one of them is done, and is not forgotten', async () => {
  const { asked, lost, open, gone } = setUp()
  for (let n = 0; n <= MAX_JOBS; n += 1) open(`w${n}`)
  assert.equal(asked.length, MAX_JOBS)
  open('w0')
  await turn()
  assert.equal(asked.length, MAX_JOBS, 'a row is worked at once')
  asked[3]?.give(gone)
  await turn()
  assert.deepEqual([asked.length, asked.at(-1)?.word, lost], [MAX_JOBS + 1, `w${MAX_JOBS}`, ['w3 2-3']])
})

test('what came while it was asked for is not given up', async () => {
  const { order, asked, lost, open, gone } = setUp()
  open('a')
  const series = { publisher: 'p', word: 'a', epoch: 1 }
  order.admit(series, { from: 3, to: 3, bytes: 1, at: 0, value: '' }, true)
  asked[0]?.give(gone)
  await turn()
  assert.deepEqual(lost, ['a 2-2'])
  assert.equal(order.missing('p', 'a'), undefined)
})

test('nothing is asked for or given up after stop', async () => {
  const { net, repair, asked, lost, open, gone } = setUp()
  open('a')
  repair.check('p', 'b', 100)
  repair.askForTails('p')
  repair.stop()
  asked[0]?.give(gone)
  open('c')
  await net.run(5_000)
  assert.deepEqual([asked.length, lost], [1, []])
})
