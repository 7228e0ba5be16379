import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fromString } from 'uint8arrays/from-string'
import {
  type AgentRecord,
  encodeRecord,
  fitRecord,
  MAX_ADDRESSES,
  MAX_LABELS,
  MAX_NESTING,
  MAX_RECORD_BYTES,
  packRecord,
  readRecord,
  type SignedRecord,
  signRecord,
  unpackRecord,
  verifyRecord,
} from '../../../../../discovery/directory/record/agent-record.ts'
import { createPortNetwork } from '../../../../../node/testing/virtual/port-network.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'

const network = createPortNetwork()
const ana = network.start('ana')
const bob = network.start('bob')

const recordOf = (fields: Partial<AgentRecord> = {}): AgentRecord => ({
  peerId: ana.id,
  name: 'ana',
  mesh: 'test',
  incarnation: 1,
  version: 1,
  protocols: [],
  labels: {},
  addresses: [],
  ttlMs: 30_000,
  ...fields,
})
const unsigned = (value: unknown): SignedRecord => ({
  bytes: fromString(JSON.stringify(value)),
  signature: new Uint8Array(64),
})
const refusal = (value: unknown): string | undefined => readRecord(unsigned(value), 'test').refused
const method = (request: Record<string, unknown>) => ({ name: 'm', kind: 'unary' as const, request })
const offering = (...schemas: Record<string, unknown>[]): AgentRecord =>
  recordOf({ protocols: [{ name: 'p', version: '1.0.0', methods: schemas.map(method) }] })
const padding = (bytes: number) => ({ description: 'x'.repeat(bytes) })

test('a signed record can be read and verified, and survives being packed', async () => {
  const record = recordOf({ labels: { room: 'küche' }, addresses: ['/ip4/127.0.0.1/tcp/1'], price: 2 })
  const signed = unpackRecord(packRecord(await signRecord(ana.port, record)))
  assert.deepEqual(readRecord(signed, 'test').record, record)
  assert.equal(await verifyRecord(bob.port, record, signed), true)
})

test('any record that the schema allows comes back as it was', () => {
  const text = fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' }).filter((s) => /^\P{Cc}+$/u.test(s))
  const arbitrary = fc.record({
    name: text,
    incarnation: fc.maxSafeNat(),
    version: fc.maxSafeNat(),
    labels: fc.dictionary(
      text.filter((key) => key !== '__proto__'),
      fc.string({ maxLength: 20 }),
      { maxKeys: 5, noNullPrototype: true },
    ),
    addresses: fc.array(text, { maxLength: MAX_ADDRESSES }),
    price: fc.double({ min: 0, max: 1e9, noNaN: true }).map((n) => n + 0),
  })
  fc.assert(
    fc.property(arbitrary, (fields) => {
      const record = recordOf(fields)
      const read = readRecord({ bytes: encodeRecord(record), signature: new Uint8Array(64) }, 'test')
      assert.deepEqual(read.record, JSON.parse(JSON.stringify(record)))
    }),
  )
})

test('a signature does not hold for other bytes, another writer or another mesh', async () => {
  const record = recordOf()
  const signed = await signRecord(ana.port, record)
  const bent = signed.bytes.slice()
  bent[5] = (bent[5] ?? 0) ^ 1
  assert.equal(await verifyRecord(bob.port, record, { ...signed, bytes: bent }), false)
  assert.equal(await verifyRecord(bob.port, { ...record, peerId: bob.id }, signed), false)
  assert.equal(await verifyRecord(bob.port, { ...record, mesh: 'other' }, signed), false)
  assert.equal(await verifyRecord(bob.port, record, { ...signed, signature: new Uint8Array(63) }), false)
})

test('a bare signature over the JSON, without the domain, does not pass', async () => {
  const record = recordOf()
  const bytes = encodeRecord(record)
  assert.equal(await verifyRecord(bob.port, record, { bytes, signature: await ana.port.sign(bytes) }), false)
})

test('random bytes are refused, and no bent record makes the reader throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      assert.equal(readRecord({ bytes, signature: bytes }, 'test').refused, 'malformed')
    }),
  )
  const whole = encodeRecord(offering({ type: 'string' }))
  fc.assert(
    fc.property(fc.nat({ max: whole.length - 1 }), fc.nat({ max: 255 }), (at, byte) => {
      const bytes = whole.slice()
      bytes[at] = byte
      const { record, refused } = readRecord({ bytes, signature: bytes }, 'test')
      assert.equal(record === undefined, refused !== undefined)
    }),
    { numRuns: 1000 },
  )
})

test('a record of another mesh is refused by name', () => {
  assert.equal(refusal(recordOf({ mesh: 'other' })), 'other_mesh')
  assert.equal(refusal(recordOf()), undefined)
})

test('size, addresses and labels are allowed up to their bound and refused one past it', () => {
  const empty = encodeRecord(offering({ description: '' })).length
  assert.equal(refusal(offering(padding(MAX_RECORD_BYTES - empty))), undefined)
  assert.equal(refusal(offering(padding(MAX_RECORD_BYTES - empty + 1))), 'too_big')
  const addresses = (n: number) =>
    recordOf({ addresses: Array.from({ length: n }, (_, i) => `/ip4/10.0.0.${i}/tcp/1`) })
  assert.equal(refusal(addresses(MAX_ADDRESSES)), undefined)
  assert.equal(refusal(addresses(MAX_ADDRESSES + 1)), 'malformed')
  const labels = (n: number) =>
    recordOf({ labels: Object.fromEntries(Array.from({ length: n }, (_, i) => [`l${i}`, ''])) })
  assert.equal(refusal(labels(MAX_LABELS)), undefined)
  assert.equal(refusal(labels(MAX_LABELS + 1)), 'malformed')
})

test('nesting is allowed up to its bound, refused one past it, and no depth breaks the reader', () => {
  const nested = (levels: number): Record<string, unknown> => {
    let value = {}
    for (let n = 1; n < levels; n += 1) value = { a: value }
    return value
  }
  // Record, protocols, protocol, methods and method lie above the schema.
  assert.equal(refusal(offering(nested(MAX_NESTING - 5))), undefined)
  assert.equal(refusal(offering(nested(MAX_NESTING - 4))), 'malformed')
  const bomb = fromString(`{"protocols":${'['.repeat(30_000)}${']'.repeat(30_000)}}`)
  assert.equal(readRecord({ bytes: bomb, signature: bomb }, 'test').refused, 'malformed')
})

test('names that would repaint a terminal are refused', () => {
  assert.equal(refusal(recordOf({ name: 'a\u001b[2J' })), 'malformed')
  assert.equal(refusal(recordOf({ name: 'Агент 一号 👋' })), undefined)
})

test('fields and kinds of method of a newer release are left out of the view, and the rest is read', () => {
  const newer = {
    ...recordOf(),
    mood: 'good',
    protocols: [
      {
        name: 'p',
        version: '1.0.0',
        since: 2030,
        methods: [
          { name: 'm', kind: 'unary', cost: 3 },
          { name: 'talk', kind: 'duplex' },
        ],
      },
    ],
  }
  const { record } = readRecord(unsigned(newer), 'test')
  assert.deepEqual(record?.protocols, [{ name: 'p', version: '1.0.0', methods: [{ name: 'm', kind: 'unary' }] }])
})

test('a record that fits keeps all its schemas', () => {
  const record = offering({ type: 'string' }, { type: 'number' })
  assert.deepEqual(fitRecord(record), { record, dropped: 0 })
})

test('a record that is too large loses its largest schemas, no more than needed, and counts them', () => {
  const record = offering(padding(20_000), padding(30_000), padding(25_000), { type: 'string' })
  const fitted = fitRecord(record)
  assert.equal(fitted.dropped, 1)
  assert.deepEqual(
    fitted.record.protocols[0]?.methods.map(({ request }) => request !== undefined),
    [true, false, true, true],
  )
  assert.equal(record.protocols[0]?.methods[1]?.request !== undefined, true, 'the given record is left alone')
})

test('whatever schemas a record has, it fits afterwards, with every method and any counters', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 30_000 }), { maxLength: 12 }), (sizes) => {
      const { record, dropped } = fitRecord(offering(...sizes.map(padding)))
      const last = { ...record, version: Number.MAX_SAFE_INTEGER, incarnation: Number.MAX_SAFE_INTEGER, leaving: true }
      const methods = record.protocols[0]?.methods ?? []
      assert.equal(refusal(last), undefined)
      assert.equal(methods.length, sizes.length)
      assert.equal(methods.filter(({ request }) => request === undefined).length, dropped)
      // None was dropped in vain: the smallest of them would not fit any more.
      const smallest = Math.min(...sizes.filter((_, i) => methods[i]?.request === undefined))
      if (dropped > 0) assert.ok(encodeRecord(last).length + smallest > MAX_RECORD_BYTES - 64)
    }),
    { numRuns: 50 },
  )
})

test('a schema that nobody would accept for its depth is dropped even when there is room', () => {
  let deep = {}
  for (let n = 0; n < 20_000; n += 1) deep = { a: deep }
  const { record, dropped } = fitRecord(offering(deep))
  assert.equal(dropped, 1)
  assert.equal(refusal(record), undefined)
})

test('a record that is too large without any schema is an error that says what to do', () => {
  const methods = Array.from({ length: 100 }, (_, i) => ({ name: `m${i}`, kind: 'unary' as const, ...padding(1000) }))
  const record = recordOf({ protocols: [{ name: 'p', version: '1.0.0', methods }] })
  assert.throws(
    () => fitRecord(record),
    (error) => isParleyError(error, 'MSG001') && /bytes/.test(error.message) && error.hint !== undefined,
  )
})
