import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { DirectoryState } from '../../../../../discovery/directory/tables/directory-state.ts'
import {
  digestOf,
  entriesOf,
  give,
  kinds,
  others,
  pull,
  recordOf,
  start,
  TTL_MS,
} from '../../../../support/directory-tables.ts'

test('a record is passed on with its age, so that a dead agent is forgotten by those who heard of it late', () => {
  const [early, late] = [start('early'), start('late')]
  give(early, recordOf('a', 1), 0)
  assert.equal(pull(late, early, TTL_MS - 100), 2)
  assert.deepEqual(others(late).sort(), ['a', 'early'])
  assert.deepEqual(kinds(late.expire(TTL_MS)), ['left expired'])
})

test('a farewell is passed on with its age, and is forgotten by all at the same time', () => {
  const [early, late] = [start('early'), start('late')]
  give(early, recordOf('a', 1, { leaving: true }), 0)
  pull(late, early, 2 * TTL_MS - 100)
  assert.equal(late.sizes().ended, 1)
  late.expire(2 * TTL_MS)
  assert.equal(late.sizes().ended, 0)
})

test('a chain of late joiners does not keep a dead agent alive', () => {
  let before = start('n0')
  give(before, recordOf('dead', 1), 0)
  for (let n = 1; n <= 5; n += 1) {
    const nowMs = n * 10_000
    before.expire(nowMs)
    const next = start(`n${n}`)
    pull(next, before, nowMs)
    assert.equal(others(next).includes('dead'), nowMs < TTL_MS, `at ${nowMs} ms`)
    before = next
  }
})

test('a farewell spreads by comparing digests, to those who knew the agent and those who did not', () => {
  const [told, knew, stranger] = [start('told'), start('knew'), start('stranger')]
  for (const state of [told, knew]) give(state, recordOf('a', 1))
  give(told, recordOf('a', 2, { leaving: true }))
  for (const state of [knew, stranger]) pull(state, told, 10)
  assert.deepEqual(others(knew), ['told'])
  assert.equal(give(stranger, recordOf('a', 1)).outcome, 'stale')
})

test('a record that was given up is not sent again, and a newer one is', () => {
  const [gaveUp, knows] = [start('gaveUp'), start('knows')]
  for (const state of [gaveUp, knows]) give(state, recordOf('a', 1))
  pull(gaveUp, knows, 0)
  gaveUp.markGone('a', 0)
  assert.equal(pull(gaveUp, knows, 0), 0)
  give(knows, recordOf('a', 2))
  assert.equal(pull(gaveUp, knows, 0), 1)
  assert.deepEqual(others(gaveUp).sort(), ['a', 'knows'])
})

test('after one exchange both ways two directories know the same, and a second one has nothing to say', () => {
  const update = fc.record({
    peer: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
    version: fc.nat({ max: 9 }),
    here: fc.boolean(),
    there: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(update, { maxLength: 40 }), (updates) => {
      const [x, y] = [start('x'), start('y')]
      for (const { peer, version, here, there } of updates) {
        const record = recordOf(peer, version, { leaving: version === 9 })
        if (here) give(x, record)
        if (there) give(y, record)
      }
      const asked = { digest: x.digest(0), ended: x.endedDigest(0), room: x.room() }
      const { records, wants } = y.compare(asked, 0)
      for (const item of records) x.apply(JSON.parse(new TextDecoder().decode(item.bytes)), item, item.ageMs, 0)
      for (const item of x.give(wants, 0))
        y.apply(JSON.parse(new TextDecoder().decode(item.bytes)), item, item.ageMs, 0)
      const table = (state: DirectoryState) => entriesOf(state.digest(0)).sort()
      assert.deepEqual(table(x), table(y))
      assert.deepEqual(y.compare({ digest: x.digest(0), ended: digestOf([]), room: 99 }, 0), {
        records: [],
        wants: [],
        fresher: [],
        changes: [],
      })
    }),
  )
})

test('a full directory is not sent strangers, and does not ask for them', () => {
  const [full, rich] = [start('full', { maxAgents: 2, maxEnded: 2 }), start('rich')]
  for (const peer of ['a', 'b']) {
    give(full, recordOf(peer, 1))
    full.markConnected(peer)
  }
  for (const peer of ['a', 'c', 'd']) give(rich, recordOf(peer, 2))
  const asked = { digest: full.digest(0), ended: digestOf([]), room: full.room() }
  assert.equal(rich.compare(asked, 0).records.length, 1, 'news of a')
  const { wants } = full.compare({ digest: rich.digest(0), ended: digestOf([]), room: 9 }, 0)
  assert.deepEqual(wants, ['a'])
})
