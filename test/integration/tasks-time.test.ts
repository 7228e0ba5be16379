/** What tasks wait for, and what begins them by time, on nodes over loopback TCP. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { z } from 'zod'
import {
  createMesh,
  defineProtocol,
  FENCE_HEADER,
  IDEMPOTENCY_HEADER,
  isParleyError,
  type Mesh,
  makeSecret,
  ParleyError,
} from '../../node/index.ts'
import { onAbort } from '../../protocols/async.ts'
import { failureOf } from '../support/until.ts'

const END_MS = 20_000
/** Also where it was before. */
const aborted = (signal: AbortSignal): Promise<void> => new Promise((resolve) => void onAbort(signal, resolve))

const till = defineProtocol({
  name: 'till',
  version: '1.0.0',
  methods: {
    charge: { request: z.object({ cents: z.number() }), response: z.object({ receipt: z.number() }) },
    wait: { request: z.null(), response: z.null(), idempotent: true },
    items: { request: z.null(), stream: z.number() },
  },
})

describe('tasks and time', { timeout: 180_000 }, () => {
  const secret = makeSecret()
  const meshes: Mesh[] = []
  let folder = ''
  let ann: Mesh
  let bob: Mesh

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-tasks-time-'))
    const start = async (name: string, others: readonly string[] = []): Promise<Mesh> => {
      const dataDir = join(folder, name)
      const mesh = await createMesh({
        name,
        secret,
        dataDir,
        join: [...others],
        log: 'silent',
        coordination: { expect: 2 },
      })
      meshes.push(mesh)
      return mesh
    }
    ann = await start('ann')
    bob = await start('bob', ann.self.addresses)
    await ann.coordinator.found({ timeoutMs: END_MS })
  })
  after(async () => {
    await Promise.all(meshes.map((mesh) => mesh.stop()))
    await rm(folder, { recursive: true, force: true })
  })

  it('an attempt that takes too long is ended and made again; what it says late is refused', async () => {
    const late: unknown[] = []
    const work = await bob.tasks.work(
      'hangs',
      async ({ attempt }, { signal, effect, remainingMs }) => {
        assert.ok((remainingMs() ?? 0) <= 60_000)
        if (attempt === 2) return 'done'
        await aborted(signal)
        late.push(signal.reason, await failureOf(effect('late', () => 1)))
        return 'late'
      },
      { attemptTimeoutMs: 60_000 },
    )
    const limit = { attemptTimeoutMs: 300, retry: { max: 1, delayMs: 10 } }
    const task = await ann.tasks.submit({ type: 'hangs', ...limit })
    assert.equal(await task.result({ timeoutMs: END_MS }), 'done')
    assert.ok(late.length === 2 && late.every((error) => isParleyError(error, 'STA002')))
    assert.match(String(late[0]), /attempt-timeout/)
    const { record } = await task.state()
    assert.deepEqual([record.attempts, record.failures, record.losses], [2, 1, 0])
    await work.stop()
    const never = await bob.tasks.work('never', async (_task, { signal }) => {
      await aborted(signal)
      return null
    })
    const hopeless = await ann.tasks.submit({ type: 'never', attemptTimeoutMs: 100, retry: { max: 0 } })
    const failure = await failureOf(hopeless.result({ timeoutMs: END_MS }))
    assert.ok(isParleyError(failure, 'COM001') && failure.reason === 'attempt-timeout')
    assert.ok(isParleyError(await failureOf(ann.tasks.submit({ type: 'x', attemptTimeoutMs: 1 })), 'MSG001'))
    assert.ok(isParleyError(await failureOf(bob.tasks.work('x', () => 1, { attemptTimeoutMs: 1 })), 'MSG001'))
    await never.stop()
  })

  it('a call out of a task is made once where it was recorded; before, again with the same key', async () => {
    const seen: { key: string | undefined; fence: string | undefined; peer: string }[] = []
    const serving = await ann.serve(till, {
      charge: ({ cents }, { envelope: { headers }, peer }) => {
        seen.push({ key: headers[IDEMPOTENCY_HEADER], fence: headers[FENCE_HEADER], peer })
        if (cents < 0) throw new ParleyError('APP001', 'no such price', { details: { cents } })
        return { receipt: seen.length }
      },
      wait: (_input, { signal }) => aborted(signal).then(() => null),
      async *items() {
        yield 1
      },
    })
    const fences: number[] = []
    const work = await bob.tasks.work('buy', async ({ attempt }, { call, fence }) => {
      fences.push(fence.index)
      const first = await call('first', till, 'charge', { cents: 5 }, { to: 'ann' })
      // What is thrown is not recorded: it may be called again.
      const failure = await failureOf(call('bad', till, 'charge', { cents: -1 }))
      assert.ok(isParleyError(failure, 'APP001') && failure.details.cents === -1)
      if (attempt === 1) throw new Error('once more')
      const second = await call('second', till, 'charge', { cents: 6 }, { key: 'b', timeoutMs: 5_000 })
      return [first.receipt, second.receipt]
    })
    const task = await ann.tasks.submit({ id: 'buy-1', type: 'buy', retry: { max: 1, delayMs: 10 } })
    assert.deepEqual(await task.result({ timeoutMs: END_MS }), [1, 4])
    assert.deepEqual(
      seen.map(({ key }) => key),
      ['buy-1/first', 'buy-1/bad', 'buy-1/bad', 'buy-1/second/b'],
    )
    assert.ok(seen.every(({ peer }) => peer === bob.self.id))
    assert.deepEqual(
      seen.map(({ fence }) => Number(fence?.split('.')[1])),
      [fences[0], fences[0], fences[1], fences[1]],
    )
    await work.stop()

    const end = async (what: string, more = {}): Promise<unknown> => {
      const one = await ann.tasks.submit({ type: 'wrong-call', input: what, retry: { max: 0 }, ...more })
      return failureOf(one.result({ timeoutMs: END_MS }))
    }
    const wrong = await bob.tasks.work('wrong-call', async ({ input }, { call }) => {
      if (input === 'stream') return call('a', till, 'items' as 'charge', { cents: 1 })
      if (input === 'unknown') return call('a', till, 'constructor' as 'charge', { cents: 1 })
      if (input === 'option') return call('a', till, 'charge', { cents: 1 }, { replyTo: 'bob' } as object)
      if (input === 'schema') return call('a', till, 'charge', { cents: 'x' } as never)
      return call('a', till, 'wait', null)
    })
    for (const what of ['stream', 'unknown', 'option', 'schema'])
      assert.ok(isParleyError(await end(what), 'MSG001'), what)
    // It has no more time than the task.
    assert.ok(isParleyError(await end('long', { deadline: Date.now() + 700 }), 'MSG005', 'COM001'))
    await Promise.all([wrong.stop(), serving.stop()])
  })
})
