import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MAX_PACKET_BYTES, readPacket, writeAnswer, writeQuestion } from '../../../../discovery/mdns/mdns-packet.ts'

const SERVICE = '_p0123456789abcd._udp.local'
const bytes = (...parts: (number[] | string)[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => (typeof part === 'string' ? [part.length, ...Buffer.from(part)] : part)))

test('a question is read by who offers the service and by nobody else', () => {
  assert.deepEqual(readPacket(writeQuestion(SERVICE), SERVICE), { kind: 'question' })
  assert.equal(readPacket(writeQuestion(SERVICE), '_other._udp.local'), undefined)
})

test('an answer brings its bytes back, whatever they are', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 1_000 }), (data) => {
      const heard = readPacket(writeAnswer(SERVICE, 'instance', 120, data), SERVICE)
      assert.ok(heard?.kind === 'answer')
      assert.deepEqual([...heard.data], [...data])
    }),
  )
})

test('it is the form that RFC 6762 and RFC 6763 describe', () => {
  const question = bytes([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], '_a', '_udp', 'local', [0, 0, 12, 0, 1])
  assert.deepEqual([...writeQuestion('_a._udp.local')], [...question])
  const answer = bytes(
    [0, 0, 0x84, 0, 0, 0, 0, 2, 0, 0, 0, 0],
    ...['_a', '_udp', 'local', [0, 0, 12, 0, 1, 0, 0, 0, 120, 0, 17], 'i', '_a', '_udp', 'local', [0]],
    ...['i', '_a', '_udp', 'local', [0, 0, 16, 0, 1, 0, 0, 0, 120, 0, 3, 2, 7, 8]],
  )
  assert.deepEqual([...writeAnswer('_a._udp.local', 'i', 120, Uint8Array.of(7, 8))], [...answer])
})

test('names that point back, further records, capital letters and a wanted unicast answer are understood', () => {
  const asked = bytes(
    [0, 9, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0],
    '_x',
    '_udp',
    'local',
    [0, 0, 12, 0, 1],
    '_A',
    [0xc0, 15, 0, 12, 0x80, 1],
  )
  assert.deepEqual(readPacket(asked, '_a._udp.local'), { kind: 'question' })
  const told = bytes(
    [0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 2],
    ...['_a', '_udp', 'local', [0, 0, 12, 0, 1, 0, 0, 0, 1, 0, 4], 'i', [0xc0, 12]],
    ...[[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 1, 2, 3, 4]],
    ...['i', [0xc0, 12, 0, 16, 0x80, 1, 0, 0, 0, 1, 0, 2], [1, 5]],
  )
  const heard = readPacket(told, '_a._udp.local')
  assert.ok(heard?.kind === 'answer')
  assert.deepEqual([...heard.data], [5])
})

test('a name that points at itself, forwards or into the header has no end that is waited for', () => {
  for (const target of [0, 11, 12, 13, 40]) {
    const packet = bytes([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], [0xc0, target, 0, 12, 0, 1])
    assert.equal(readPacket(packet, SERVICE), undefined)
  }
})

test('what is too long, has too many records or ends too early is nothing', () => {
  const answer = writeAnswer(SERVICE, 'i', 120, new Uint8Array(200))
  for (let length = 0; length < answer.length; length += 1)
    assert.equal(readPacket(answer.subarray(0, length), SERVICE), undefined, `${length} bytes`)
  const padded = new Uint8Array(MAX_PACKET_BYTES)
  padded.set(answer)
  assert.equal(readPacket(padded, SERVICE)?.kind, 'answer')
  const longer = new Uint8Array(MAX_PACKET_BYTES + 1)
  longer.set(answer)
  assert.equal(readPacket(longer, SERVICE), undefined)
  const crowded = writeQuestion(SERVICE)
  crowded[5] = 32
  assert.equal(readPacket(crowded, SERVICE)?.kind, 'question')
  crowded[5] = 33
  assert.equal(readPacket(crowded, SERVICE), undefined)
})

test('no bytes make it throw', () => {
  const answer = writeAnswer(SERVICE, 'i', 120, new Uint8Array(40))
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (packet) => void readPacket(packet, SERVICE)))
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(answer.length - 1), fc.nat(255)), { maxLength: 8 }), (changes) => {
      const packet = Uint8Array.from(answer)
      for (const [at, value] of changes) packet[at] = value
      readPacket(packet, SERVICE)
    }),
    { numRuns: 1_000 },
  )
})
