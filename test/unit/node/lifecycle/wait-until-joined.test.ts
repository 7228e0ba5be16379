import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type JoinedOptions, waitUntilJoined } from '../../../../node/lifecycle/wait-until-joined.ts'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { ParleyError } from '../../../../protocols/errors.ts'

const waiting = () => {
  const time = createVirtualTime()
  const synced = Promise.withResolvers<void>()
  const words: string[] = []
  const state = { refusal: undefined as ParleyError | undefined, isStopping: false }
  const deps = {
    joins: true,
    directory: {
      firstSync: ({ signal }: { signal?: AbortSignal } = {}) =>
        new Promise<void>((resolve, reject) => {
          signal?.addEventListener('abort', () => reject(signal.reason))
          synced.promise.then(resolve, reject)
        }),
    },
    supervisor: { refusedEverywhere: () => state.refusal, joinProblems: () => ['/ip4/10.0.0.7/tcp/1: refused'] },
    log: { error: assert.fail, info: assert.fail, warn: (message: string) => void words.push(message) },
    clock: { monotonic: time.now },
    timers: time,
    isStopping: () => state.isStopping,
  }
  return { time, synced, words, state, join: (options?: JoinedOptions) => waitUntilJoined(deps, options), deps }
}

test('who waits with a limit is told when it is over, and what each address said', async () => {
  const { time, join } = waiting()
  await assert.rejects(time.settled(join({ timeoutMs: 2_000 }), 2_100), {
    code: 'COM001',
    message: 'this node was in no mesh within 2000 ms: /ip4/10.0.0.7/tcp/1: refused',
  })
})

test('who waits without a limit waits on, and the log says so after 5 s and then each minute', async () => {
  const { time, synced, words, join } = waiting()
  const joining = join()
  await time.run(4_900)
  assert.deepEqual(words, [])
  await time.run(200)
  assert.deepEqual(words, ['joined() waits for a member of the mesh, without a limit: /ip4/10.0.0.7/tcp/1: refused'])
  await time.run(59_000)
  assert.equal(words.length, 1)
  await time.run(2_000)
  assert.equal(words.length, 2)
  synced.resolve()
  await joining
  await time.run(600_000)
  assert.equal(words.length, 2)
})

test('a refusal everywhere ends the waiting at once, and so does the stop of the node', async () => {
  const refused = waiting()
  refused.state.refusal = new ParleyError('SEC001', 'another secret')
  await assert.rejects(refused.time.settled(refused.join(), 100), refused.state.refusal)
  const stopped = waiting()
  stopped.state.isStopping = true
  await assert.rejects(stopped.time.settled(stopped.join(), 100), { code: 'COM002' })
})

test('a signal ends it with its reason, and a node that joins nobody does not wait', async () => {
  const { time, join, deps } = waiting()
  const enough = new AbortController()
  const joining = join({ signal: enough.signal, timeoutMs: 5_000 })
  enough.abort(new Error('enough'))
  await assert.rejects(time.settled(joining, 10), /enough/)
  await waitUntilJoined({ ...deps, joins: false }, { timeoutMs: 1 })
})

test('a limit that is none and an option that nobody knows are refused', async () => {
  const { join } = waiting()
  for (const timeoutMs of [0, -1, 1.5, Number.NaN, 2 ** 31])
    await assert.rejects(join({ timeoutMs }), { code: 'MSG001' })
  await assert.rejects(join({ timeout: 5 } as JoinedOptions), { hint: 'did you mean timeoutMs?' })
})
