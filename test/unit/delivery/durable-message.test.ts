/** One durable message as bytes, and the lane that it takes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type DurableMessage,
  decodeMessage,
  encodeMessage,
  GUARANTEES,
  LANES,
  laneOf,
} from '../../../protocols/delivery/durable-message.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import { MAX_HEADERS, PRIORITIES } from '../../../protocols/wire/envelope.ts'
import { broken, deliveryType, refuses } from './schema.ts'

const text = fc.option(fc.string({ minLength: 1, maxLength: 30 }), { nil: undefined })
const message: fc.Arbitrary<DurableMessage> = fc.record({
  id: fc.uuid({ version: 7 }),
  type: fc.stringMatching(/^[a-z]{1,10}(\.[a-z]{1,10})?$/),
  version: fc.option(fc.constant('1.2.3'), { nil: undefined }),
  payload: fc.uint8Array({ maxLength: 60 }),
  content: fc.constantFrom('json' as const, 'cbor' as const, 'bytes' as const),
  conversationId: text,
  correlationId: text,
  replyTo: text,
  headers: fc.dictionary(fc.string({ minLength: 1, maxLength: 10 }), fc.string({ maxLength: 10 }), { maxKeys: 5 }),
  priority: fc.constantFrom(...PRIORITIES),
  guarantee: fc.constantFrom(...GUARANTEES),
  createdAt: fc.nat({ max: 2 ** 45 }),
  ttlMs: fc.option(fc.integer({ min: 1, max: 2 ** 31 - 1 }), { nil: undefined }),
  traceparent: text,
  destinations: fc.array(fc.stringMatching(/^[A-Za-z0-9]{1,40}$/), { maxLength: 3 }),
  chain: fc.option(
    fc.array(fc.stringMatching(/^[A-Za-z0-9]{1,40}\/message:[a-z]{1,9}$/), { minLength: 1, maxLength: 4 }),
    {
      nil: undefined,
    },
  ),
})
/** Of amounts only whether they are limited travels. */
const budget = fc.option(
  fc.record({
    amounts: fc.constantFrom({}, { tokens: 0 }, { tokens: 0, cost: 0 }, { fanOut: 0 }),
    depth: fc.option(fc.nat({ max: 16 }), { nil: undefined }),
    leftMs: fc.option(fc.nat({ max: 2 ** 31 }), { nil: undefined }),
  }),
  { nil: undefined },
)
const plain = (one: DurableMessage) => ({
  ...one,
  chain: one.chain ?? [],
  budget: { depth: undefined, leftMs: undefined, amounts: undefined, ...one.budget },
  headers: Object.entries(one.headers),
  payload: [...one.payload],
})

test('a message is read as it was written', () => {
  const whole = fc.tuple(message, budget).map(([one, limits]): DurableMessage => ({ ...one, budget: limits }))
  fc.assert(fc.property(whole, (one) => assert.deepEqual(plain(decodeMessage(encodeMessage(one))), plain(one))))
})

test('no amounts are taken out of a message: it may be processed more than once', () => {
  const [one] = fc.sample(message, 1)
  assert.ok(one)
  const carried = { amounts: { tokens: 7, cost: 9 }, depth: 2 }
  const read = decodeMessage(encodeMessage({ ...one, budget: carried }))
  assert.deepEqual(read.budget, { amounts: { tokens: 0, cost: 0 }, depth: 2 })
})

test('another codec reads in it what was written, by the schema', () => {
  const schema = deliveryType('Message')
  fc.assert(
    fc.property(message, (one) => {
      const read = schema.toObject(schema.decode(encodeMessage(one)), { longs: Number, enums: String, defaults: true })
      assert.equal(Buffer.from(read.id).toString('hex'), one.id.replaceAll('-', ''))
      assert.equal(read.type, one.type)
      assert.equal(read.content.toLowerCase(), one.content)
      assert.equal(read.priority.toLowerCase(), one.priority)
      assert.equal(read.guarantee, one.guarantee)
      assert.equal(read.conversationId, one.conversationId ?? '')
      assert.equal(read.ttlMs, one.ttlMs ?? 0)
      assert.equal(read.createdAtMs, one.createdAt)
      assert.deepEqual(read.destinations, one.destinations)
      assert.deepEqual(read.chain, one.chain ?? [])
      assert.deepEqual([...read.payload], [...one.payload])
    }),
  )
})

test('a chain of 64 hops is read, whoever looks at it refuses it, and one of 65 is malformed', () => {
  const [one] = fc.sample(message, 1)
  const withChain = (hops: number): Uint8Array =>
    encodeMessage({ ...(one ?? assert.fail()), chain: Array.from({ length: hops }, () => 'a/message:b') })
  assert.equal(decodeMessage(withChain(64)).chain?.length, 64)
  assert.throws(() => decodeMessage(withChain(65)), { code: 'MSG003' })
})

test('bytes that are cut off, changed or random are read or refused as malformed', () => {
  const kinds = fc.constantFrom('cut' as const, 'flip' as const, 'add' as const)
  fc.assert(
    fc.property(message, fc.nat(), fc.nat({ max: 255 }), kinds, (one, at, by, kind) =>
      refuses(decodeMessage, broken(encodeMessage(one), at, by, kind)),
    ),
    { numRuns: 500 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => refuses(decodeMessage, bytes)),
    { numRuns: 500 },
  )
})

test('a header may have the name of what every object has', () => {
  const [one] = fc.sample(message, 1)
  assert.ok(one !== undefined)
  const headers = JSON.parse('{"__proto__": "a", "constructor": "b"}')
  const read = decodeMessage(encodeMessage({ ...one, headers }))
  assert.deepEqual(Object.entries(read.headers), [
    ['__proto__', 'a'],
    ['constructor', 'b'],
  ])
})

test('as many headers as are allowed are read, and one more is malformed', () => {
  const [one] = fc.sample(message, 1)
  assert.ok(one !== undefined)
  const headers = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`h${i}`, 'x']))
  assert.equal(
    Object.keys(decodeMessage(encodeMessage({ ...one, headers: headers(MAX_HEADERS) })).headers).length,
    MAX_HEADERS,
  )
  assert.throws(
    () => decodeMessage(encodeMessage({ ...one, headers: headers(MAX_HEADERS + 1) })),
    (error) => isParleyError(error, 'MSG003'),
  )
})

test('a conversation stays in one lane; what has none is spread over those of its priority', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.nat(), fc.nat(), (conversation, one, other) => {
      const lane = laneOf(conversation, 'low', one)
      assert.equal(lane, laneOf(conversation, 'critical', other))
      assert.ok(lane >= 0 && lane < LANES)
    }),
  )
  const lanes = PRIORITIES.map(
    (priority) => new Set(Array.from({ length: 100 }, (_, turn) => laneOf(undefined, priority, turn))),
  )
  for (const some of lanes) assert.equal(some.size, LANES / PRIORITIES.length)
  assert.equal(new Set(lanes.flatMap((some) => [...some])).size, LANES)
})
