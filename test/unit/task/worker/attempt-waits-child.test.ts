/** Whether an attempt keeps its slot while it waits for a child. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import type { TaskHandle, TaskState } from '../../../../protocols/task/client/task-api.ts'
import type { TaskStatus } from '../../../../protocols/task/task-status.ts'
import { childHandle, STAY_MS } from '../../../../protocols/task/worker/attempt-waits.ts'

const create = (status: TaskStatus) => {
  const time = createVirtualTime()
  const attempt = new AbortController()
  const ending = Promise.withResolvers<TaskState>()
  let current = status
  const given: number[] = []
  const handle = {
    id: 'a.b',
    state: async () => ({ status: current }) as TaskState,
    ended: ({ signal }: { signal?: AbortSignal } = {}) => {
      signal?.addEventListener('abort', () => ending.reject(signal.reason))
      return ending.promise
    },
    result: async () => {
      await ending.promise
      return 'done'
    },
  } as unknown as TaskHandle
  const over = new Error('the attempt is over')
  const child = childHandle(handle, {
    timers: time,
    signal: attempt.signal,
    async giveBack() {
      given.push(time.now())
      attempt.abort(over)
      throw over
    },
  })
  const become = (next: TaskStatus): void => {
    current = next
  }
  const end = (): void => ending.resolve({ status: 'completed' } as TaskState)
  return { time, attempt, child, given, over, become, end }
}

test('an attempt whose child nobody has begun gives its slot back after a while', async () => {
  for (const status of ['queued', 'submitted'] as const) {
    const { time, child, given, over } = create(status)
    const waiting = assert.rejects(child.ended(), over)
    await time.run(STAY_MS - 1)
    assert.deepEqual(given, [])
    await time.run(1)
    await waiting
    assert.deepEqual(given, [STAY_MS])
  }
})

test('an attempt whose child is in work keeps its slot, and gives it back once the child is in line again', async () => {
  const { time, child, given, over, become } = create('running')
  const waiting = assert.rejects(child.result(), over)
  await time.run(60_000)
  assert.deepEqual(given, [])
  become('queued')
  await time.run(STAY_MS)
  await waiting
  assert.equal(given.length, 1)
})

test('a child that ends in time is waited for as by any other handle', async () => {
  const { time, child, given, end } = create('queued')
  const waiting = child.result()
  await time.run(STAY_MS - 1)
  end()
  assert.equal(await time.settled(waiting, 1), 'done')
  await time.run(60_000)
  assert.deepEqual(given, [])
  assert.equal((await child.ended()).status, 'completed')
  assert.equal(child.id, 'a.b')
})
