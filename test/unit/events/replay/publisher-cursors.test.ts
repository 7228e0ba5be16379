/** A place that is given names publishers: whom nobody has heard of, nobody is asked for. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import type { HeldRange } from '../../../../protocols/events/history/history-contract.ts'
import { PublisherCursors } from '../../../../protocols/events/replay/publisher-cursors.ts'

const WORD = 'orders'
const INVENTED = Array.from({ length: 128 }, (_, i) => `nobody-${i}`)

const create = async (held: readonly HeldRange[], heard: readonly string[]) => {
  const time = createVirtualTime()
  const asked = new Set<string>()
  const publishers = [...INVENTED, 'held', 'heard']
  const positions = publishers.map((publisher) => ({ publisher, word: WORD, epoch: 1, next: 3 }))
  const cursors = new PublisherCursors(
    {
      clock: { monotonic: () => time.now(), now: () => time.now() },
      timers: time,
      log: { error() {}, warn() {}, info() {} },
    },
    { from: { cursor: { createdAt: 0, positions } }, cursor: { createdAt: 0, positions }, maxPublishers: 1_024 },
    {
      retrieval: {
        async retrieve({ publisher }) {
          asked.add(publisher)
          return { gone: undefined, batches: [], fetched: false }
        },
      },
      catalogs: async () => ({ held, silent: [] }),
      position: (publisher) => (heard.includes(publisher) ? { epoch: 1, next: 3 } : undefined),
      publishers: () => [...heard],
      missed: () => assert.fail('nothing is missed'),
      changed: () => {},
    },
  )
  await cursors.begin(WORD)
  for (let i = 0; i < 40; i += 1) {
    cursors.readOn()
    await time.run(100)
  }
  cursors.close()
  return [...asked].sort()
}

test('of publishers that a place names those are asked for of whom somebody holds something', async () => {
  const held = { publisher: 'held', word: WORD, epoch: 1, from: 1, to: 9, since: undefined }
  assert.deepEqual(await create([held], ['heard']), ['held'])
  assert.deepEqual(await create([], []), [])
})
