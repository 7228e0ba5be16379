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
import { failureOf, until } from '../support/until.ts'

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
        coordination: { expect: 3 },
      })
      meshes.push(mesh)
      return mesh
    }
    ann = await start('ann')
    bob = await start('bob', ann.self.addresses)
    await start('carl', [...ann.self.addresses, ...bob.self.addresses])
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

  it('a schedule begins a task at each of its times, once, although another node coordinates meanwhile', async () => {
    const inputs: unknown[] = []
    const work = await bob.tasks.work('tick', ({ input }) => {
      inputs.push(input)
      return null
    })
    await ann.tasks.schedule({
      id: 'ticks',
      everyMs: 1_000,
      misfire: { all: 100 },
      task: { type: 'tick', input: 'tock' },
    })
    const state = async () => (await bob.tasks.schedules()).find(({ id }) => id === 'ticks')
    const fired = async (): Promise<number> => (await state())?.fired ?? 0
    await until('two have begun', async () => (await fired()) >= 2)
    // Three vote before long.
    await until('another node can take over', () =>
      ann.coordinator.transfer().then(
        () => true,
        () => false,
      ),
    )
    const before = await fired()
    await until('the next coordinator begins more', async () => (await fired()) >= before + 2)
    // Made again it goes on; by somebody else, otherwise, it is refused.
    await ann.tasks.schedule({
      id: 'ticks',
      everyMs: 1_000,
      misfire: { all: 100 },
      task: { type: 'tick', input: 'tock' },
    })
    const other = failureOf(bob.tasks.schedule({ id: 'ticks', everyMs: 5_000, task: { type: 'tick' } }))
    assert.ok(isParleyError(await other, 'STA003') && ((await other) as ParleyError).reason === 'exists')
    // In a mesh of one secret all may coordinate.
    await bob.tasks.pauseSchedule('ticks')
    const { owner, everyMs, isPaused, nextAt, lastAt = 0, fired: count = 0, held } = (await state()) ?? {}
    assert.deepEqual([owner, everyMs, isPaused, nextAt, held], [ann.self.id, 1_000, true, undefined, 0])
    const nominal = (back: number): string => new Date(lastAt - back * 1_000).toISOString().replace(/\.\d+|[-:]/g, '')
    for (let back = 0; back < count; back += 1) {
      const task = await ann.tasks.get(`ticks.${nominal(back)}`).ended({ timeoutMs: END_MS })
      assert.deepEqual([task.status, task.record.submitter], ['completed', ann.self.id])
    }
    assert.ok(isParleyError(await failureOf(ann.tasks.get(`ticks.${nominal(count)}`).state()), 'STA001'))
    assert.deepEqual([inputs.length, new Set(inputs).size], [count, 1])
    await ann.tasks.resumeSchedule('ticks')
    await until('it goes on', async () => (await fired()) > count)
    await bob.tasks.unschedule('ticks')
    assert.deepEqual(await ann.tasks.schedules(), [])
    assert.ok(isParleyError(await failureOf(bob.tasks.unschedule('ticks')), 'STA001'))
    await work.stop()
  })

  it('a schedule that cannot be made is refused with what is wrong; one of a single time goes with it', async () => {
    const refused = async (given: object): Promise<unknown> =>
      failureOf(ann.tasks.schedule({ id: 'x', task: { type: 'tick' }, ...given }))
    for (const given of [
      {},
      { cron: '* * * * *', everyMs: 1_000 },
      { everyMs: 10 },
      { everyMs: 1_000, zone: 'UTC' },
      { cron: '* * * *' },
      { cron: '0 0 30 2 *' },
      { cron: '0 3 * * *', zone: 'Mars/Olympus' },
      { at: 'tomorrow' },
      { at: 2_000, until: 1_000 },
      { everyMs: 1_000, misfire: { all: 0 } },
      { everyMs: 1_000, overlaps: 'skip' },
      { everyMs: 1_000, task: { type: 'tick', deadline: 1 } },
      { everyMs: 1_000, task: { type: 'a b' } },
      { id: 'a b', everyMs: 1_000 },
    ])
      assert.ok(isParleyError(await refused(given), 'MSG001'), JSON.stringify(given))
    assert.ok(isParleyError(await failureOf(ann.tasks.unschedule('a b')), 'MSG001'))
    const work = await bob.tasks.work('told', ({ metadata }) => metadata)
    const at = Math.floor(Date.now() / 1_000) * 1_000 + 1_000
    await ann.tasks.schedule({ id: 'once', at: new Date(at), task: { type: 'told', metadata: 7, withinMs: 60_000 } })
    const id = `once.${new Date(at).toISOString().replace(/\.\d+|[-:]/g, '')}`
    await until(
      'it begins',
      async () =>
        (await ann.tasks
          .get(id)
          .state()
          .catch(() => undefined)) !== undefined,
    )
    const { record } = await ann.tasks.get(id).ended({ timeoutMs: END_MS })
    assert.equal(record.deadline, at + 60_000)
    assert.equal(await ann.tasks.get(id).result(), 7)
    assert.deepEqual(await ann.tasks.schedules(), [])
    await work.stop()
  })

  it('a task waits for an event: what is published after that counts, also where nobody runs and others coordinate', async () => {
    const begun: string[] = []
    const work = await bob.tasks.work('order', async ({ id, input }, { waitForEvent }) => {
      begun.push(id)
      const { data, source, topic } = await waitForEvent('paid', {
        topic: 'orders.*',
        filter: { data: { order: Number(input) }, source: ann.self.id },
      })
      return { paid: Object(data).cents, topic, isAnn: source === ann.self.id }
    })
    const pay = (mesh: Mesh, order: number, cents: number) => mesh.events.publish('orders.paid', { order, cents })
    // Before the wait: it does not count.
    await pay(ann, 1, 1)
    const first = await ann.tasks.submit({ type: 'order', input: 1 })
    const waits = (id: string) => async () => (await ann.tasks.get(id).state()).record.wait?.topic === 'orders.*'
    await until('it waits', waits(first.id))
    await until('its worker has room', () => bob.tasks.counts().working === 0)
    await pay(ann, 2, 2)
    await pay(bob, 1, 3)
    await pay(ann, 1, 4)
    assert.deepEqual(await first.result({ timeoutMs: END_MS }), { paid: 4, topic: 'orders.paid', isAnn: true })
    assert.equal(begun.length, 2)

    const second = await ann.tasks.submit({ type: 'order', input: 7 })
    await until('it waits', waits(second.id))
    await work.stop()
    await ann.coordinator.transfer()
    await pay(ann, 7, 5)
    await pay(ann, 7, 6)
    await until('it was given', async () => (await second.state()).status === 'queued')
    const again = await bob.tasks.work('order', async (_task, { waitForEvent }) => {
      const { data } = await waitForEvent('paid', { topic: 'orders.*' })
      return Object(data).cents
    })
    assert.equal(await second.result({ timeoutMs: END_MS }), 5)
    await again.stop()
  })

  it('a wait for an event ends with its time; what cannot be waited for is refused', async () => {
    const work = await bob.tasks.work('wait', async ({ input }, { waitForEvent }) => {
      const asked = Object(input) as { topic: string; filter?: object }
      const { id } = await waitForEvent('it', { timeoutMs: 300, ...asked })
      return id
    })
    const end = async (input: { topic: string; filter?: { [key: string]: string } }) =>
      failureOf((await ann.tasks.submit({ type: 'wait', input, retry: { max: 0 } })).result({ timeoutMs: END_MS }))
    assert.ok(isParleyError(await end({ topic: 'quiet.topic' }), 'COM001'))
    for (const input of [{ topic: '#' }, { topic: 'a b' }, { topic: 'a', filter: { sender: 'x' } }])
      assert.ok(isParleyError(await end(input), 'MSG001'), JSON.stringify(input))
    await work.stop()
  })
})
