/** Messages of a group as bytes: there and back, as the schema says, and nothing malformed gets in. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import protobuf from 'protobufjs'
import { mergeAppends } from '../../../../protocols/consensus/group/output-batching.ts'
import { decodeRaftPacket, encodeRaftPacket, type RaftPacket } from '../../../../protocols/consensus/raft/raft-codec.ts'
import {
  type Entry,
  encodeConfiguration,
  type RaftMessage,
} from '../../../../protocols/consensus/raft/raft-messages.ts'

const count = fc.integer({ min: 0, max: 2 ** 45 })
const member = fc.stringMatching(/^[a-z0-9]{1,20}\.[0-9a-f]{2,8}$/)
const kind = fc.constantFrom<Entry['kind']>('empty', 'command', 'configuration')
const configuration = fc
  .uniqueArray(member, { minLength: 1, maxLength: 7 })
  .map((all) => ({ voters: all.slice(0, 5).toSorted(), learners: all.slice(5).toSorted() }))
const part = fc
  .tuple(count, kind, fc.uint8Array({ maxLength: 40 }), configuration)
  .map(([term, kind, data, members]) => ({
    term,
    kind,
    data: kind === 'configuration' ? encodeConfiguration(members) : data,
  }))
/** In the order in which a log has them. */
const rising = (...terms: number[]): number[] => terms.toSorted((a, b) => a - b)

const message: fc.Arbitrary<RaftMessage> = fc.oneof(
  fc
    .record(
      {
        type: fc.constant('vote' as const),
        term: count,
        isPre: fc.boolean(),
        lastIndex: count,
        lastTerm: count,
        isTransfer: fc.boolean(),
        placed: fc.record({ index: count, configuration }),
      },
      { requiredKeys: ['type', 'term', 'isPre', 'lastIndex', 'lastTerm', 'isTransfer'] },
    )
    .map((one) => ({ ...one, term: Math.max(one.term, one.lastTerm) })),
  fc.record({ type: fc.constant('voted' as const), term: count, isPre: fc.boolean(), granted: fc.boolean() }),
  fc
    .record({
      type: fc.constant('append' as const),
      term: count,
      previousIndex: count,
      previousTerm: count,
      parts: fc.array(part, { maxLength: 6 }),
      commit: count,
      round: count,
    })
    .map(({ parts, ...rest }) => {
      const [previousTerm = 0, ...terms] = rising(rest.previousTerm, ...parts.map(({ term }) => term))
      const entries = parts.map((one, i) => ({ ...one, term: terms[i] ?? 0, index: rest.previousIndex + 1 + i }))
      return { ...rest, previousTerm, term: Math.max(rest.term, terms.at(-1) ?? previousTerm), entries }
    }),
  fc.record({
    type: fc.constant('appended' as const),
    term: count,
    index: count,
    accepted: fc.boolean(),
    hintIndex: count,
    hintTerm: count,
    round: count,
  }),
  fc
    .record({
      type: fc.constant('snapshot' as const),
      term: count,
      meta: fc.record({ index: count, term: count, configuration }),
    })
    .map((one) => ({ ...one, term: Math.max(one.term, one.meta.term) })),
  fc.record({ type: fc.constant('timeout-now' as const), term: count }),
  fc.record({ type: fc.constant('read' as const), term: count, id: count }),
  fc.record({ type: fc.constant('read-at' as const), term: count, id: count, index: count }),
)
const step: fc.Arbitrary<RaftPacket> = fc.record({
  group: fc.string({ minLength: 1, maxLength: 16 }),
  from: member,
  to: member,
  message,
})

test('what is written is read again', () => {
  fc.assert(fc.property(step, (one) => assert.deepEqual(decodeRaftPacket(encodeRaftPacket(one)), structuredClone(one))))
})

test('the bytes are those of the schema', async () => {
  const root = await protobuf.load(new URL('../../../../protocols/consensus/raft/raft.proto', import.meta.url).pathname)
  const schema = root.lookupType('parley.raft.v1.Step')
  fc.assert(
    fc.property(step, (one) => {
      const bytes = encodeRaftPacket(one)
      assert.equal(schema.verify(schema.decode(bytes)), null)
      assert.deepEqual(Buffer.from(schema.encode(schema.decode(bytes)).finish()), Buffer.from(bytes))
    }),
  )
})

test('fields that this version does not know are skipped', () => {
  const one: RaftPacket = { group: 'g', from: 'a.00', to: 'b.00', message: { type: 'read', term: 3, id: 4 } }
  // Field 200, a text; field 201, a number.
  const more = [0xc2, 0x0c, 2, 104, 105, 0xc8, 0x0c, 7]
  assert.deepEqual(decodeRaftPacket(new Uint8Array([...encodeRaftPacket(one), ...more])), one)
})

test('bytes that were cut, changed or made up throw MSG003 or are another message, and nothing else', () => {
  const tryIt = (bytes: Uint8Array): void => {
    try {
      decodeRaftPacket(bytes)
    } catch (error) {
      assert.equal(Reflect.get(Object(error), 'code'), 'MSG003')
    }
  }
  fc.assert(
    fc.property(step, fc.nat(), fc.integer({ min: 1, max: 255 }), (one, at, by) => {
      const bytes = encodeRaftPacket(one)
      tryIt(bytes.subarray(0, at % bytes.length))
      const changed = bytes.slice()
      changed[at % bytes.length] = ((changed[at % bytes.length] ?? 0) + by) % 256
      tryIt(changed)
    }),
  )
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), tryIt))
})

test('entries with a gap, too many of them, and messages from nobody are refused', () => {
  const entry = (index: number): Entry => ({ index, term: 1, kind: 'command', data: new Uint8Array(0) })
  const append = (entries: Entry[]): Uint8Array =>
    encodeRaftPacket({
      group: 'g',
      from: 'a.00',
      to: 'b.00',
      message: { type: 'append', term: 1, previousIndex: 4, previousTerm: 1, entries, commit: 0, round: 0 },
    })
  assert.equal(decodeRaftPacket(append([entry(5), entry(6)])).message.type, 'append')
  assert.throws(() => decodeRaftPacket(append([entry(5), entry(7)])), { code: 'MSG003' })
  const many = (length: number): Entry[] => Array.from({ length }, (_, i) => entry(5 + i))
  assert.equal(decodeRaftPacket(append(many(4_096))).message.type, 'append')
  assert.throws(() => decodeRaftPacket(append(many(4_097))), { code: 'MSG003' })
  assert.throws(
    () =>
      decodeRaftPacket(
        encodeRaftPacket({ group: '', from: 'a.00', to: 'b.00', message: { type: 'timeout-now', term: 1 } }),
      ),
    { code: 'MSG003' },
  )
})

test('messages that go on where the one before ended become one, and no other', () => {
  const entry = (index: number): Entry => ({ index, term: 2, kind: 'command', data: new Uint8Array([index]) })
  const append = (previousIndex: number, entries: Entry[], commit: number): RaftMessage => ({
    type: 'append',
    term: 2,
    previousIndex,
    previousTerm: 2,
    entries,
    commit,
    round: 0,
  })
  const all = mergeAppends([
    { to: 'b', message: append(4, [], 4) },
    { to: 'c', message: append(2, [entry(3)], 4) },
    { to: 'b', message: append(4, [entry(5)], 4) },
    { to: 'b', message: append(5, [entry(6), entry(7)], 5) },
    { to: 'c', message: { type: 'read-at', term: 2, id: 1, index: 4 } },
    { to: 'c', message: append(3, [entry(4)], 5) },
    { to: 'b', message: append(9, [entry(10)], 5) },
  ])
  assert.deepEqual(all, [
    { to: 'b', message: append(4, [entry(5), entry(6), entry(7)], 5) },
    { to: 'c', message: append(2, [entry(3)], 4) },
    { to: 'c', message: { type: 'read-at', term: 2, id: 1, index: 4 } },
    { to: 'c', message: append(3, [entry(4)], 5) },
    { to: 'b', message: append(9, [entry(10)], 5) },
  ])
})
