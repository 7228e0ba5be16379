/** What the coordinator does about coalitions, step by step: whom it directs, what it has decided, and within which bounds. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type BoardWork,
  CoalitionBoard,
  MAX_SENDING,
  MOST_DISSOLVED,
  RETAIN_MS,
} from '../../../protocols/coordination/coalition/coalition-board.ts'
import type { CoalitionRecord } from '../../../protocols/coordination/coalition/coalition-record.ts'

const EPOCH = 3
const NOW = 1_000_000
const TTL_MS = 60_000

const recordOf = (peers: readonly string[], more: Partial<CoalitionRecord> = {}): CoalitionRecord => ({
  ...{ goal: 'g', owner: 'owner', leader: peers[0] ?? 'nobody', state: 'forming', minMembers: peers.length },
  members: peers.map((peer) => ({ peer, accepted: more.state === 'active' })),
  proposed: { leader: peers[0] ?? 'nobody', members: [...peers] },
  ...{ ttlMs: TTL_MS, until: NOW + TTL_MS, madeAt: NOW, changedAt: NOW, fence: { term: EPOCH, index: 10 }, size: 100 },
  ...more,
})
const membersNamed = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}${i}`)
const asksOf = ({ changes }: BoardWork): string[] => changes.map((change) => change.do)
const peersOf = ({ directives }: BoardWork): string[] => directives.map(({ peer }) => peer)
/** Of two. */
const A_HAS_JOINED = [
  { peer: 'a', accepted: true },
  { peer: 'b', accepted: false },
]
const everybody = (): boolean => true

test('directives on their way are bounded, one owner has three quarters at most, and the rest follow as they are answered', () => {
  const board = new CoalitionBoard(EPOCH, everybody)
  for (const name of ['a', 'b', 'c', 'd']) board.set(name, recordOf(membersNamed(name, 64)))
  const first = board.wanted(NOW)
  assert.equal(first.directives.length, (MAX_SENDING * 3) / 4)
  board.set('other', recordOf(['x'], { owner: 'other' }))
  assert.deepEqual(peersOf(board.wanted(NOW)), ['x'], 'another owner has its turn at once')
  const sent = new Set(peersOf(first))
  let waiting = first.directives
  while (waiting.length > 0) {
    for (const one of waiting) board.directed(one, 'refused', NOW)
    const { changes, directives } = board.wanted(NOW)
    for (const change of changes) board.answered(change)
    for (const { peer } of directives) {
      assert.ok(!sent.has(peer), `${peer} is asked once`)
      sent.add(peer)
    }
    assert.ok(board.counts().sending <= MAX_SENDING)
    waiting = directives
  }
  // All of a coalition have to agree: it is dissolved as soon as one refuses, and who was not asked by then is not asked.
  assert.ok(sent.size >= (MAX_SENDING * 3) / 4)
})

test('who does not answer is directed again after five seconds, while it is there', () => {
  const there = new Set(['a', 'b'])
  const board = new CoalitionBoard(EPOCH, (peer) => there.has(peer))
  board.set('c', recordOf(['a', 'b'], { state: 'active' }))
  const { directives } = board.wanted(NOW)
  assert.deepEqual(
    directives.map(({ peer, coalition }) => [peer, coalition.ttl_ms]),
    [
      ['a', TTL_MS],
      ['b', TTL_MS],
    ],
  )
  for (const one of directives) board.directed(one, one.peer === 'b' ? 'absent' : 'accepted', NOW)
  assert.deepEqual(board.wanted(NOW), { changes: [], directives: [] })
  assert.equal(board.nextDueAt(), NOW + 5_000)
  assert.deepEqual(peersOf(board.wanted(NOW + 4_999)), [])
  const again = board.wanted(NOW + 5_000)
  assert.deepEqual(peersOf(again), ['b'])
  for (const one of again.directives) board.directed(one, 'absent', NOW + 5_000)
  there.delete('b')
  board.presenceChanged('b')
  assert.deepEqual(board.wanted(NOW + 20_000), { changes: [], directives: [] }, 'who is gone is not directed')
  assert.equal(board.nextDueAt(), NOW + TTL_MS, 'and is not looked for all the time')
  there.add('b')
  board.presenceChanged('b')
  assert.deepEqual(peersOf(board.wanted(NOW + 20_001)), ['b'], 'once it is there again it is')
})

test('one thing at a time is decided about each, and again where it was refused', () => {
  const board = new CoalitionBoard(EPOCH, (peer) => peer !== 'a')
  board.set('c', recordOf(['a', 'b'], { state: 'active' }))
  const { changes } = board.wanted(NOW)
  assert.deepEqual(changes, [{ do: 'lead', epoch: EPOCH, id: 'c', as: 10, leader: 'b' }])
  board.presenceChanged('a')
  assert.deepEqual(asksOf(board.wanted(NOW)), [])
  for (const change of changes) board.answered(change)
  assert.deepEqual(asksOf(board.wanted(NOW)), ['lead'])
})

test('one that is dissolved is told for a minute, kept for an hour, and forgotten', () => {
  const board = new CoalitionBoard(EPOCH, everybody)
  board.set('new', recordOf(['a'], { state: 'dissolved' }))
  board.set('old', recordOf(['b'], { state: 'active' }))
  board.set('old', recordOf(['b'], { state: 'dissolved', changedAt: NOW - 60_000 }))
  const { directives } = board.wanted(NOW)
  assert.deepEqual(
    directives.map(({ id, coalition }) => [id, coalition.ttl_ms]),
    [['new', 0]],
  )
  for (const one of directives) board.directed(one, 'accepted', NOW)
  const early = board.wanted(NOW + RETAIN_MS - 60_001)
  assert.deepEqual(early, { changes: [], directives: [] })
  const late = board.wanted(NOW + RETAIN_MS)
  assert.deepEqual(late.changes, [{ do: 'forget', epoch: EPOCH, ids: ['new', 'old'] }])
  assert.deepEqual(asksOf(board.wanted(NOW + RETAIN_MS + 10_000)), [], 'while that is decided nothing else is')
})

test('of those that are dissolved the newest are kept, and each one for a minute', () => {
  const board = new CoalitionBoard(EPOCH, () => false)
  for (let i = 0; i < MOST_DISSOLVED + 2; i += 1)
    board.set(`c${i}`, recordOf(['a'], { state: 'dissolved', changedAt: NOW + i }))
  assert.deepEqual(board.wanted(NOW + 59_999).changes, [])
  assert.deepEqual(board.wanted(NOW + 65_000).changes, [{ do: 'forget', epoch: EPOCH, ids: ['c1', 'c0'] }])
})

test('who is no member any more is told once that it is over for it', () => {
  const board = new CoalitionBoard(EPOCH, everybody)
  board.set('c', recordOf(['a', 'b', 'd'], { minMembers: 1 }))
  for (const one of board.wanted(NOW).directives) board.directed(one, one.peer === 'b' ? 'absent' : 'accepted', NOW)
  const [join] = board.wanted(NOW).changes
  assert.deepEqual(join, { do: 'join', epoch: EPOCH, id: 'c', peers: ['a', 'd'] })
  const fence = { term: EPOCH, index: 12 }
  board.set('c', recordOf(['a', 'd'], { state: 'active', fence }))
  if (join !== undefined) board.answered(join)
  const { directives } = board.wanted(NOW)
  const told = directives.map(({ peer, coalition, fence: of }) => [peer, coalition.ttl_ms, of.index])
  assert.deepEqual(told, [
    ['a', TTL_MS, 12],
    ['d', TTL_MS, 12],
    ['b', 0, 12],
  ])
  for (const one of directives) board.directed(one, 'accepted', NOW)
  board.set('c', recordOf(['a', 'd'], { state: 'active', fence: { term: EPOCH, index: 13 } }))
  assert.deepEqual(peersOf(board.wanted(NOW)), ['a', 'd'])
})

test('who agrees only after it was left out is told all the same', () => {
  const there = new Set(['a'])
  const board = new CoalitionBoard(EPOCH, (peer) => there.has(peer))
  board.set('c', recordOf(['a', 'b'], { minMembers: 1 }))
  for (const one of board.wanted(NOW).directives) board.directed(one, 'accepted', NOW)
  const [join] = board.wanted(NOW).changes
  board.set('c', {
    ...recordOf(['a', 'b'], { minMembers: 1, fence: { term: EPOCH, index: 11 } }),
    members: A_HAS_JOINED,
  })
  if (join !== undefined) board.answered(join)
  const [form] = board.wanted(NOW).changes
  assert.equal(form?.do, 'form')
  there.add('b')
  board.presenceChanged('b')
  const late = board.wanted(NOW).directives
  assert.deepEqual(peersOf({ changes: [], directives: late }), ['b'], 'it is there while that is decided')
  const active = recordOf(['a'], { state: 'active', minMembers: 1, fence: { term: EPOCH, index: 12 } })
  board.set('c', { ...active, proposed: { leader: 'a', members: ['a', 'b'] } })
  if (form !== undefined) board.answered(form)
  for (const one of late) board.directed(one, 'accepted', NOW)
  const told = board.wanted(NOW).directives.map(({ peer, coalition }) => [peer, coalition.ttl_ms])
  assert.deepEqual(told, [
    ['a', TTL_MS],
    ['b', 0],
  ])
})

test('what was dissolved before this epoch is told to all whose time is not over, and a few times where they do not answer', () => {
  const board = new CoalitionBoard(EPOCH, everybody)
  const changedAt = NOW - 120_000
  board.set('c', recordOf(['a', 'b'], { state: 'dissolved', changedAt }))
  board.set('over', recordOf(['d'], { state: 'dissolved', changedAt, until: NOW }))
  let [told, at] = [board.wanted(NOW).directives, NOW]
  assert.deepEqual(peersOf({ changes: [], directives: told }), ['a', 'b'])
  let times = 0
  while (told.length > 0) {
    for (const one of told) board.directed(one, one.peer === 'b' ? 'absent' : 'accepted', at)
    times += 1
    assert.deepEqual(peersOf(board.wanted(at + 4_999)), [])
    at = board.nextDueAt() ?? at + 5_000
    told = board.wanted(at).directives
  }
  assert.equal(times, 5)
  board.presenceChanged('b')
  assert.deepEqual(peersOf(board.wanted(at)), ['b'], 'once it comes back it is told again')
})
