/** Outside effects: run once, their results kept until they are of no use any more. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openEffectResults } from '../../../../protocols/delivery/receive/effect-results.ts'
import { EFFECTS } from '../../../../protocols/delivery/store/delivery-rows.ts'
import { createVolatileRowStore } from '../../../../protocols/delivery/store/volatile-row-store.ts'
import { isParleyError } from '../../../../protocols/errors.ts'

const open = async (effects = 100, store = createVolatileRowStore('0'.repeat(32))) => {
  const world = { now: 0, dropped: 0, runs: 0 }
  const opened = await openEffectResults({
    port: { clock: { now: () => world.now, monotonic: () => world.now } },
    store,
    settings: { effects, effectKeepMs: 1_000 },
    dropped: (count) => {
      world.dropped += count
    },
  })
  const rows = async (): Promise<number> => {
    let count = 0
    for await (const _ of store.rows(EFFECTS)) count += 1
    return count
  }
  const run = (name: string): Promise<number> =>
    opened.run(name, () => {
      world.runs += 1
      return world.runs
    })
  return { effects: opened, world, store, rows, run }
}

test('an effect is run once: its result is kept, also over a restart, and those who ask at once share one run', async () => {
  const { run, world, store } = await open()
  assert.deepEqual(await Promise.all([run('a'), run('a')]), [1, 1])
  assert.equal(await run('a'), 1)
  assert.equal(await run('b'), 2)
  const again = await open(100, store)
  assert.equal(await again.run('a'), 1)
  assert.equal(again.world.runs, 0)
  assert.equal(world.runs, 2)
})

test('one that fails keeps nothing, and is run again; nothing is a result as well', async () => {
  const { effects, rows } = await open()
  await assert.rejects(
    effects.run('a', () => {
      throw new Error('no')
    }),
    /no/,
  )
  assert.equal(await rows(), 0)
  assert.equal(await effects.run('a', () => undefined), undefined)
  assert.equal(await effects.run('a', () => 1), undefined)
})

test('a result that cannot be kept is refused, with what has happened said', async () => {
  const { effects } = await open()
  await assert.rejects(
    effects.run('a', () => () => {}),
    (error) => isParleyError(error, 'MSG002') && (error.hint ?? '').includes('happened'),
  )
})

test('what a message kept is of that message only, and goes with it', async () => {
  const { effects, store, rows } = await open()
  const [one, other] = [effects.of('m1'), effects.of('m2')]
  assert.deepEqual(one.forget(), [])
  assert.equal(await one.run('a', () => 1), 1)
  assert.equal(await other.run('a', () => 2), 2)
  assert.equal(await effects.of('m1').run('a', () => 3), 1, 'the next attempt finds it')
  await store.commit(one.forget())
  assert.equal(await rows(), 1)
})

test('results of the node go when they are old, or when there are too many, the oldest first', async () => {
  const { effects, world, run, rows } = await open(2)
  for (const name of ['a', 'b', 'c']) {
    await run(name)
    world.now += 1
  }
  effects.tick()
  assert.deepEqual([await rows(), world.dropped], [2, 1])
  assert.equal(await run('c'), 3)
  world.now = 1_001
  effects.tick()
  assert.deepEqual([await rows(), world.dropped], [1, 2], 'b is 1000 ms old, c is not')
  assert.equal(await run('a'), 4)
})
