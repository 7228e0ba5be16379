/** The rows of the inbox: what is written is read, on real files, and how much there is. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { openRowStore } from '../../../../node/store/messages/row-store.ts'
import { type DurableMessage, GUARANTEES } from '../../../../protocols/delivery/durable-message.ts'
import {
  type InboxRow,
  openInboxRows,
  type StoredInboxMessage,
} from '../../../../protocols/delivery/inbox/inbox-rows.ts'
import type { RowStore } from '../../../../protocols/delivery/store/row-storage.ts'
import { createVolatileRowStore } from '../../../../protocols/delivery/store/volatile-row-store.ts'
import { createQuota } from '../../../../protocols/limits/quota.ts'
import { PRIORITIES } from '../../../../protocols/wire/envelope.ts'
import { testFolder } from '../../../support/folder.ts'
import { deps } from '../../node/store/messages/row-stores.ts'

const settings = { inboxMessages: 100, inboxBytes: 1_000_000 }

const open = async (store: RowStore, { last = { number: 0 }, at = 1_000, more = {}, quota = createQuota() } = {}) => {
  const arrived: StoredInboxMessage[] = []
  const clock = { now: () => at, monotonic: () => at }
  const rows = await openInboxRows({
    port: { clock },
    store,
    settings: { ...settings, ...more },
    quota,
    last,
    arrived: (kept) => arrived.push(kept),
  })
  const put = async (row: InboxRow): Promise<StoredInboxMessage> => {
    const put = rows.put(row) ?? assert.fail('there is room')
    await store.commit(put.changes)
    put.launch()
    return arrived.at(-1) ?? assert.fail('it arrived')
  }
  return { rows, put, arrived }
}

const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 40 })
const perhaps = fc.option(text, { nil: undefined })
const plain = { noNullPrototype: true }
const messages: fc.Arbitrary<DurableMessage> = fc.record(
  {
    id: fc.uuid({ version: 7 }),
    type: text,
    version: perhaps,
    payload: fc.uint8Array({ maxLength: 300 }),
    content: fc.constantFrom('json', 'cbor', 'bytes'),
    conversationId: perhaps,
    correlationId: perhaps,
    replyTo: perhaps,
    headers: fc.dictionary(text, text, { maxKeys: 3, noNullPrototype: true }),
    priority: fc.constantFrom(...PRIORITIES),
    guarantee: fc.constantFrom(...GUARANTEES),
    createdAt: fc.nat(),
    ttlMs: fc.option(fc.integer({ min: 1, max: 1_000_000 }), { nil: undefined }),
    traceparent: perhaps,
    destinations: fc.array(text, { maxLength: 3 }),
  },
  plain,
)
const rowsOf: fc.Arbitrary<InboxRow> = fc.record(
  {
    message: messages,
    source: fc.stringMatching(/^[A-Za-z0-9]{1,60}$/),
    receivedAt: fc.nat(),
  },
  plain,
)

const note: InboxRow = {
  source: 'peer',
  receivedAt: 7,
  message: fc.sample(messages, { numRuns: 1, seed: 1 })[0] ?? assert.fail(),
}

const all = async (rows: AsyncIterable<StoredInboxMessage>): Promise<StoredInboxMessage[]> => {
  const found: StoredInboxMessage[] = []
  for await (const kept of rows) found.push(kept)
  return found
}

test('whatever is put is read as it was', async () => {
  await fc.assert(
    fc.asyncProperty(rowsOf, async (row) => {
      const store = createVolatileRowStore('0'.repeat(32))
      const { rows, put } = await open(store)
      const { id, bytes } = await put(row)
      assert.deepEqual(await rows.get(id), { id, bytes, ...row })
      assert.deepEqual(await (await open(store)).rows.get(id), { id, bytes, ...row })
    }),
    { numRuns: 200 },
  )
})

test('rows on disk are there when it is opened again, in order; ids go on, also where it was empty', async (t) => {
  const folder = await testFolder(t)
  let store = await openRowStore(folder, deps())
  const first = await open(store)
  const kept = [await first.put(note), await first.put(note), await first.put(note)]
  await first.rows.remove([kept[1]?.id ?? ''])
  await store.close()

  store = await openRowStore(folder, deps())
  const second = await open(store, { at: 500 })
  assert.deepEqual(await all(second.rows.all()), [kept[0], kept[2]])
  assert.deepEqual(await all(second.rows.all(kept[0]?.id)), [kept[2]])
  assert.equal(second.rows.bytes(), (kept[0]?.bytes ?? 0) * 2)
  // Although the clock was set back.
  const next = await second.put(note)
  assert.ok(next.id > (kept[2]?.id ?? ''))
  assert.equal(await second.rows.remove(second.rows.ids()), 3)
  await store.close()

  store = await openRowStore(folder, deps())
  const third = await open(store, { at: 2_000 })
  assert.deepEqual([third.rows.size(), third.rows.bytes()], [0, 0])
  assert.ok((await third.put(note)).id > next.id)
  await store.close()
})

test('the room of what could not be kept is free again, and one that is not durable takes room', async () => {
  const store = createVolatileRowStore('0'.repeat(32))
  const { rows, put } = await open(store, { more: { inboxMessages: 2 } })
  await put(note)
  const pending = rows.put(note) ?? assert.fail()
  assert.equal(rows.put(note), undefined)
  assert.deepEqual([rows.size(), rows.first(() => true)], [1, rows.ids()[0]])
  pending.drop()
  await put(note)
  assert.equal(rows.put(note), undefined)
  assert.equal(rows.size(), 2)
})

test('no id is used twice over the lives of a store', async () => {
  const store = createVolatileRowStore('0'.repeat(32))
  const last = { number: 0 }
  const one = await open(store, { last })
  const { id } = await one.put(note)
  await one.rows.remove([id])
  const two = await open(store, { last })
  assert.ok((await two.put(note)).id > id)
})
