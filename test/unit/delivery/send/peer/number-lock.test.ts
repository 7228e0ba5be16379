/** Who may use the numbers of a destination. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createNumberLock } from '../../../../../protocols/delivery/send/peer/number-lock.ts'

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('who wants them alone waits until none is in use, and others wait for it', async () => {
  const numbers = createNumberLock()
  const seen: string[] = []
  numbers.acquire()
  numbers.acquire()
  const release = Promise.withResolvers<void>()
  const work = numbers.exclusive(async () => {
    seen.push('alone')
    await release.promise
  })
  assert.equal(numbers.isHeld(), true, 'at once, so that nobody begins')
  void numbers.released().then(() => seen.push('free'))
  numbers.release()
  await settled()
  assert.deepEqual([seen, numbers.inUse()], [[], 1])
  numbers.release()
  await settled()
  assert.deepEqual(seen, ['alone'])
  release.resolve()
  await work
  await settled()
  assert.deepEqual([seen, numbers.isHeld()], [['alone', 'free'], false])
})

test('those who want them alone come one after the other, also where one fails', async () => {
  const numbers = createNumberLock()
  const seen: number[] = []
  const results = await Promise.allSettled(
    [1, 2, 3].map((n) =>
      numbers.exclusive(async () => {
        seen.push(n)
        await settled()
        seen.push(n)
        if (n === 2) throw new Error('it fails')
        return n
      }),
    ),
  )
  assert.deepEqual(seen, [1, 1, 2, 2, 3, 3])
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  )
  assert.equal(numbers.isHeld(), false)
})
