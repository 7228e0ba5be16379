/** A node as a worker: its registration and lease, and which attempts it makes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as z from 'zod'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { delay } from '../../../../protocols/async.ts'
import { defineProtocol } from '../../../../protocols/define.ts'
import { isParleyError, ParleyError } from '../../../../protocols/errors.ts'
import type { Json } from '../../../../protocols/journal/state/command-kind.ts'
import type { TaskBatcher } from '../../../../protocols/task/client/task-decisions.ts'
import type { FeedTask } from '../../../../protocols/task/contract.ts'
import type { TaskChange } from '../../../../protocols/task/journal/task-changes.ts'
import { LEASE_MS } from '../../../../protocols/task/scheduler/worker-table.ts'
import { TaskId, type TaskRecord } from '../../../../protocols/task/task-record.ts'
import { TaskWorker } from '../../../../protocols/task/worker/task-worker.ts'
import { NO_CHILDREN } from '../../../support/no-children.ts'
import { failureOf } from '../../../support/until.ts'

const asking = defineProtocol({
  name: 'asking',
  version: '1.0.0',
  methods: { once: { request: z.number(), response: z.string() } },
})

const assigned = (id: string, index: number, more: Partial<TaskRecord> = {}): FeedTask => ({
  id,
  version: index,
  record: {
    ...{ type: 'sum', status: 'assigned', priority: 1, submitter: 'ann', submittedAt: 0, changedAt: 0 },
    ...{ retry: { max: 0, delayMs: 0, maxDelayMs: 0 }, attempts: 1, failures: 0, losses: 0, size: 100 },
    ...{ worker: 'me', registration: 7, fence: { term: 1, index } },
    ...more,
  },
  work: { rows: [{ key: 'input', value: { input: id, digest: '' } }], more: false },
})

const create = () => {
  const time = createVirtualTime()
  let now = 0
  let registration = 7
  let refuse: ((change: TaskChange) => Error | undefined) | undefined
  let hangs = false
  /** What this node was told that it has. */
  const claims = new Map<string, AbortController>()
  const decided: string[] = []
  /** Delegation chains of calls out of attempts. */
  const called: string[][] = []
  const counts: Record<string, number> = {}
  const batcher: Pick<TaskBatcher, 'decide'> = {
    async decide(change) {
      await new Promise<void>((resolve) => (hangs ? undefined : time.after(10, resolve)))
      const why = refuse?.(change)
      if (why !== undefined) throw why
      decided.push('id' in change ? `${change.do} ${change.id}` : change.do)
      const answers: Partial<Record<TaskChange['do'], Json>> = { register: { registration }, effect: {} }
      const result = change.do === 'sleep' ? { until: change.until } : (answers[change.do] ?? null)
      return { result, version: 1, fence: { term: 1, index: 1 } }
    },
  }
  const worker = new TaskWorker({
    sureClock: time,
    port: {
      self: { id: 'me', name: 'me', mesh: 'm', incarnation: 1 },
      clock: { now: () => time.now() + now, monotonic: time.now },
      timers: time,
      log: { error() {}, warn() {}, info() {} },
    },
    batcher,
    leaseClock: { now: () => time.now() + now, monotonic: time.now },
    decide: (change) => batcher.decide(change),
    live: async () => {},
    readRows: async () => new Map(),
    async claim(id) {
      await new Promise<void>((resolve) => time.after(20, resolve))
      const claim = claims.get(id)
      if (claim === undefined) throw new ParleyError('STA001', 'nothing is given here')
      return claim
    },
    tasks: NO_CHILDREN,
    values: { store: async (_what, value) => (value === undefined ? null : (value as Json)), load: async (row) => row },
    cursorOf: async () => ({ createdAt: 0, positions: [] }),
    call: async (_to, _protocol, _method, _input, { parent }) => {
      called.push([...(parent?.chain ?? [])])
      return 'answered'
    },
    progress() {},
    count(what) {
      counts[what] = (counts[what] ?? 0) + 1
    },
  })
  return {
    ...{ time, worker, decided, called, counts, claims },
    jumpClock: (ms: number) => {
      now += ms
    },
    register: (next: number) => {
      registration = next
    },
    /** Nobody decides any more. */
    hang: () => {
      hangs = true
    },
    refuseWith: (fn: typeof refuse) => {
      refuse = fn
    },
  }
}

/** Registers work that ends when its attempt is aborted, and what it ended. */
const untilAborted = async ({
  worker,
  time,
}: Pick<ReturnType<typeof create>, 'worker' | 'time'>): Promise<string[]> => {
  const ended: string[] = []
  await time.settled(
    worker.work('sum', async ({ id }, { signal }) => {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      ended.push(id)
      return null
    }),
    1_000,
  )
  return ended
}

test('a task that is told before the registration is answered is begun after it', async () => {
  const { worker, time, decided } = create()
  const working = worker.work('sum', ({ input }) => `${String(input)}!`)
  worker.onTask(assigned('t', 9))
  await time.settled(working, 1_000)
  await time.run(100)
  assert.deepEqual(decided, ['register', 'complete t'])
})

test('what is told again, or late, of an attempt that was made makes it not again; a newer fence does', async () => {
  const { worker, time, decided } = create()
  let runs = 0
  await time.settled(
    worker.work('sum', () => {
      runs += 1
      return null
    }),
    1_000,
  )
  worker.onTask(assigned('t', 9))
  worker.onTask(assigned('t', 9))
  await time.run(100)
  worker.onTask(assigned('t', 9))
  worker.onTask(assigned('t', 8))
  await time.run(100)
  assert.equal(runs, 1)
  worker.onTask(assigned('t', 12))
  await time.run(100)
  assert.equal(runs, 2)
  assert.deepEqual(decided, ['register', 'complete t', 'complete t'])
})

test('tasks of others, and of an earlier registration, are not begun', async () => {
  const { worker, time, decided } = create()
  await time.settled(
    worker.work('sum', () => null),
    1_000,
  )
  worker.onTask(assigned('a', 9, { worker: 'you' }))
  worker.onTask(assigned('b', 9, { registration: 6 }))
  worker.onTask({ id: 'c', version: 9 })
  await time.run(100)
  assert.deepEqual(decided, ['register'])
})

test('what it is said to work on, and does not know, it gives back; so does it what it cannot do', async () => {
  const { worker, time, decided } = create()
  await time.settled(
    worker.work('sum', () => null),
    1_000,
  )
  worker.onTask(assigned('lost', 9, { status: 'running' }))
  worker.onTask(assigned('other', 9, { type: 'product' }))
  await time.run(100)
  assert.deepEqual(decided, ['register', 'release lost', 'release other'])
})

test('an attempt ends when its task is taken away, held, or not among all there is', async () => {
  const { worker, time, counts } = create()
  const ended = await untilAborted({ worker, time })
  for (const id of ['a', 'b', 'c', 'd']) worker.onTask(assigned(id, 9))
  await time.run(100)
  assert.equal(worker.attempts(), 4)
  worker.onTask(assigned('a', 12, { worker: 'you' }))
  worker.onTask(assigned('b', 12, { status: 'paused' }))
  worker.onTask({ id: 'c', version: 12 })
  await time.run(100)
  assert.deepEqual(ended.sort(), ['a', 'b', 'c'])
  worker.onReset(new Set(['x']))
  await time.run(100)
  assert.equal(worker.attempts(), 0)
  assert.equal(counts.abandoned, 4)
})

test('the lease is renewed each 10 s; a registration that is over ends all attempts, and is made anew', async () => {
  const { worker, time, decided, register, refuseWith } = create()
  const ended = await untilAborted({ worker, time })
  worker.onTask(assigned('a', 9))
  await time.run(25_000)
  assert.equal(decided.filter((one) => one === 'renew').length, 2)
  assert.deepEqual(ended, [])
  register(30)
  refuseWith((change) => (change.do === 'renew' ? new ParleyError('STA002', 'it is over') : undefined))
  await time.run(12_000)
  assert.deepEqual(ended, ['a'])
  assert.equal(decided.filter((one) => one === 'register').length, 2)
  worker.onTask(assigned('b', 31, { registration: 7 }))
  worker.onTask(assigned('c', 31, { registration: 30 }))
  await time.run(100)
  assert.equal(worker.attempts(), 1)
})

test('a lease that cannot be renewed, or that ran out while the machine was suspended, ends all attempts, and gives them back', async () => {
  for (const isSuspended of [false, true]) {
    const { worker, time, decided, refuseWith, jumpClock } = create()
    const ended: number[] = []
    await time.settled(
      worker.work('sum', async (_task, { signal }) => {
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
        ended.push(time.now())
        return null
      }),
      1_000,
    )
    worker.onTask(assigned('a', 9))
    await time.run(100)
    if (isSuspended) jumpClock(LEASE_MS + 1_000)
    else refuseWith(() => new ParleyError('COM001', 'nobody coordinates', { details: { reason: 'no-leader' } }))
    await time.run(isSuspended ? 2_000 : LEASE_MS + 2_000)
    assert.equal(ended.length, 1, String(isSuspended))
    assert.ok(isSuspended ? (ended[0] ?? 0) < 3_000 : (ended[0] ?? 0) >= LEASE_MS)
    refuseWith(undefined)
    await time.run(2_000)
    assert.deepEqual(
      decided.filter((one) => one.startsWith('release')),
      ['release a'],
    )
  }
})

test('a worker drains for as long as its work takes, and not for a decision that nobody makes', async () => {
  const { worker, time, decided } = create()
  const ended = Promise.withResolvers<void>()
  await time.settled(
    worker.work('sum', async () => {
      await ended.promise
      return 1
    }),
    1_000,
  )
  worker.onTask(assigned('a', 20))
  await time.run(10)
  time.after(2_000, () => ended.resolve())
  const from = time.now()
  await time.settled(worker.drain(5_000), 10_000)
  const ms = time.now() - from
  assert.ok(ms >= 2_000 && ms < 2_100, `${ms}`)
  assert.ok(decided.includes('complete a'))

  const alone = create()
  await alone.time.settled(
    alone.worker.work('sum', () => 1),
    1_000,
  )
  alone.hang()
  const at = alone.time.now()
  await alone.time.settled(alone.worker.drain(5_000), 10_000)
  assert.equal(alone.time.now() - at, 1_000)
})

test('a worker that stops gives back what it has, and withdraws', async () => {
  const { worker, time, decided } = create()
  const work = await time.settled(
    worker.work('sum', async (_task, { signal }) => {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      return null
    }),
    1_000,
  )
  worker.onTask(assigned('a', 9))
  await time.run(100)
  await time.settled(worker.stop(), 1_000)
  assert.deepEqual(
    decided.filter((one) => !one.startsWith('start')),
    ['register', 'release a', 'withdraw'],
  )
  await time.settled(work.stop(), 1_000)
  await assert.rejects(
    worker.work('sum', () => null),
    { code: 'STA003' },
  )
})

test('work begins once this node knows that it has what the task requires, and ends with that', async () => {
  const { worker, time, decided, claims } = create()
  const begun: string[] = []
  await time.settled(
    worker.work('sum', async ({ id }, { signal }) => {
      begun.push(id)
      await new Promise<void>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    }),
    1_000,
  )
  const claim = new AbortController()
  claims.set('x', claim)
  worker.onTask(assigned('t', 9, { allocation: 'x' }))
  await time.run(10)
  assert.deepEqual(begun, [])
  await time.run(100)
  assert.deepEqual([begun, decided], [['t'], ['register', 'start t']])
  claim.abort()
  await time.run(100)
  assert.deepEqual(decided, ['register', 'start t', 'release t'])
  assert.equal(worker.attempts(), 0)
})

test('a task whose resources this node is not told of is given back, and is no failure', async () => {
  const { worker, time, decided, counts } = create()
  let runs = 0
  await time.settled(
    worker.work('sum', () => {
      runs += 1
    }),
    1_000,
  )
  worker.onTask(assigned('t', 9, { allocation: 'unknown' }))
  await time.run(200)
  assert.equal(runs, 0)
  assert.deepEqual(decided, ['register', 'release t'])
  assert.deepEqual(counts, { abandoned: 1 })
})

test('an attempt that sleeps goes on in its place where the journal did not free its task, and else ends once it hears so', async () => {
  const ends: Record<string, { ms: number; reported: string[]; counts: object }> = {}
  for (const told of ['nothing', 'freed', 'late'] as const) {
    const { worker, time, decided, counts, refuseWith } = create()
    await time.settled(
      worker.work('sum', async (_task, { sleep }) => {
        await sleep('nap', 6_000)
        return null
      }),
      1_000,
    )
    const from = time.now()
    worker.onTask(assigned('t', 9))
    await time.run(1_000)
    if (told === 'freed') worker.onTask(assigned('t', 12, { status: 'queued' }))
    if (told === 'late') refuseWith(() => new ParleyError('STA002', 'it is another attempt by now'))
    await time.until(() => worker.attempts() === 0, 60_000)
    ends[told] = { ms: time.now() - from, reported: decided.slice(1), counts }
  }
  const { nothing, freed, late } = ends
  assert.ok(nothing !== undefined && nothing.ms >= 6_000)
  assert.deepEqual([nothing.reported, nothing.counts], [['sleep t', 'start t', 'complete t'], { completed: 1 }])
  assert.ok(freed !== undefined && freed.ms <= 1_100)
  assert.deepEqual([freed.reported, freed.counts], [['sleep t'], {}])
  assert.deepEqual([late?.reported, late?.counts], [['sleep t'], { abandoned: 1 }])
})

test('what fails beside a sleep that is waited for in its place fails the attempt', async () => {
  const { worker, time, decided, counts } = create()
  await time.settled(
    worker.work('sum', async (_task, { sleep }) => {
      const fail = async (): Promise<never> => {
        await new Promise<void>((resolve) => time.after(500, resolve))
        throw new Error('it does not add up')
      }
      await Promise.all([sleep('nap', 60_000), fail()])
      return null
    }),
    1_000,
  )
  worker.onTask(assigned('t', 9))
  await time.run(2_000)
  assert.deepEqual([decided.slice(1), counts, worker.attempts()], [['sleep t', 'fail t'], { failed: 1 }, 0])
})

test('the signal of an attempt is aborted once it is decided how that ended, and not before', async () => {
  for (const how of ['complete', 'fail'] as const) {
    const { worker, time, decided, counts } = create()
    const steps: string[] = []
    let ended: unknown
    await time.settled(
      worker.work('sum', async (_task, { signal, effect }) => {
        signal.addEventListener('abort', () => steps.push(`aborted after ${decided.at(-1)}`))
        // What goes on beside it.
        const beside = async (): Promise<void> => {
          for (; !signal.aborted; await delay(time, 100)) steps.push('step')
          ended = await failureOf(effect('late', () => 1))
        }
        void beside()
        await delay(time, 250)
        if (how === 'fail') throw new Error('the other half of the work failed')
        return 1
      }),
      1_000,
    )
    worker.onTask(assigned('t', 9))
    await time.run(10_000)
    assert.deepEqual(steps, ['step', 'step', 'step', `aborted after ${how} t`])
    assert.ok(isParleyError(ended, 'STA002'))
    assert.match(ended.message, /the attempt has ended/)
    assert.deepEqual([decided.at(-1), counts], [`${how} t`, { [how === 'fail' ? 'failed' : 'completed']: 1 }])
  }
})

test('a call out of an attempt has the attempt as its parent: its chain begins with the submitter', async () => {
  const { worker, time, called } = create()
  const chains: string[][] = []
  await time.settled(
    worker.work('sum', async (_task, context) => {
      chains.push([...context.chain])
      return await context.call('ask', asking, 'once', 1)
    }),
    1_000,
  )
  worker.onTask(assigned('t1', 5))
  await time.run(1_000)
  assert.deepEqual(chains, [['ann', 'me/task:sum']])
  assert.deepEqual(called, chains)
})

test('children of children end where an id does: below 63 tasks there is no further one', () => {
  const below = (levels: number): string => Array.from({ length: levels + 1 }, () => 'a').join('.')
  assert.equal(TaskId.safeParse(below(63)).success, true)
  assert.equal(TaskId.safeParse(below(64)).success, false)
})
