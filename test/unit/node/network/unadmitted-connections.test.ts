/** Connections that are not admitted yet: what they may use, and which one goes where there are too many. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  BYTES_PER_SECOND,
  createUnadmittedConnections,
  FEW_BYTES,
  FEW_STREAMS,
  MAX_INBOUND_BYTES,
  MAX_OUTBOUND_BYTES,
  MAX_REMEMBERED,
  MAX_TOTAL_BYTES,
  MAX_TOTAL_STREAMS,
  MAX_UNADMITTED,
  MORE_STREAMS,
  REMEMBERED_MS,
  STREAMS_PER_SECOND,
  STRIKES,
  sourceOfHost,
  type UnadmittedConnection,
} from '../../../../node/network/unadmitted-connections.ts'

const HELD = 4

const setUp = (perSecond = 1_000_000) => {
  let now = 0
  const ended: string[] = []
  const table = createUnadmittedConnections({ monotonic: () => now }, { perSecond, heldStreams: HELD })
  const enter = (host: string, name = host, direction: 'inbound' | 'outbound' = 'inbound'): UnadmittedConnection => {
    const entry = table.add(host, direction, () => void ended.push(name))
    assert.ok(entry !== undefined)
    return entry
  }
  return {
    table,
    ended,
    enter,
    pass(ms: number) {
      now += ms
    },
  }
}

test('the oldest of the address that has most of them makes room, whoever comes', () => {
  const { table, ended, enter } = setUp()
  enter('192.0.2.1', 'a lone one that is older than all')
  for (let at = 0; at < MAX_UNADMITTED - 1; at += 1) enter('198.51.100.7', `attacker ${at}`)
  assert.equal(table.size(), MAX_UNADMITTED)
  assert.deepEqual(ended, [])
  enter('203.0.113.9', 'a newcomer')
  assert.deepEqual(ended, ['attacker 0'])
  enter('198.51.100.7', 'one more of them')
  assert.deepEqual(ended, ['attacker 0', 'attacker 1'])
  assert.equal(table.size(), MAX_UNADMITTED)
  assert.equal(table.ended().room, 2)
})

test('one that is admitted or closed gives its place, and its bytes, back', () => {
  const { table, ended, enter } = setUp()
  const first = enter('192.0.2.1')
  first.received(1000)
  for (let at = 0; at < MAX_UNADMITTED - 1; at += 1) enter('198.51.100.7')
  first.release()
  first.release()
  first.received(1 << 30)
  assert.equal(table.bytes(), 0)
  enter('192.0.2.1')
  assert.equal(table.size(), MAX_UNADMITTED)
  assert.deepEqual(ended, [])
})

for (const [direction, most] of [
  ['inbound', MAX_INBOUND_BYTES],
  ['outbound', MAX_OUTBOUND_BYTES],
] as const) {
  test(`an ${direction} one may send ${most} bytes and no more`, () => {
    const { table, ended, enter } = setUp()
    const entry = enter('192.0.2.1', 'it', direction)
    entry.received(most)
    assert.deepEqual(ended, [])
    entry.received(1)
    assert.deepEqual(ended, ['it'])
    assert.deepEqual([table.size(), table.bytes(), table.ended().bytes], [0, 0, 1])
  })
}

test('it may open so many streams and no more', () => {
  const { table, ended, enter, pass } = setUp()
  const entry = enter('192.0.2.1', 'it')
  for (let at = 0; at < HELD + MORE_STREAMS; at += 1) {
    pass(50)
    entry.streamOpened()
  }
  assert.deepEqual(ended, [])
  entry.streamOpened()
  assert.deepEqual(ended, ['it'])
  assert.equal(table.ended().streams, 1)
})

test('together they send so much, and then whoever sent most goes', () => {
  const { table, ended, enter, pass } = setUp()
  const count = MAX_TOTAL_BYTES / MAX_INBOUND_BYTES
  const loud = Array.from({ length: count }, (_, at) => enter('198.51.100.7', `loud ${at}`))
  for (const [at, one] of loud.entries()) {
    pass(1_000)
    one.received(MAX_INBOUND_BYTES - (at === 3 ? 0 : 1))
  }
  enter('192.0.2.1', 'quiet').received(count - 1)
  assert.deepEqual(ended, [])
  enter('192.0.2.2', 'the last drop').received(1)
  assert.deepEqual(ended, ['loud 3'])
  assert.equal(table.ended()['total-bytes'], 1)
  assert.ok(table.bytes() <= MAX_TOTAL_BYTES)
})

test('where many streams are opened in a second, each that dialled this node may open a few', () => {
  const { ended, enter, pass } = setUp()
  const many = Array.from({ length: STREAMS_PER_SECOND / FEW_STREAMS }, (_, at) => enter('192.0.2.1', `${at}`))
  for (const one of many) for (let at = 0; at < FEW_STREAMS; at += 1) one.streamOpened()
  const newcomer = enter('192.0.2.1', 'newcomer')
  for (let at = 0; at < FEW_STREAMS; at += 1) newcomer.streamOpened()
  assert.deepEqual(ended, [], 'those that open few go on')
  many[0]?.streamOpened()
  assert.deepEqual(ended, ['0'])
  pass(1_000)
  many[1]?.streamOpened()
  assert.deepEqual(ended, ['0'], 'in another second they may open more')
})

test('where much is sent in a second, each that dialled this node may send a little', () => {
  const { ended, enter, pass } = setUp()
  const many = Array.from({ length: BYTES_PER_SECOND / FEW_BYTES }, (_, at) => enter('192.0.2.1', `${at}`))
  for (const one of many) one.received(FEW_BYTES)
  enter('192.0.2.1', 'newcomer').received(FEW_BYTES)
  enter('192.0.2.1', 'ours', 'outbound').received(2 * FEW_BYTES)
  assert.deepEqual(ended, [], 'those that send little go on, and those that we dialled')
  many[0]?.received(1)
  assert.deepEqual(ended, ['0'])
  pass(1_000)
  many[1]?.received(1)
  assert.deepEqual(ended, ['0'], 'in another second they may send more')
})

test('a peer that was ended for what it did is refused for a while, and others are not', () => {
  const { table, enter, pass } = setUp()
  const greedy = enter('192.0.2.1')
  greedy.named('greedy')
  assert.ok(!table.isRemembered('greedy'))
  greedy.received(MAX_INBOUND_BYTES + 1)
  assert.ok(table.isRemembered('greedy'))
  assert.ok(!table.isRemembered('another'))
  const dialled = enter('192.0.2.2', 'dialled', 'outbound')
  dialled.named('dialled')
  dialled.received(MAX_OUTBOUND_BYTES + 1)
  assert.ok(!table.isRemembered('dialled'), 'this node dials it again when it wants to')
  pass(REMEMBERED_MS - 1)
  assert.ok(table.isRemembered('greedy'))
  pass(1)
  assert.ok(!table.isRemembered('greedy'))
})

test('a peer that did more than a few in a busy second is refused from the second time on', () => {
  const { table, enter, pass } = setUp()
  for (let at = 0; at < STREAMS_PER_SECOND; at += 1) enter('192.0.2.9').streamOpened()
  const hurry = (): void => {
    const one = enter('192.0.2.1')
    one.named('hurried')
    for (let at = 0; at <= FEW_STREAMS; at += 1) one.streamOpened()
  }
  for (let strike = 1; strike < STRIKES; strike += 1) {
    hurry()
    assert.ok(!table.isRemembered('hurried'), `strike ${strike}`)
  }
  hurry()
  assert.ok(table.isRemembered('hurried'))
  pass(REMEMBERED_MS)
  assert.ok(!table.isRemembered('hurried'))
})

test('one that makes room for others is not remembered: it only was the oldest', () => {
  const { table, enter } = setUp()
  enter('192.0.2.1').named('oldest')
  for (let at = 0; at < MAX_UNADMITTED; at += 1) enter('192.0.2.1')
  assert.equal(table.ended().room, 1)
  assert.ok(!table.isRemembered('oldest'))
})

test('so many are remembered and no more: the oldest is forgotten', () => {
  const { table, enter, pass } = setUp()
  for (let at = 0; at <= MAX_REMEMBERED; at += 1) {
    const one = enter('192.0.2.1')
    one.named(`${at}`)
    one.received(MAX_INBOUND_BYTES + 1)
  }
  pass(1)
  assert.deepEqual(
    ['0', '1', `${MAX_REMEMBERED}`].map((peer) => table.isRemembered(peer)),
    [false, true, true],
  )
})

test('together they open so many streams, and then whoever opened most goes', () => {
  const { table, ended, enter } = setUp()
  const each = HELD + MORE_STREAMS
  const all = Array.from({ length: Math.ceil(MAX_TOTAL_STREAMS / each) }, (_, at) =>
    enter('192.0.2.1', `${at}`, 'outbound'),
  )
  for (const one of all) for (let at = 0; at < each; at += 1) one.streamOpened()
  assert.deepEqual(ended, ['0'])
  assert.equal(table.ended()['total-streams'], 1)
})

test('an address gets so many a second; what this node dials itself is not counted', () => {
  const { table, enter, pass } = setUp(2)
  const refused = (host: string): boolean => table.add(host, 'inbound', () => {}) === undefined
  enter('192.0.2.1')
  enter('192.0.2.1')
  assert.ok(refused('192.0.2.1'))
  assert.ok(!refused('192.0.2.2'))
  enter('192.0.2.1', 'ours', 'outbound')
  assert.equal(table.ended().rate, 1)
  table.setPerSecond(3)
  assert.ok(!refused('192.0.2.1'))
  assert.ok(refused('192.0.2.1'))
  pass(1_000)
  assert.ok(!refused('192.0.2.1'))
})

test('a machine is one address, however it is written', () => {
  const same = [
    ['192.0.2.1', '::ffff:192.0.2.1', '::FFFF:192.0.2.1'],
    ['2001:db8:1:2::1', '2001:0db8:0001:0002:ffff::', '2001:DB8:1:2:3:4:5:6', '2001:db8:1:2::1%eth0'],
    ['::1', '::2', '0:0:0:0:0:0:0:1'],
    ['fd00::1', 'fd00:0:0::'],
  ]
  for (const spellings of same) assert.equal(new Set(spellings.map(sourceOfHost)).size, 1, spellings.join(' '))
  assert.equal(new Set(same.map(([first = '']) => sourceOfHost(first))).size, same.length)
  assert.notEqual(sourceOfHost('2001:db8:1:2::1'), sourceOfHost('2001:db8:1:3::1'))
})

test('whatever comes and goes, there are never too many, and the sums are those of who is there', () => {
  const step = fc.record({
    kind: fc.constantFrom('enter', 'enter', 'receive', 'stream', 'leave'),
    who: fc.nat(40),
    bytes: fc.nat(MAX_INBOUND_BYTES),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const { table, enter } = setUp()
      const bytes = new Map<UnadmittedConnection, number>()
      const all: UnadmittedConnection[] = []
      for (const { kind, who, bytes: more } of steps) {
        const entry = all[who]
        if (kind === 'enter') all.push(enter(`192.0.2.${who}`))
        else if (entry === undefined) continue
        else if (kind === 'receive') {
          entry.received(more)
          bytes.set(entry, (bytes.get(entry) ?? 0) + more)
        } else if (kind === 'stream') entry.streamOpened()
        else entry.release()
        assert.ok(table.size() <= MAX_UNADMITTED)
        assert.ok(table.bytes() >= 0 && table.bytes() <= MAX_TOTAL_BYTES)
      }
      for (const entry of all) entry.release()
      assert.deepEqual([table.size(), table.bytes()], [0, 0])
    }),
  )
})
