import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type AgentRecord, compareVersions } from '../../../../../discovery/directory/record/agent-record.ts'
import type { Change } from '../../../../../discovery/directory/tables/agent-change.ts'
import type { DirectoryState } from '../../../../../discovery/directory/tables/directory-state.ts'
import { entriesOf, give, kinds, others, recordOf, sign, start, TTL_MS } from '../../../../support/directory-tables.ts'

test('a first record joins, newer content changes, a mere refresh is no news', () => {
  const state = start()
  assert.deepEqual(kinds(give(state, recordOf('a', 1)).changes), ['joined'])
  assert.deepEqual(kinds(give(state, recordOf('a', 2)).changes), [])
  assert.deepEqual(kinds(give(state, recordOf('a', 3, { price: 1 })).changes), ['changed'])
  assert.equal(state.get('a')?.record.version, 3)
})

test('an older record is stale and the same version a duplicate', () => {
  const state = start()
  give(state, recordOf('a', 2))
  assert.equal(give(state, recordOf('a', 1)).outcome, 'stale')
  assert.equal(give(state, recordOf('a', 2)).outcome, 'duplicate')
  assert.equal(give(state, recordOf('a', 9, { incarnation: 0 })).outcome, 'stale')
  assert.equal(give(state, recordOf('a', 0, { incarnation: 2 })).outcome, 'accepted')
})

test('whatever the order and however often records arrive, the highest of each writer wins', () => {
  const update = fc.record({
    peer: fc.constantFrom('a', 'b', 'c'),
    incarnation: fc.nat({ max: 3 }),
    version: fc.nat({ max: 5 }),
    leaving: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(update, { maxLength: 40 }), (updates) => {
      const state = start()
      const best = new Map<string, AgentRecord>()
      for (const { peer, incarnation, version, leaving } of updates) {
        // One writer never writes two records with one version: what a version says follows from its numbers.
        const record = recordOf(peer, version, { incarnation, leaving: leaving && version === 5 })
        const top = best.get(peer)
        if (top === undefined || compareVersions(record, top) > 0) best.set(peer, record)
        else if (compareVersions(record, top) === 0) continue
        give(state, record)
      }
      const expected = [...best.values()].filter(({ leaving }) => !leaving)
      assert.deepEqual(others(state).sort(), expected.map(({ peerId }) => peerId).sort())
      for (const record of expected) assert.deepEqual(state.get(record.peerId)?.record, record)
    }),
  )
})

test('a leaving agent is gone at once, also for who is connected, and older gossip does not bring it back', () => {
  const state = start()
  state.markConnected('a')
  give(state, recordOf('a', 1))
  assert.deepEqual(kinds(give(state, recordOf('a', 3, { leaving: true })).changes), ['left left'])
  assert.deepEqual(others(state), [])
  assert.equal(give(state, recordOf('a', 2)).outcome, 'stale')
  state.markDisconnected('a', 0)
  state.markConnected('a')
  assert.equal(give(state, recordOf('a', 2)).outcome, 'stale', 'nor does a new connection')
  assert.deepEqual(kinds(give(state, recordOf('a', 1, { incarnation: 2 })).changes), ['joined'], 'its next life does')
})

test('a farewell that overtakes the record it ends still ends it', () => {
  const state = start()
  assert.deepEqual(kinds(give(state, recordOf('a', 3, { leaving: true })).changes), [])
  assert.equal(give(state, recordOf('a', 2)).outcome, 'stale')
  assert.deepEqual(others(state), [])
})

test('a record counts for its ttl after the last refresh, and not a millisecond longer', () => {
  const state = start()
  give(state, recordOf('a', 1), 0)
  give(state, recordOf('a', 2), 1000)
  assert.deepEqual(state.expire(1000 + TTL_MS - 1), [])
  assert.deepEqual(kinds(state.expire(1000 + TTL_MS)), ['left expired'])
})

test('hearing the same version again does not prolong it', () => {
  const state = start()
  give(state, recordOf('a', 1), 0)
  give(state, recordOf('a', 1), TTL_MS - 1)
  assert.deepEqual(kinds(state.expire(TTL_MS)), ['left expired'])
  assert.equal(give(state, recordOf('a', 1), TTL_MS).outcome, 'duplicate', 'and it stays out')
})

test('a connected peer never expires; its ttl starts when the connection is gone', () => {
  const state = start()
  state.markConnected('a')
  give(state, recordOf('a', 1), 0)
  assert.deepEqual(state.expire(10 * TTL_MS), [])
  state.markDisconnected('a', 10 * TTL_MS)
  assert.deepEqual(state.expire(11 * TTL_MS - 1), [])
  assert.deepEqual(kinds(state.expire(11 * TTL_MS)), ['left expired'])
})

test('a newer record that comes by a slow way does not shorten the life that a faster one gave', () => {
  const state = start()
  give(state, recordOf('a', 1), 10_000)
  give(state, recordOf('a', 2), 12_000, 9_000)
  assert.deepEqual(state.expire(10_000 + TTL_MS - 1), [])
  assert.deepEqual(kinds(state.expire(10_000 + TTL_MS)), ['left expired'])
})

test('a record that is older than its ttl on arrival is stale, unless its writer is connected', () => {
  const state = start()
  assert.equal(give(state, recordOf('a', 1), 0, TTL_MS).outcome, 'stale')
  assert.equal(give(state, recordOf('a', 1), 0, TTL_MS - 1).outcome, 'accepted')
  state.markConnected('b')
  assert.equal(give(state, recordOf('b', 1), 0, TTL_MS).outcome, 'accepted')
})

test('who was given up comes back with a newer record only', () => {
  const state = start()
  give(state, recordOf('a', 2))
  assert.deepEqual(kinds(state.markGone('a', 0)), ['left gone'])
  assert.equal(give(state, recordOf('a', 2)).outcome, 'duplicate')
  assert.deepEqual(kinds(give(state, recordOf('a', 3)).changes), ['joined'])
})

test('who was given up comes back with its old record when it connects again', () => {
  const state = start()
  give(state, recordOf('a', 2))
  state.markGone('a', 0)
  state.markConnected('a')
  assert.deepEqual(kinds(give(state, recordOf('a', 2)).changes), ['joined'])
})

test('a connected peer cannot be given up', () => {
  const state = start()
  state.markConnected('a')
  give(state, recordOf('a', 1))
  assert.deepEqual(state.markGone('a', 0), [])
  assert.deepEqual(others(state), ['a'])
  assert.deepEqual(state.markGone('unknown', 0), [])
})

test('a suspect is shown as such until it is cleared by word, a newer record or a new connection', () => {
  const clearing: ((state: DirectoryState) => readonly Change[])[] = [
    (state) => state.markAlive('a'),
    (state) => give(state, recordOf('a', 2)).changes,
    (state) => state.markConnected('a'),
  ]
  for (const clear of clearing) {
    const state = start()
    give(state, recordOf('a', 1))
    assert.deepEqual(kinds(state.markSuspect('a', 0)), ['changed'])
    assert.deepEqual(state.markSuspect('a', 0), [], 'twice is no news')
    assert.equal(state.get('a')?.state, 'suspect')
    assert.deepEqual(kinds(clear(state)), ['changed'])
    assert.equal(state.get('a')?.state, 'alive')
  }
})

test('the table takes agents up to its bound, refuses one past it, and still takes news of those it has', () => {
  const state = start('me', { maxAgents: 2, maxEnded: 10 })
  give(state, recordOf('a', 1))
  assert.equal(give(state, recordOf('b', 1)).outcome, 'accepted')
  assert.equal(give(state, recordOf('c', 1)).outcome, 'full')
  assert.equal(give(state, recordOf('a', 2)).outcome, 'accepted')
  give(state, recordOf('b', 2, { leaving: true }))
  assert.equal(give(state, recordOf('c', 1)).outcome, 'accepted')
})

test('what ended is remembered up to the bound, the oldest goes first and is counted', () => {
  const state = start('me', { maxAgents: 10, maxEnded: 2 })
  for (const peer of ['a', 'b']) give(state, recordOf(peer, 2, { leaving: true }))
  assert.deepEqual(state.sizes(), { agents: 0, suspect: 0, stuck: 0, ended: 2, endedEvicted: 0, displaced: 0 })
  give(state, recordOf('c', 1))
  give(state, recordOf('c', 2, { leaving: true }))
  assert.deepEqual(state.sizes(), { agents: 0, suspect: 0, stuck: 0, ended: 2, endedEvicted: 1, displaced: 0 })
  assert.equal(give(state, recordOf('b', 1)).outcome, 'stale')
  assert.equal(give(state, recordOf('a', 1)).outcome, 'accepted')
})

test('what ended is forgotten after twice its ttl', () => {
  const state = start()
  give(state, recordOf('a', 2, { leaving: true }), 0)
  state.expire(2 * TTL_MS - 1)
  assert.equal(state.sizes().ended, 1)
  state.expire(2 * TTL_MS)
  assert.equal(state.sizes().ended, 0)
  assert.equal(give(state, recordOf('a', 2, { leaving: true }), 0, 2 * TTL_MS).outcome, 'stale', 'and not taught again')
})

test('a record of this identity at or above the present version that this life did not write is reported', () => {
  const state = start()
  assert.equal(give(state, recordOf('me', 0)).outcome, 'stale')
  assert.equal(give(state, recordOf('me', 1)).outcome, 'duplicate')
  assert.equal(give(state, recordOf('me', 1, { price: 7 })).outcome, 'own')
  assert.equal(give(state, recordOf('me', 2)).outcome, 'own')
  assert.equal(give(state, recordOf('me', 0, { incarnation: 2 })).outcome, 'own')
  assert.deepEqual(state.get('me')?.record, recordOf('me', 1), 'and changes nothing')
})

test('the own record shows in the view and in the digest until it leaves', () => {
  const state = start()
  assert.deepEqual(
    state.view().map(({ peer, self }) => [peer, self]),
    [['me', true]],
  )
  const leaving = recordOf('me', 2, { leaving: true })
  assert.deepEqual(kinds(state.setOwn(leaving, sign(leaving))), ['left left'])
  assert.deepEqual(state.view(), [])
  assert.deepEqual(entriesOf(state.digest(0)), [['me', 1, 2, 0]], 'the farewell is passed on')
})

test('through any history a peer is in one table only, within bounds, and left exactly as often as it joined', () => {
  const peers = fc.constantFrom('a', 'b', 'c', 'd')
  const step = fc.oneof(
    fc.record({
      do: fc.constant('give' as const),
      peer: peers,
      version: fc.nat({ max: 20 }),
      age: fc.nat({ max: 40_000 }),
    }),
    fc.record({ do: fc.constantFrom('connect', 'disconnect', 'gone', 'suspect', 'alive', 'expire'), peer: peers }),
  )
  fc.assert(
    fc.property(fc.array(fc.tuple(step, fc.nat({ max: 10_000 })), { maxLength: 80 }), (steps) => {
      const state = start('me', { maxAgents: 3, maxEnded: 2 })
      const present = new Set<string>()
      let nowMs = 0
      for (const [input, passedMs] of steps) {
        nowMs += passedMs
        const { peer } = input
        const act = (): readonly Change[] => {
          if ('version' in input) {
            const record = recordOf(peer, input.version, { leaving: input.version % 7 === 6 })
            return give(state, record, nowMs, input.age).changes
          }
          if (input.do === 'connect') return state.markConnected(peer)
          if (input.do === 'gone') return state.markGone(peer, nowMs)
          if (input.do === 'suspect') return state.markSuspect(peer, nowMs)
          if (input.do === 'alive') return state.markAlive(peer)
          if (input.do === 'expire') return state.expire(nowMs)
          state.markDisconnected(peer, nowMs)
          return []
        }
        for (const change of act()) {
          assert.equal(present.has(change.agent.peer), change.type !== 'joined')
          if (change.type === 'joined') present.add(change.agent.peer)
          if (change.type === 'left') present.delete(change.agent.peer)
        }
        assert.deepEqual(others(state).sort(), [...present].sort())
        const { agents, ended } = state.sizes()
        assert.ok(agents <= 3 && ended <= 2)
        const listed = [...entriesOf(state.digest(nowMs)), ...entriesOf(state.endedDigest(nowMs))].map(([id]) => id)
        assert.equal(new Set(listed).size, listed.length)
      }
    }),
  )
})
