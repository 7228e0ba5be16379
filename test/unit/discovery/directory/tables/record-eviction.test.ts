import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DirectoryState } from '../../../../../discovery/directory/tables/directory-state.ts'
import { EVICTION_AGE_MS } from '../../../../../discovery/directory/tables/record-eviction.ts'
import { others, recordOf, sign, start } from '../../../../support/directory-tables.ts'

const MOST = 8
const table = (maxAgents = MOST, maxEnded = 8) => {
  const state = start('me', { maxAgents, maxEnded })
  const told = (peer: string, from: string, nowMs = 0, ageMs = 0, fields = {}) => {
    const record = recordOf(peer, 1, fields)
    return state.apply(record, sign(record), ageMs, nowMs, true, from).outcome
  }
  return { state, told }
}

test('while there is room one neighbour may tell of everybody', () => {
  const { state, told } = table(1_000)
  for (let n = 0; n < 1_000; n += 1) assert.equal(told(`a${n}`, 'seed'), 'accepted')
  assert.equal(state.count(), 1_000)
  assert.equal(told('one more', 'seed'), 'full')
})

test('in a full table the neighbour that told of most makes room, the stalest first', () => {
  const { state, told } = table()
  for (let n = 0; n < 6; n += 1) told(`invented ${n}`, 'mallory', n)
  told('b', 'honest', 10)
  told('c', 'honest', 10)
  assert.equal(told('d', 'honest', 20), 'accepted')
  assert.ok(!others(state).includes('invented 0'))
  assert.equal(told('e', 'another', 20), 'accepted')
  assert.deepEqual(
    ['b', 'c', 'd', 'e'].filter((peer) => others(state).includes(peer)),
    ['b', 'c', 'd', 'e'],
  )
  assert.equal(told('f', 'honest', 20), 'full', 'they have as many: nobody takes turns')
  assert.equal(told('invented 9', 'mallory', 20), 'full')
  assert.equal(state.sizes().displaced, 2)
})

test('who was met stays, and gets a place as long as there is one who was not', () => {
  const { state, told } = table(3)
  told('met', 'mallory')
  state.markConnected('met')
  state.markDisconnected('met', 1)
  told('x', 'mallory', 2)
  told('y', 'mallory', 2)
  assert.equal(told('newcomer', 'newcomer', 3), 'accepted')
  state.markConnected('other')
  assert.equal(told('other', 'mallory', 3), 'accepted')
  assert.deepEqual(others(state).toSorted(), ['met', 'newcomer', 'other'])
  assert.equal(told('z', 'somebody', 3 + EVICTION_AGE_MS), 'full')
})

test('with one neighbour alone, who is fresh takes the place of one that nobody was heard of for long', () => {
  const { state, told } = table(2)
  told('a', 'seed', 0)
  told('b', 'seed', 1)
  assert.equal(told('c', 'seed', EVICTION_AGE_MS - 1), 'full')
  assert.equal(told('c', 'seed', EVICTION_AGE_MS), 'accepted')
  assert.deepEqual(others(state).toSorted(), ['b', 'c'])
})

test('invented agents that say they left fill no more than a part of what ended', () => {
  const { state, told } = table(8, 8)
  told('real', 'honest')
  for (let n = 0; n < 20; n += 1) told(`invented ${n}`, 'mallory', 0, 0, { leaving: true })
  assert.equal(state.sizes().ended, 6)
  assert.equal(told('real', 'real', 0, 0, { version: 2, leaving: true }), 'accepted')
  assert.deepEqual([state.sizes().ended, state.sizes().endedEvicted], [7, 0])
})

test('the table never exceeds its bound, and no one that was met is displaced by word of mouth', () => {
  const step = fc.record({
    peer: fc.integer({ min: 0, max: 30 }),
    from: fc.integer({ min: 0, max: 3 }),
    meets: fc.boolean(),
    gapMs: fc.nat({ max: 8_000 }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const state = new DirectoryState('me', { maxAgents: MOST, maxEnded: 8 })
      const met = new Set<string>()
      let now = 0
      for (const { peer, from, meets, gapMs } of steps) {
        now += gapMs
        const record = recordOf(`p${peer}`, now + 1)
        if (meets && met.size < MOST) {
          state.markConnected(`p${peer}`)
          met.add(`p${peer}`)
        }
        const { changes } = state.apply(record, sign(record), 0, now, true, `n${from}`)
        assert.ok(state.count() <= MOST)
        for (const change of changes) if (change.type === 'left') assert.ok(!met.has(change.agent.peer))
      }
    }),
  )
})
