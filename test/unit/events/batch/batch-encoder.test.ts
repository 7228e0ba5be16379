import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import protobuf from 'protobufjs'
import { fromString } from 'uint8arrays/from-string'
import { hash } from '../../../../node/platform/platform.ts'
import { isParleyError } from '../../../../protocols/errors.ts'
import { decodeBatch, eventDecoder, signedBytes } from '../../../../protocols/events/batch/batch-decoder.ts'
import {
  BatchDraft,
  type BatchHeader,
  MAX_BATCH_BYTES,
  MAX_BATCH_EVENTS,
  putEvent,
  signingPrefixes,
} from '../../../../protocols/events/batch/batch-encoder.ts'
import type { EventAttributes } from '../../../../protocols/events/batch/event-attributes.ts'
import { PRIORITIES } from '../../../../protocols/wire/envelope.ts'
import { ProtobufWriter } from '../../../../protocols/wire/frames/protobuf.ts'

const source = readFileSync(new URL('../../../../protocols/events/batch.proto', import.meta.url), 'utf8')
const { root } = protobuf.parse(source, { keepCase: true })
const SignedBatch = root.lookupType('SignedBatch')
const Batch = root.lookupType('Batch')

interface Sent {
  topic: string
  text: string
  marks: EventAttributes
}

const prefixes = signingPrefixes('test')
const signature = new Uint8Array(64).fill(7)
const header: BatchHeader = {
  publisher: '12D3KooWA',
  word: 'a',
  epoch: 1_716_239_022_000,
  first: 1,
  sentAt: 5,
  waitedMs: 0,
}

const sealed = (head: BatchHeader, events: Uint8Array, by = signature): Uint8Array => {
  const draft = new BatchDraft(prefixes.digest, hash, head, events)
  draft.toSign(head)
  return draft.seal(by)
}

const write = (head: BatchHeader, events: Sent[], by = signature): Uint8Array => {
  const writer = new ProtobufWriter(16)
  for (const { topic, text, marks } of events) putEvent(writer, fromString(topic), text, marks)
  return sealed(head, writer.finish(), by)
}
const malformed = (fn: () => unknown): void => {
  assert.throws(fn, (error) => isParleyError(error, 'MSG003'))
}

const number = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })
const short = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
const marks: fc.Arbitrary<EventAttributes> = fc.record(
  {
    id: short,
    type: short,
    version: short,
    conversationId: short,
    correlationId: short,
    headers: fc.dictionary(fc.string({ unit: 'grapheme', maxLength: 20 }), short, { maxKeys: 5 }),
    priority: fc.constantFrom(...PRIORITIES),
    ttlMs: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
  },
  { requiredKeys: [], noNullPrototype: true },
)
const text = fc.oneof(
  fc.json(),
  // Around the sizes at which a length takes one byte more.
  fc.integer({ min: 100, max: 140 }).map((length) => JSON.stringify('x'.repeat(length))),
  fc.integer({ min: 40, max: 70 }).map((length) => JSON.stringify('é'.repeat(length))),
  fc.integer({ min: 16_300, max: 16_400 }).map((length) => JSON.stringify('y'.repeat(length))),
)
const sent: fc.Arbitrary<Sent> = fc.record({ topic: fc.constantFrom('a', 'a.b', 'a.длинный.x'), text, marks })
const headers: fc.Arbitrary<BatchHeader> = fc.record({
  publisher: fc.string({ minLength: 1, maxLength: 60, unit: 'binary-ascii' }),
  word: fc.constant('a'),
  epoch: number,
  first: fc.integer({ min: 1, max: 2 ** 50 }),
  sentAt: number,
  waitedMs: fc.integer({ min: 0, max: 10_000 }),
  circle: fc.option(fc.uint8Array({ minLength: 8, maxLength: 8 }), { nil: undefined }),
})
const batches = fc.tuple(headers, fc.array(sent, { minLength: 1, maxLength: 6 }))

test('what is written is read back: header, events and what they say about themselves', () => {
  fc.assert(
    fc.property(batches, ([head, events]) => {
      const batch = decodeBatch(write(head, events))
      const { body: _body, signature: read, signed, spans, ...rest } = batch
      assert.deepEqual(rest, { circle: undefined, ...head })
      assert.deepEqual([read, signed], [signature, 'digest'])
      assert.equal(spans.length, events.length * 2)
      const eventAt = eventDecoder(batch)
      for (const [index, { topic, text, marks }] of events.entries()) {
        const { topic: name, text: json, ...said } = eventAt(index)
        assert.deepEqual([name, json], [topic, text])
        // An empty map and the normal priority take no bytes.
        const { headers, priority, ...others } = marks
        const expected: EventAttributes = { ...others }
        if (headers !== undefined && Object.keys(headers).length > 0) expected.headers = headers
        if (priority !== undefined && priority !== 'normal') expected.priority = priority
        assert.deepEqual(JSON.parse(JSON.stringify(said)), JSON.parse(JSON.stringify(expected)))
      }
    }),
    { numRuns: 500 },
  )
})

test('an independent decoder that reads batch.proto finds the same', () => {
  fc.assert(
    fc.property(batches, ([head, events]) => {
      const outer = SignedBatch.toObject(SignedBatch.decode(write(head, events)))
      assert.deepEqual(new Uint8Array(outer.signature), signature)
      const body = Batch.toObject(Batch.decode(outer.body), { longs: Number, enums: String, defaults: true })
      assert.deepEqual(
        [body.publisher, body.word, body.epoch, body.first, body.sent_at_ms, body.waited_ms],
        [head.publisher, head.word, head.epoch, head.first, head.sentAt, head.waitedMs],
      )
      assert.equal(body.events.length, events.length)
      for (const [index, { topic, text, marks }] of events.entries()) {
        const event = body.events[index]
        assert.deepEqual(
          [event.topic, new TextDecoder('utf-8', { ignoreBOM: true }).decode(event.payload), event.content],
          [topic, text, 'JSON'],
        )
        assert.deepEqual(
          [event.id, event.type, event.version, event.conversation_id, event.correlation_id],
          [marks.id, marks.type, marks.version, marks.conversationId, marks.correlationId].map((mark) => mark ?? ''),
        )
        assert.deepEqual({ ...event.headers }, { ...marks.headers })
        assert.equal(event.priority, (marks.priority ?? 'normal').toUpperCase())
        assert.equal(event.ttl_ms, marks.ttlMs ?? 0)
      }
    }),
    { numRuns: 500 },
  )
})

test('a batch written by an independent encoder is read', () => {
  const events = [
    { topic: 'a.b', payload: fromString('{"x":1}'), headers: { k: 'v' }, priority: 2, ttl_ms: 9, type: 't' },
  ]
  const body = Batch.encode({
    publisher: 'p',
    word: 'a',
    epoch: 7,
    first: 3,
    sent_at_ms: 4,
    waited_ms: 2,
    events,
  }).finish()
  const batch = decodeBatch(SignedBatch.encode({ body, signature }).finish())
  assert.deepEqual([batch.publisher, batch.epoch, batch.first, batch.waitedMs], ['p', 7, 3, 2])
  const event = eventDecoder(batch)(0)
  assert.deepEqual(event, { topic: 'a.b', text: '{"x":1}', headers: { k: 'v' }, priority: 'high', ttlMs: 9, type: 't' })
})

test('what is signed is prefix, mesh and the digest of the very bytes that travel', () => {
  const draft = new BatchDraft(prefixes.digest, hash, header, fromString(''))
  const toSign = draft.toSign(header)
  const batch = decodeBatch(write(header, [{ topic: 'a.b', text: '1', marks: {} }]))
  const signed = signedBytes(prefixes, hash, batch)
  const prefix = fromString('parley/events/2\ntest\n')
  assert.deepEqual(signed.subarray(0, prefix.length), prefix)
  assert.deepEqual(signed.subarray(prefix.length), new Uint8Array(createHash('sha256').update(batch.body).digest()))
  assert.equal(toSign.length, signed.length)
})

test('a batch that a version before signed is over its body, under a prefix of its own', () => {
  const now = decodeBatch(write(header, [{ topic: 'a.b', text: '1', marks: {} }]))
  const batch = decodeBatch(SignedBatch.encode({ body: now.body, body_signature: signature }).finish())
  assert.deepEqual([batch.signed, new Uint8Array(batch.signature)], ['body', signature])
  const prefix = fromString('parley/events/1\ntest\n')
  assert.deepEqual(signedBytes(prefixes, hash, batch), new Uint8Array([...prefix, ...batch.body]))
  // With both, the one over the digest counts, so that nobody can choose for others.
  const both = SignedBatch.encode({ body: now.body, body_signature: new Uint8Array(64), signature }).finish()
  assert.deepEqual([decodeBatch(both).signed, new Uint8Array(decodeBatch(both).signature)], ['digest', signature])
})

test('fields of a later version are passed over, at every level', () => {
  const later = protobuf.parse(
    source
      .replace('bytes signature = 3;', 'bytes signature = 3; string more = 200; fixed64 eight = 16; fixed32 four = 17;')
      .replace('uint64 waited_ms = 6;', 'uint64 waited_ms = 6; uint64 more = 20; bytes other = 21;')
      .replace('uint64 ttl_ms = 11;', 'uint64 ttl_ms = 11; string more = 30; double number = 31;'),
    { keepCase: true },
  ).root
  const event = { topic: 'a.b', payload: fromString('1'), more: 'x', number: 1.5 }
  const body = later.lookupType('Batch').encode({ ...header, more: 2 ** 40, other: fromString('o'), events: [event] })
  const outer = { body: body.finish(), signature, more: 'y', eight: 1, four: 2 }
  const batch = decodeBatch(later.lookupType('SignedBatch').encode(outer).finish())
  assert.deepEqual(eventDecoder(batch)(0), { topic: 'a.b', text: '1' })
})

test('garbage is refused with MSG003 and nothing else', () => {
  const good = write(header, [{ topic: 'a.b', text: '{"x":1}', marks: { headers: { a: 'b' }, type: 't' } }])
  const read = (bytes: Uint8Array): void => {
    try {
      const batch = decodeBatch(bytes)
      const eventAt = eventDecoder(batch)
      for (let index = 0; index < batch.spans.length / 2; index += 1) eventAt(index)
    } catch (error) {
      assert.ok(isParleyError(error, 'MSG003'), String(error))
    }
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      read(bytes)
    }),
    { numRuns: 2000 },
  )
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (at, value, length) => {
      const bytes = good.slice()
      bytes[at] = value
      read(bytes)
      read(bytes.subarray(0, length))
    }),
    { numRuns: 5000 },
  )
})

test('a header may have any name', () => {
  const headers = Object.fromEntries([
    ['__proto__', 'x'],
    ['constructor', 'y'],
    ['', 'z'],
  ])
  const event = eventDecoder(decodeBatch(write(header, [{ topic: 'a', text: '1', marks: { headers } }])))(0)
  assert.deepEqual(Object.entries(event.headers ?? {}), Object.entries(headers))
  assert.equal(Object.getPrototypeOf(event.headers), Object.prototype)
})

test('one broken event leaves the others readable', () => {
  const writer = new ProtobufWriter(16)
  putEvent(writer, fromString('a.b'), '1', undefined)
  const broken = writer.at
  putEvent(writer, fromString('a.b'), '"text"', undefined)
  putEvent(writer, fromString('a.b'), '3', undefined)
  // The payload of the second event: not UTF-8.
  writer.bytes[broken + 10] = 0xff
  const batch = decodeBatch(sealed(header, writer.finish()))
  const eventAt = eventDecoder(batch)
  assert.equal(eventAt(0).text, '1')
  malformed(() => eventAt(1))
  assert.equal(eventAt(2).text, '3')
})

test('a batch holds at most 1000 events and 1 MiB', () => {
  const event = { topic: 'a', text: '1', marks: {} }
  const most = Array.from({ length: MAX_BATCH_EVENTS }, () => event)
  assert.equal(decodeBatch(write(header, most)).spans.length, MAX_BATCH_EVENTS * 2)
  malformed(() => decodeBatch(write(header, [...most, event])))
  const overhead = write(header, [{ ...event, text: '"' }]).length
  // Three lengths that take two bytes more than in the batch of one character.
  const largest = (length: number) => write(header, [{ ...event, text: '"'.repeat(length - overhead + 1 - 6) }])
  assert.equal(largest(MAX_BATCH_BYTES).length, MAX_BATCH_BYTES)
  decodeBatch(largest(MAX_BATCH_BYTES))
  malformed(() => decodeBatch(largest(MAX_BATCH_BYTES + 1)))
})

test('a batch without header, body, signature or events is refused', () => {
  const event = { topic: 'a', text: '1', marks: {} }
  malformed(() => decodeBatch(write({ ...header, publisher: '' }, [event])))
  malformed(() => decodeBatch(write({ ...header, word: '' }, [event])))
  malformed(() => decodeBatch(write({ ...header, first: 0 }, [event])))
  malformed(() => decodeBatch(write({ ...header, first: Number.MAX_SAFE_INTEGER }, [event])))
  malformed(() => decodeBatch(write(header, [])))
  malformed(() => decodeBatch(write(header, [event], signature.subarray(1))))
  malformed(() => decodeBatch(new Uint8Array()))
})

test('headers beyond 32 or 4096 characters make an event unreadable', () => {
  const withHeaders = (headers: Record<string, string>) => () =>
    eventDecoder(decodeBatch(write(header, [{ topic: 'a', text: '1', marks: { headers } }])))(0)
  const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, '']))
  withHeaders(many(32))()
  malformed(withHeaders(many(33)))
  withHeaders({ k: 'v'.repeat(4095) })()
  malformed(withHeaders({ k: 'v'.repeat(4096) }))
})
