/** The scenario of durable messages: it holds, a seed repeats its run, and its store promises no more than a real one. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRowsDisk } from '../../../node/testing/virtual/rows-disk.ts'
import { openRowsStore } from '../../../node/testing/virtual/rows-store.ts'
import { createRandom, createVirtualTime } from '../../../node/testing/virtual/virtual-time.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import { runDeliveryWorld } from '../../sim/delivery/world.ts'
import { runSeeds } from '../../sim/run-seeds.ts'
import { SCENARIOS } from '../../sim/scenarios.ts'

const SEEDS = 16
const STEPS = 1_500

test('under every fault what was accepted is delivered or a dead letter, once and in order', async () => {
  const result = await runSeeds({ scenario: 'delivery', first: 1, last: SEEDS, stride: 1, steps: STEPS })
  assert.equal('failed' in result ? JSON.stringify(result.failed) : undefined, undefined)
  for (const needed of SCENARIOS.delivery?.needed ?? []) assert.ok(needed in result.totals, needed)
  assert.ok((result.totals.delivered ?? 0) > SEEDS)
})

test('the same seed is the same run', async () => {
  const trace = async (seed: number): Promise<string[]> => {
    const lines: string[] = []
    await runDeliveryWorld({ seed, steps: 800, trace: (line) => lines.push(line) })
    return lines
  }
  const first = await trace(7)
  assert.ok(
    first.some((line) => line.includes('messages of')),
    'frames are told',
  )
  assert.deepEqual(await trace(7), first)
  assert.notDeepEqual(await trace(8), first)
})

const opened = (seed: number) => {
  const random = createRandom(seed)
  const time = createVirtualTime()
  const disk = createRowsDisk(random)
  return { disk, time, random, store: openRowsStore(disk, time, random) }
}
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

test('its store answers what is durable, and reads what was called', async () => {
  const { disk, time, store } = opened(1)
  const done = store.commit([{ key: 'a', value: bytes('1') }])
  assert.deepEqual(await time.settled(store.get('a'), 100), bytes('1'))
  assert.equal(disk.synced().has('a'), false)
  await time.settled(done, 100)
  assert.deepEqual(disk.synced().get('a'), bytes('1'))
})

test('its store asks a row that is a function when the group is written, and puts off what may wait', async () => {
  const { disk, time, store } = opened(2)
  let value = 'early'
  store.later([{ key: 'a', value: () => bytes(value) }])
  value = 'late'
  await time.run(40)
  assert.equal(disk.rows().has('a'), false)
  await time.run(40)
  assert.deepEqual(disk.synced().get('a'), bytes('late'))
})

test('of what its store has not answered, a power cut leaves whole groups, in order', async () => {
  const left = new Set<string>()
  for (let seed = 1; seed <= 60; seed += 1) {
    const { disk, time, random, store } = opened(seed)
    for (const key of ['a', 'b', 'c']) {
      store.commit([
        { key, value: bytes('1') },
        { key: `${key}2`, value: bytes('1') },
      ])
      await time.run(random() * 2)
    }
    store.kill()
    disk.losePower()
    left.add([...disk.synced().keys()].sort().join())
    await time.run(1_000)
  }
  for (const keys of left) assert.ok(['', 'a,a2', 'a,a2,b,b2', 'a,a2,b,b2,c,c2'].includes(keys), keys)
  assert.ok(left.size > 1)
})

test('its store refuses all that waits when the disk is full, says so first, and opens again', async () => {
  const { disk, time, store } = opened(3)
  const told: string[] = []
  store.onState((state) => told.push(state))
  disk.health = 'full'
  const refused = store.commit([{ key: 'a', value: bytes('1') }]).catch((error: unknown) => {
    told.push(isParleyError(error, 'STA003') ? 'refused' : 'wrong')
  })
  await time.settled(refused, 100)
  await assert.rejects(store.commit([]), (error) => isParleyError(error, 'STA003'))
  disk.health = 'well'
  await time.run(5_000)
  assert.deepEqual(told, ['full', 'refused', 'open'])
  await time.settled(store.commit([{ key: 'b', value: bytes('1') }]), 100)
})

test('a copy that takes the place of a disk has another id, which knows the former ones', () => {
  const { disk } = opened(4)
  const copy = disk.copy()
  disk.restore(copy)
  assert.notEqual(disk.id(), copy.id)
  assert.deepEqual(disk.formerIds(), [copy.id])
  disk.lose()
  assert.deepEqual(disk.formerIds(), [])
  assert.equal(disk.generation(), 2)
})
