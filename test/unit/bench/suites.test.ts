import assert from 'node:assert/strict'
import { test } from 'node:test'
import { catalogue, SUBJECT } from '../../bench/catalogue.ts'
import { allHold } from '../../bench/floors.ts'
import { createLedger, type Reading } from '../../bench/ledger.ts'
import { bulk, CEILING, STREAM } from '../../bench/suites/bulk.ts'
import { caseOf, durable } from '../../bench/suites/durable.ts'
import { events, FULL_SPEED, STEADY } from '../../bench/suites/events.ts'
import * as fan from '../../bench/suites/fanout.ts'
import { BARE, IDLE, JOIN, join } from '../../bench/suites/join.ts'
import { BESIDE_BULK, BUSY, LONE, rpc } from '../../bench/suites/rpc.ts'
import { ALL, scale } from '../../bench/suites/scale.ts'
import { suites } from '../../bench/suites.ts'

const reading = (name: string, metric: string, value: number): Reading => ({ case: name, metric, unit: '', value })

/** One round of figures, by system. */
const ledgerOf = (figures: Record<string, Reading[]>) => {
  const ledger = createLedger(1)
  for (const [system, readings] of Object.entries(figures)) ledger.record(0, system, readings)
  return ledger
}
const call = (perSecond: number, loneMs: number) => [reading(BUSY, 'requests', perSecond), reading(LONE, 'p50', loneMs)]
const received = (perSecond: number, lost = 0) => [
  reading(FULL_SPEED, 'events', perSecond),
  reading(FULL_SPEED, 'lost', lost),
  reading(FULL_SPEED, 'doubled', 0),
  reading(STEADY, 'lost', 0),
  reading(STEADY, 'doubled', 0),
]

test('every suite measures the system under test, and only systems of the catalogue', () => {
  for (const suite of suites.values()) {
    assert.ok(suite.systems.includes(SUBJECT))
    for (const name of suite.systems) assert.ok(catalogue.has(name), name)
  }
})

test('rpc compares with the better of nats and moleculer', () => {
  const parley = [...call(150, 1), reading(BESIDE_BULK, 'p99', 20)]
  const weak = rpc.floors(ledgerOf({ parley, nats: call(10, 1), moleculer: call(101, 9) }))
  assert.deepEqual(
    weak.map(({ holds }) => holds),
    [false, true, true],
  )
  const good = rpc.floors(ledgerOf({ parley, nats: call(100, 1), moleculer: call(50, 9) }))
  assert.equal(good[0]?.value, 1.5)
  assert.equal(allHold(good), true)
})

test('rpc without moleculer or without nats does not pass a check', () => {
  const parley = [...call(150, 1), reading(BESIDE_BULK, 'p99', 1)]
  assert.equal(rpc.floors(ledgerOf({ parley, nats: call(1, 9) }))[0]?.value, null)
  const withoutNats = rpc.floors(ledgerOf({ parley, moleculer: call(1, 9) }))
  assert.deepEqual(
    withoutNats.map(({ holds }) => holds),
    [false, false, true],
  )
})

test('events hold at the floor and reach the aim when they are as many as those of nats', () => {
  const [floor] = events.floors(ledgerOf({ parley: received(100_000), nats: received(100_000) }))
  assert.deepEqual([floor?.holds, floor?.reachesAim, floor?.aim], [true, true, 100_000])
  const [slow] = events.floors(ledgerOf({ parley: received(99_999), nats: received(100_000) }))
  assert.deepEqual([slow?.holds, slow?.reachesAim], [false, false])
})

test('events are at least seven tenths of the better nats, of the newest only where there is one', () => {
  const over = (nats: Record<string, Reading[]>) => events.floors(ledgerOf({ parley: received(140_000), ...nats }))[1]
  assert.equal(over({ nats: received(200_000) })?.holds, true)
  assert.equal(over({ nats: received(200_000), 'nats-newest': received(200_001) })?.holds, false)
})

test('events without nats have no aim, and are not held against it', () => {
  const floors = events.floors(ledgerOf({ parley: received(100_000) }))
  assert.deepEqual(
    floors.map(({ holds }) => holds),
    [true, false, true],
  )
  assert.deepEqual([floors[0]?.aim, floors[0]?.reachesAim], [null, false])
})

test('one lost event breaks a floor however fast the others came', () => {
  assert.equal(allHold(events.floors(ledgerOf({ parley: received(1_000_000, 1) }))), false)
})

const fanned = (perSecond: number, p99Ms: number, lost = 0) => [
  reading(fan.FULL_SPEED, 'deliveries', perSecond),
  reading(fan.FULL_SPEED, 'lost', lost),
  reading(fan.FULL_SPEED, 'doubled', 0),
  reading(fan.STEADY, 'p99', p99Ms),
  reading(fan.STEADY, 'lost', 0),
  reading(fan.STEADY, 'doubled', 0),
]

test('fanout holds with nothing lost and p99 at the limit; more deliveries than nats are an aim only', () => {
  const floors = fan.fanout.floors(ledgerOf({ parley: fanned(99, 100), nats: fanned(100, 1) }))
  assert.equal(allHold(floors), true)
  assert.deepEqual([floors[2]?.value, floors[2]?.reachesAim], [0.99, false])
  const good = fan.fanout.floors(ledgerOf({ parley: fanned(100, 1), nats: fanned(100, 1) }))
  assert.equal(good[2]?.reachesAim, true)
})

test('fanout fails with one delivery lost, with a p99 past the limit, and without nats', () => {
  const nats = fanned(1, 1)
  const [lossy] = fan.fanout.floors(ledgerOf({ parley: fanned(9, 1, 1), nats }))
  assert.equal(lossy?.holds, false)
  const [, slow] = fan.fanout.floors(ledgerOf({ parley: fanned(9, 100.1), nats }))
  assert.equal(slow?.holds, false)
  assert.equal(allHold(fan.fanout.floors(ledgerOf({ parley: fanned(9, 1) }))), false)
})

test('bulk is measured by its ceiling and by nothing else', () => {
  const rate = (value: number) => [reading(STREAM, 'bytes', value)]
  const [half] = bulk.floors(ledgerOf({ parley: rate(50), [CEILING]: rate(100) }))
  assert.deepEqual([half?.value, half?.holds, half?.reachesAim], [0.5, true, false])
  const [less] = bulk.floors(ledgerOf({ parley: rate(49), [CEILING]: rate(100) }))
  assert.equal(less?.holds, false)
  const [alone] = bulk.floors(ledgerOf({ parley: rate(50), nats: rate(1) }))
  assert.deepEqual([alone?.value, alone?.holds], [null, false])
})

test('join is held by its time and by its memory over that of a bare node', () => {
  const node = (timeMs: number, mib: number) => [reading(JOIN, 'time', timeMs), reading(IDLE, 'memory', mib)]
  const good = join.floors(ledgerOf({ parley: node(700, 125), [BARE]: node(1, 100) }))
  assert.deepEqual(
    good.map(({ holds, reachesAim }) => holds && reachesAim),
    [true, true],
  )
  const bad = join.floors(ledgerOf({ parley: node(1_501, 151), [BARE]: node(1, 100) }))
  assert.deepEqual(
    bad.map(({ holds }) => holds),
    [false, false],
  )
  assert.equal(join.floors(ledgerOf({ parley: node(1, 1) }))[1]?.value, null)
})

test('scale is held by its p99, and by every delivery', () => {
  const all = (p99Ms: number, lost: number, doubled = 0) => [
    reading(ALL, 'p99', p99Ms),
    reading(ALL, 'lost', lost),
    reading(ALL, 'doubled', doubled),
  ]
  assert.equal(allHold(scale.floors(ledgerOf({ parley: all(100, 0) }))), true)
  assert.equal(allHold(scale.floors(ledgerOf({ parley: all(101, 0) }))), false)
  assert.equal(allHold(scale.floors(ledgerOf({ parley: all(1, 1) }))), false)
  assert.equal(allHold(scale.floors(ledgerOf({ parley: all(1, 0, 1) }))), false)
})

test('durable compares exactly once with the quorum queue at least once, and no message may be lost or doubled', () => {
  const guarantees = ['at-least-once', 'exactly-once'] as const
  const rate = (guarantee: 'at-least-once' | 'exactly-once', value: number) =>
    reading(caseOf(guarantee, 64), 'messages', value)
  const alone = (p99Ms: number) => guarantees.map((guarantee) => reading(caseOf(guarantee, 1), 'p99', p99Ms))
  const clean = guarantees.flatMap((guarantee) =>
    [caseOf(guarantee, 64), caseOf(guarantee, 1, ' after a load'), caseOf(guarantee, 1)].flatMap((name) =>
      ['lost', 'doubled'].map((metric) => reading(name, metric, 0)),
    ),
  )
  const peers = {
    'rabbitmq-quorum': [rate('at-least-once', 100), rate('exactly-once', 1_000), ...alone(2)],
    'nats-jetstream-synced': [rate('exactly-once', 140)],
  }
  const at = (value: number, p99Ms = 2, faults: Reading[] = clean) =>
    durable.floors(ledgerOf({ parley: [rate('exactly-once', value), ...alone(p99Ms), ...faults], ...peers }))
  assert.equal(allHold(at(150)), true)
  assert.deepEqual(
    at(149).map(({ holds }) => holds),
    [false, true, true, true, true],
  )
  assert.equal(at(139)[1]?.holds, false)
  assert.equal(at(300)[0]?.reachesAim, true)
  assert.deepEqual(
    at(150, 2.1).map(({ holds }) => holds),
    [true, true, false, false, true],
  )

  const with1 = (index: number) => clean.map((one, i) => (i === index ? { ...one, value: 1 } : one))
  const holds = clean.map((_, i) => allHold(at(150, 2, with1(i))))
  // A copy is allowed where only at least once is promised.
  assert.deepEqual(
    holds,
    clean.map((_, i) => i < 6 && i % 2 === 1),
  )
  assert.equal(at(150, 2, clean.slice(1))[4]?.value, null)
  assert.equal(durable.floors(ledgerOf({ parley: [rate('exactly-once', 100), ...clean] }))[0]?.value, null)
})

test('durable says of each of its systems what is on the disk when it acknowledges', () => {
  for (const name of durable.systems) assert.ok((durable.labels?.get(name) ?? '').length > 0, name)
})

test('nothing holds when parley was not measured', () => {
  for (const suite of suites.values()) {
    for (const floor of suite.floors(createLedger(5))) assert.deepEqual([floor.value, floor.holds], [null, false])
  }
})
