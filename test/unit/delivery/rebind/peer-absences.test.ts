/** How long peers have been away: what counts, and what a restart remembers. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openPeerAbsences, SAVE_MS, STARTING_MS } from '../../../../protocols/delivery/rebind/peer-absences.ts'
import type { RowChange } from '../../../../protocols/delivery/store/row-storage.ts'
import { createVolatileRowStore } from '../../../../protocols/delivery/store/volatile-row-store.ts'

const LIMIT_MS = 60_000
const open = async (store = createVolatileRowStore('0'.repeat(32))) => {
  const absences = await openPeerAbsences(store, () => LIMIT_MS)
  const step = (away: readonly string[], elapsedMs: number, isAlone = false): readonly RowChange[] => {
    const changes = absences.step(away, elapsedMs, isAlone)
    store.later(changes)
    return changes
  }
  return { absences, step, store }
}

test('time counts while a peer is away, begins again once it was back, and not while nobody is connected', async () => {
  const { absences, step } = await open()
  step(['a', 'b'], 1_000)
  step(['a'], 1_000)
  assert.deepEqual([absences.ms('a'), absences.ms('b'), absences.ms('c')], [2_000, 0, 0])
  step(['a', 'b'], 1_000, true)
  assert.deepEqual([absences.ms('a'), absences.ms('b')], [2_000, 0])
  step(['a', 'b'], 1_000)
  assert.deepEqual([absences.ms('a'), absences.ms('b')], [3_000, 1_000])
})

test('it is written now and then, once more at the limit, and removed once the peer is back', async () => {
  const { step } = await open()
  assert.equal(step(['a'], SAVE_MS - 1).length, 0)
  assert.equal(step(['a'], 1).length, 1)
  assert.equal(step(['a'], SAVE_MS - 1).length, 0)
  assert.equal(step(['a'], LIMIT_MS).length, 1)
  for (let i = 0; i < 5; i += 1) assert.equal(step(['a'], SAVE_MS).length, 0, 'nobody asks how much longer')
  const [gone, ...others] = step([], 1)
  assert.deepEqual([gone?.value, others.length], [undefined, 0])
  assert.equal(step([], 1).length, 0)
})

test('a restart goes on with it, and leaves a peer a moment to be there again', async () => {
  const first = await open()
  first.step(['a', 'b'], SAVE_MS)
  first.step(['b'], LIMIT_MS)
  const { absences, step } = await open(first.store)
  assert.deepEqual([absences.ms('a'), absences.ms('b')], [0, LIMIT_MS - STARTING_MS], 'the first one was back')
  step(['b'], STARTING_MS - 1)
  assert.ok(absences.ms('b') < LIMIT_MS)
  step(['b'], 1)
  assert.equal(absences.ms('b'), LIMIT_MS)
})
