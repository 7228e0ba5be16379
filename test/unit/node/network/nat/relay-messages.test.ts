/** What is said to a relay: bytes as the specification has them, in any pieces, and nothing read that is not its own. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import protobuf from 'protobufjs'
import {
  decodeHop,
  decodeStop,
  encodeHop,
  encodeStop,
  findMessage,
  type HopMessage,
  MAX_MESSAGE_BYTES,
  RELAY_STATUS,
  type StopMessage,
  statusText,
  withLengthPrefix,
} from '../../../../../node/network/nat/relay-messages.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'

/** From the circuit relay v2 specification, section "Protocol". */
const SPEC = `syntax = "proto3";
message HopMessage {
  enum Type { RESERVE = 0; CONNECT = 1; STATUS = 2; }
  optional Type type = 1; optional Peer peer = 2; optional Reservation reservation = 3;
  optional Limit limit = 4; optional uint32 status = 5; }
message StopMessage {
  enum Type { CONNECT = 0; STATUS = 1; }
  optional Type type = 1; optional Peer peer = 2; optional Limit limit = 3; optional uint32 status = 4; }
message Peer { bytes id = 1; repeated bytes addrs = 2; }
message Reservation { uint64 expire = 1; repeated bytes addrs = 2; bytes voucher = 3; }
message Limit { optional uint32 duration = 1; optional uint64 data = 2; }`
const spec = protobuf.parse(SPEC).root
const [HopType, StopType] = [spec.lookupType('HopMessage'), spec.lookupType('StopMessage')]

const id = fc.uint8Array({ minLength: 1, maxLength: 64 })
const hops: fc.Arbitrary<HopMessage> = fc.record(
  {
    type: fc.constantFrom('reserve' as const, 'connect' as const, 'status' as const),
    peer: id,
    status: fc.constantFrom(...Object.values(RELAY_STATUS)),
    expires: fc.integer({ min: 1, max: 2 ** 40 }),
  },
  { requiredKeys: ['type'] },
)
const NUMBER = { reserve: 0, connect: 1, status: 2 }

const plain = (hop: HopMessage | StopMessage): unknown => ({
  ...hop,
  ...(hop.peer && { peer: Buffer.from(hop.peer).toString('hex') }),
})

test('what is written to a relay reads by the specification as it was meant, and back', () => {
  fc.assert(
    fc.property(hops, (hop) => {
      const bytes = encodeHop(hop)
      const read = HopType.toObject(HopType.decode(bytes), { longs: Number })
      assert.equal(read.type, NUMBER[hop.type])
      assert.deepEqual(read.peer?.id && Buffer.from(read.peer.id), hop.peer && Buffer.from(hop.peer))
      assert.equal(read.status, hop.status)
      assert.equal(read.reservation?.expire, hop.expires)
      assert.deepEqual(plain(decodeHop(bytes)), plain(hop))
    }),
  )
})

test('what others write, with vouchers, limits and addresses, is understood', () => {
  const peer = { id: Uint8Array.of(1, 2, 3), addrs: [Uint8Array.of(9), Uint8Array.of(8)] }
  const reservation = { expire: 1_800_000_000, addrs: [Uint8Array.of(7)], voucher: Uint8Array.of(6, 6) }
  const hop = HopType.encode({ type: 2, peer, reservation, limit: { duration: 5, data: 9 }, status: 100 }).finish()
  assert.deepEqual(plain(decodeHop(hop)), { type: 'status', peer: '010203', status: 100, expires: 1_800_000_000 })
  const stop = StopType.encode({ type: 0, peer, limit: { duration: 5 } }).finish()
  assert.deepEqual(plain(decodeStop(stop)), { type: 'connect', peer: '010203' })
})

test('what is said to a guest reads by the specification as it was meant', () => {
  const connect = StopType.toObject(StopType.decode(encodeStop({ type: 'connect', peer: Uint8Array.of(4) })))
  assert.deepEqual([connect.type, Buffer.from(connect.peer.id)], [0, Buffer.of(4)])
  const status = StopType.toObject(StopType.decode(encodeStop({ type: 'status', status: RELAY_STATUS.ok })))
  assert.deepEqual(status, { type: 1, status: 100 })
})

test('a message is found in any pieces, and what comes behind it is left', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 20 }), (message, rest) => {
      const all = Buffer.concat([withLengthPrefix(message), rest])
      const whole = withLengthPrefix(message).length
      for (let at = 0; at < whole; at += 1) assert.equal(findMessage(all.subarray(0, at)), undefined)
      const found = findMessage(all) ?? assert.fail('it is complete')
      assert.deepEqual(all.subarray(found.from, found.to), Buffer.from(message))
      assert.deepEqual(all.subarray(found.to), Buffer.from(rest))
    }),
  )
})

test('a message at the bound is taken, one past it is refused before it is read', () => {
  const header = (length: number): Uint8Array => withLengthPrefix(new Uint8Array(length)).subarray(0, 2)
  assert.equal(findMessage(header(MAX_MESSAGE_BYTES)), undefined)
  assert.deepEqual(findMessage(withLengthPrefix(new Uint8Array(MAX_MESSAGE_BYTES))), {
    from: 2,
    to: MAX_MESSAGE_BYTES + 2,
  })
  for (const bytes of [header(MAX_MESSAGE_BYTES + 1), Uint8Array.of(0xff, 0xff, 0xff)])
    assert.throws(
      () => findMessage(bytes),
      (error) => isParleyError(error, 'MSG003'),
    )
})

test('bytes at random are refused as malformed or read, and nothing else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      for (const decode of [decodeHop, decodeStop]) {
        try {
          decode(bytes)
        } catch (error) {
          assert.ok(isParleyError(error, 'MSG003'), String(error))
        }
      }
    }),
  )
})

test('each refusal has words of its own', () => {
  assert.match(statusText(RELAY_STATUS.reservationRefused), /no place left/)
  assert.match(statusText(999), /999/)
})
