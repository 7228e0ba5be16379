/** Dead letters: what is kept of messages and calls that were given up, what is dropped, what is sent again. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type DeadLetter,
  type FailedCall,
  PAYLOAD_BYTES_HEADER,
} from '../../../../protocols/delivery/dead-letters/dead-letter.ts'
import { DeadLetterStore } from '../../../../protocols/delivery/dead-letters/dead-letter-store.ts'
import { encodeMessage } from '../../../../protocols/delivery/durable-message.ts'
import { DeliveryOptionsSchema } from '../../../../protocols/delivery/options.ts'
import { createVolatileRowStore } from '../../../../protocols/delivery/store/volatile-row-store.ts'
import { isParleyError } from '../../../../protocols/errors.ts'
import { createQuota } from '../../../../protocols/limits/quota.ts'
import { decodePayload, encodePayload } from '../../../../protocols/wire/payload/payload.ts'
import { deliveryPair, Note } from '../../../support/delivery-pair.ts'
import { failureOf } from '../../../support/until.ts'

const settings = DeliveryOptionsSchema.parse({})

const open = async (
  more: { deadLetters?: number; deadLetterBytes?: number } = {},
  store = createVolatileRowStore('0'.repeat(32)),
  quota = createQuota(),
) => {
  let now = 1_700_000_000_000
  let dropped = 0
  const revived: string[] = []
  const pending: (() => void)[] = []
  const letters = await DeadLetterStore.open({
    port: {
      clock: { now: () => ++now, monotonic: () => now },
      random: (bytes) => new Uint8Array(bytes),
      log: { error() {}, warn() {}, info() {} },
    },
    store,
    settings: { ...settings, ...more },
    quota,
    dropped: (count) => {
      dropped += count
    },
    async resend(to, _message, _policy, also) {
      await new Promise<void>((resolve) => pending.push(resolve))
      revived.push(to)
      await store.commit(also)
    },
  })
  const bury = async (n: number, type = 'note'): Promise<string> => {
    const message = encodeMessage({
      id: `018bcfe5-6800-7196-9a9a-${String(n).padStart(12, '0')}`,
      type,
      version: '1.0.0',
      payload: encodePayload('json', { n }),
      content: 'json',
      conversationId: undefined,
      correlationId: undefined,
      replyTo: undefined,
      headers: {},
      priority: 'normal',
      guarantee: 'AT_LEAST_ONCE',
      createdAt: 5,
      ttlMs: undefined,
      traceparent: undefined,
      destinations: [],
    })
    const fault = { code: 'APP001', message: 'the handler failed' }
    const facts = { destination: 'peer', policy: settings.retry, attempts: 4, firstFailureAt: 1, lastFailureAt: 2 }
    const { id, changes, done } = letters.addMessage({ ...facts, message, fault })
    await store.commit(changes)
    done()
    return id
  }
  const goOn = (): void => {
    for (const resolve of pending.splice(0)) resolve()
  }
  return { letters, store, bury, revived, goOn, dropped: () => dropped }
}

const call = (more: Partial<FailedCall> = {}): FailedCall => ({
  to: 'peer',
  label: 'summarize.once',
  error: { code: 'COM001', message: 'no answer', hint: 'wait longer' },
  recovery: { code: 'COM002', message: 'gone' },
  payload: encodePayload('json', { text: 'hello' }),
  content: 'json',
  conversationId: 'c',
  at: 9,
  ...more,
})

test('a letter is listed, shown and there after a restart, with why it died', async () => {
  const { letters, store, bury } = await open()
  const heard: DeadLetter[] = []
  letters.onDead(() => {
    throw new Error('a listener of a test')
  })
  letters.onDead((letter) => heard.push(letter))
  const id = await bury(1)
  const [listed] = await letters.list()
  assert.deepEqual(heard, [listed])
  const { data, headers, sentAt, ...letter } = await letters.show(id)
  assert.deepEqual([data, headers, sentAt, letter], [{ n: 1 }, {}, 5, listed])
  assert.deepEqual(
    [letter.code, letter.reason, letter.attempts, letter.isCall],
    ['APP001', 'the handler failed', 4, false],
  )
  const again = await open({}, store)
  assert.deepEqual([await again.letters.list(), again.letters.bytes()], [[listed], letters.bytes()])
})

test('letters are listed in pages, by type and by destination', async () => {
  const { letters, bury } = await open()
  const ids = [await bury(1), await bury(2, 'order'), await bury(3)]
  const idsOf = async (options: Parameters<typeof letters.list>[0]) => (await letters.list(options)).map(({ id }) => id)
  assert.deepEqual(await idsOf({ limit: 2 }), ids.slice(0, 2))
  assert.deepEqual(await idsOf({ after: ids[0] ?? '' }), ids.slice(1))
  assert.deepEqual(await idsOf({ type: 'order' }), [ids[1]])
  assert.deepEqual(await idsOf({ destination: 'nobody' }), [])
})

test('letters are searched, so many at a time, and the next page begins where the last one ended', async () => {
  const { letters, bury } = await open()
  const ids: string[] = []
  for (let n = 0; n < 5; n += 1) ids.push(await bury(n, n % 2 === 0 ? 'note' : 'order'))
  const find = async (options: Omit<Parameters<typeof letters.search>[0], 'matches'>, type = 'note') => {
    const found = await letters.search({ ...options, matches: (letter) => letter.type === type })
    return { ids: found.letters.map(({ id }) => ids.indexOf(id)), next: found.next && ids.indexOf(found.next) }
  }
  assert.deepEqual(await find({}), { ids: [0, 2, 4], next: undefined })
  assert.deepEqual(await find({ limit: 2 }), { ids: [0, 2], next: 2 })
  assert.deepEqual(await find({ limit: 2, after: ids[2] ?? '' }), { ids: [4], next: undefined })
  assert.deepEqual(await find({ limit: 3 }), { ids: [0, 2, 4], next: undefined })
  // Five are there: the fifth is the last one that is read, and one less leaves it for the next page.
  assert.deepEqual(await find({ scan: 5 }), { ids: [0, 2, 4], next: undefined })
  assert.deepEqual(await find({ scan: 4 }), { ids: [0, 2], next: 3 })
  assert.deepEqual(await find({ scan: 1 }, 'order'), { ids: [], next: 0 })
  assert.deepEqual(await find({ type: 'order' }), { ids: [], next: undefined })
  assert.deepEqual(await find({ code: 'APP001', destination: 'peer' }), { ids: [0, 2, 4], next: undefined })
  assert.deepEqual(await find({ code: 'COM001' }), { ids: [], next: undefined })
})

test('letters are counted by code, type and destination, also after a restart and once some are gone', async () => {
  const { letters, bury, store } = await open()
  const ids = [await bury(1), await bury(2, 'order'), await bury(3)]
  letters.addCall(call())
  const shown = (by: Parameters<typeof letters.groups>[0], of = letters) =>
    of.groups(by).map(({ key, letters: count }) => [key, count])
  assert.deepEqual(shown('type'), [
    ['note', 2],
    ['call.summarize.once', 1],
    ['order', 1],
  ])
  assert.deepEqual(shown('code'), [
    ['APP001', 3],
    ['COM001', 1],
  ])
  assert.deepEqual(shown('destination'), [['peer', 4]])
  const [notes] = letters.groups('type')
  assert.equal(notes?.newest, ids[2])
  const again = await open({}, store)
  assert.deepEqual(again.letters.groups('type'), letters.groups('type'))
  await letters.purge(ids[0])
  assert.deepEqual(shown('type')[0], ['call.summarize.once', 1])
  await letters.purge()
  assert.deepEqual(shown('code'), [])
})

test('a row whose message cannot be read is there, without a type', async () => {
  const { store, bury } = await open()
  const id = await bury(1)
  for await (const { key, value } of store.rows('')) {
    const row = decodePayload('cbor', value) as Record<string, unknown>
    await store.commit([{ key, value: encodePayload('cbor', { ...row, message: new Uint8Array([255]) }) }])
  }
  const { letters } = await open({}, store)
  assert.deepEqual([letters.size(), letters.groups('type')[0]?.key, letters.groups('type')[0]?.newest], [1, '', id])
  assert.equal(await letters.purge(id), 1)
})

test('the bound of letters holds, and the oldest go, counted', async () => {
  const { letters, bury, dropped } = await open({ deadLetters: 3 })
  const ids = [await bury(1), await bury(2), await bury(3)]
  assert.deepEqual([letters.size(), dropped()], [3, 0])
  ids.push(await bury(4))
  assert.deepEqual([(await letters.list()).map(({ id }) => id), dropped()], [ids.slice(1), 1])
})

test('the bound of bytes holds; one larger letter is kept alone', async () => {
  const probe = await open()
  await probe.bury(1)
  const one = probe.letters.bytes()
  for (const [deadLetterBytes, fits] of [
    [3 * one, 3],
    [3 * one - 1, 2],
    [1, 1],
  ] as const) {
    const { letters, bury, dropped } = await open({ deadLetterBytes })
    for (const n of [1, 2, 3]) await bury(n)
    assert.deepEqual([letters.size(), letters.bytes(), dropped()], [fits, fits * one, 3 - fits])
  }
})

test('a call that failed lies beside them, says both reasons, and cannot be sent as a message', async () => {
  const { letters, revived } = await open()
  letters.addCall(call())
  const [letter] = await letters.list({ type: 'call.summarize.once' })
  if (letter === undefined) return assert.fail('it is listed')
  assert.deepEqual(
    [letter.isCall, letter.destination, letter.code, letter.hint],
    [true, 'peer', 'COM001', 'wait longer'],
  )
  assert.match(letter.reason, /no answer.*COM002 gone/)
  assert.deepEqual((await letters.show(letter.id)).data, { text: 'hello' })
  const error = await failureOf(letters.retry(letter.id))
  assert.ok(isParleyError(error, 'STA003') && error.hint !== undefined)
  assert.deepEqual(revived, [])
  assert.equal(await letters.purge(letter.id), 1)
})

test('of a call whose payload is too large, or could not be written, the rest is kept', async () => {
  const { letters } = await open()
  const most = settings.maxMessageBytes
  for (const bytes of [most, most + 1]) letters.addCall(call({ payload: new Uint8Array(bytes), content: 'bytes' }))
  letters.addCall(call({ payload: undefined, to: undefined }))
  const shown = await Promise.all((await letters.list()).map(({ id }) => letters.show(id)))
  assert.deepEqual(
    shown.map(({ bytes, headers }) => [bytes > most, headers[PAYLOAD_BYTES_HEADER]]),
    [
      [true, undefined],
      [false, String(most + 1)],
      [false, undefined],
    ],
  )
  assert.deepEqual([shown[2]?.data, shown[2]?.destination], [undefined, ''])
})

test('calls make room for messages and for each other, and take no place of a message', async () => {
  const { letters, store, bury, dropped } = await open({ deadLetters: 3 })
  const first = await bury(1)
  letters.addCall(call({ label: 'a.a' }))
  letters.addCall(call({ label: 'b.b' }))
  letters.addCall(call({ label: 'c.c' }))
  const types = async () => (await letters.list()).map(({ type }) => type)
  assert.deepEqual([await types(), dropped()], [['note', 'call.b.b', 'call.c.c'], 1])
  const again = await open({ deadLetters: 3 }, store)
  assert.deepEqual(
    (await again.letters.list()).map(({ isCall }) => isCall),
    [false, true, true],
  )
  await bury(2)
  await bury(3)
  assert.deepEqual([await types(), dropped()], [['note', 'note', 'note'], 3])
  letters.addCall(call())
  assert.deepEqual([await types(), dropped(), (await letters.list())[0]?.id], [['note', 'note', 'note'], 4, first])
})

test('a letter is sent again once, however often that is asked for at the same time', async () => {
  const { letters, bury, revived, goOn } = await open()
  const id = await bury(1)
  const one = letters.retry(id)
  await new Promise((resolve) => setImmediate(resolve))
  const error = await failureOf(letters.retry(id))
  assert.ok(isParleyError(error, 'STA003'))
  goOn()
  await one
  assert.deepEqual([revived, letters.size()], [['peer'], 0])
  assert.ok(isParleyError(await failureOf(letters.retry(id)), 'STA001'))
})

test('one letter is purged, or all', async () => {
  const { letters, bury, store } = await open()
  const ids = [await bury(1), await bury(2), await bury(3)]
  assert.equal(await letters.purge(ids[1]), 1)
  assert.ok(isParleyError(await failureOf(letters.purge(ids[1])), 'STA001'))
  assert.deepEqual([await letters.purge(), await letters.purge(), letters.bytes()], [2, 0, 0])
  for await (const row of store.rows('')) assert.fail(row.key)
})

test('a message that its handler refuses dies here, is sent again as it was, and is delivered', async () => {
  const { time, from, to } = await deliveryPair()
  let isBad = true
  const got: unknown[] = []
  await to.messages.receive(Note, (data, { message }) => {
    if (isBad) throw new Error('a handler of a test')
    got.push([message.id, data])
  })
  const receipt = await from.messages.send(to.id, Note, { n: 1 }, { conversationId: 'c', retry: { maxRetries: 1 } })
  await time.run(10_000)
  const [letter] = await from.messages.deadLetters.list()
  assert.deepEqual([letter?.messageId, letter?.destination, letter?.attempts], [receipt.id, to.id, 2])
  isBad = false
  await time.settled(from.messages.deadLetters.retry(letter?.id ?? ''), 1_000)
  await time.run(1_000)
  assert.deepEqual([got, from.messages.deadLetters.size()], [[[receipt.id, { n: 1 }]], 0])
  const [said] = from.messages.conversations.get('c')
  assert.deepEqual([said?.status, said?.attempts], ['delivered', 2])
})
