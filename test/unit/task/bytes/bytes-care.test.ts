/** A look at what a node holds, with a disk or a journal that fails. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ParleyError } from '../../../../protocols/errors.ts'
import { BytesCare, type CareDeps } from '../../../../protocols/task/bytes/bytes-care.ts'

const HOUR_MS = 3_600_000
const held = ['a', 'b', 'c'].map((task) => ({ task, row: 'input', hash: task, size: 1, at: 0, by: 'peer' }))

/** None of them is referred to by any task. @param fails for the first of them */
const care = (fails: (task: string) => Promise<void>, log: string[] = []) => {
  const removed: string[] = []
  const say = (message: string): void => void log.push(message)
  const deps = {
    port: {
      self: { id: 'self' },
      clock: { now: () => 2 * HOUR_MS, monotonic: () => 0 },
      timers: { after: (_ms: number, fn: () => void) => void setImmediate(fn), every: () => () => {} },
      random: (count: number) => new Uint8Array(count),
      log: { info: say, warn: say },
    },
    store: async () => ({ all: () => held, remove: async ({ task }: { task: string }) => void removed.push(task) }),
    storedAt: async ({ task }: { task: string }) => {
      await fails(task)
      return undefined
    },
    presenceOf: () => 'here',
    onPresence: () => () => {},
  } as unknown as CareDeps
  const options = { lookMs: HOUR_MS, goneMs: HOUR_MS, orphanMs: HOUR_MS, rereadMs: HOUR_MS }
  return { care: new BytesCare(deps, options), removed, log }
}

test('one value that cannot be looked at keeps no other from it', async () => {
  const {
    care: one,
    removed,
    log,
  } = care(async (task) => {
    if (task === 'a') throw Object.assign(new Error('i/o error'), { code: 'EIO' })
  })
  await one.look()
  assert.deepEqual(removed, ['b', 'c'])
  assert.equal(one.counts.passedOver, 1)
  assert.equal(one.looks(), 1)
  assert.equal(log.length, 1)
})

test('where the journal does not answer, nothing is removed, and all of it is looked at another time', async () => {
  let isDown = true
  const { care: one, removed } = care(async () => {
    if (isDown) throw new ParleyError('COM001', 'nobody coordinates', { hint: 'try again' })
  })
  await one.look()
  assert.deepEqual(removed, [])
  assert.equal(one.looks(), 0)
  isDown = false
  await one.look()
  assert.deepEqual(removed, ['a', 'b', 'c'])
})
