/** Tasks as programs use them, on nodes over loopback TCP. Those that are killed are in tasks-killed.test.ts. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import {
  createMesh,
  isParleyError,
  type Json,
  type Mesh,
  makeSecret,
  ParleyError,
  stateChangedEvent,
  type TaskState,
  type WorkFunction,
} from '../../node/index.ts'
import { onAbort } from '../../protocols/async.ts'
import { tasksDigest } from '../../protocols/task/client/tasks-digest.ts'
import type { TaskChange } from '../../protocols/task/journal/task-changes.ts'
import { changeTasks, decideTasks, spendTasks } from '../../protocols/task/journal/task-kinds.ts'
import { failureOf, until } from '../support/until.ts'

const END_MS = 20_000
const codeOf = (error: unknown): string =>
  isParleyError(error) ? `${error.code} ${String(error.details.reason ?? '')}`.trim() : String(error)
const refused = async (promise: Promise<unknown>): Promise<string> => codeOf(await failureOf(promise))

/** Also where it was before. */
const aborted = (signal: AbortSignal): Promise<void> => new Promise((resolve) => void onAbort(signal, resolve))

describe('tasks, between nodes', { timeout: 180_000 }, () => {
  const secret = makeSecret()
  const meshes: Mesh[] = []
  let folder = ''
  let ann: Mesh
  let bob: Mesh
  let carl: Mesh

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-tasks-'))
    const start = async (name: string, join_: readonly string[] = []): Promise<Mesh> => {
      const dataDir = name === 'carl' ? undefined : join(folder, name)
      const mesh = await createMesh({
        ...{ name, secret, join: [...join_], log: 'silent', coordination: { expect: 2 } },
        ...(dataDir === undefined ? { coordination: {} } : { dataDir }),
      })
      meshes.push(mesh)
      return mesh
    }
    ann = await start('ann')
    bob = await start('bob', ann.self.addresses)
    carl = await start('carl', [...ann.self.addresses, ...bob.self.addresses])
    await carl.coordinator.found({ timeoutMs: END_MS })
  })
  after(async () => {
    await Promise.all(meshes.map((mesh) => mesh.stop()))
    await rm(folder, { recursive: true, force: true })
  })

  it('a node without a vote submits, another one does it, a third one reads the result', async () => {
    const fences: number[] = []
    const work = await bob.tasks.work('double', async ({ input, attempt, submitter, metadata }, { effect, fence }) => {
      fences.push(fence.index)
      assert.deepEqual([attempt, submitter, metadata], [1, carl.self.id, { from: 'a test' }])
      return effect('twice', ({ idempotencyKey }) => {
        assert.equal(idempotencyKey, 'double-1/twice')
        return 2 * Number(input)
      })
    })
    const task = await carl.tasks.submit({ id: 'double-1', type: 'double', input: 21, metadata: { from: 'a test' } })
    assert.equal(await task.result({ timeoutMs: END_MS }), 42)
    assert.equal(await ann.tasks.get('double-1').result({ timeoutMs: END_MS }), 42)
    const { status, record, metadata } = await ann.tasks.get('double-1').state()
    assert.deepEqual(
      [status, record.worker, record.fence?.index, metadata],
      ['completed', bob.self.id, fences[0], { from: 'a test' }],
    )
    // The same again is the same task; with other input it is refused.
    const again = await carl.tasks.submit({ id: 'double-1', type: 'double', input: 21, metadata: { from: 'a test' } })
    assert.equal(await again.result({ timeoutMs: END_MS }), 42)
    assert.equal(fences.length, 1)
    assert.equal(await refused(bob.tasks.submit({ id: 'double-1', type: 'double', input: 1 })), 'STA003 exists')
    await work.stop()
  })

  it('what cannot be submitted is refused with its field; nothing is there then', async () => {
    const wrong = (task: object): Promise<string> => refused(ann.tasks.submit(task as { type: string }))
    assert.equal(await wrong({ type: 'a b' }), 'MSG001')
    assert.equal(await wrong({ type: 'x', id: '..' }), 'MSG001')
    assert.equal(await wrong({ type: 'x', input: 'x'.repeat(65 * 1024 * 1024) }), 'MSG001')
    assert.equal(await wrong({ type: 'x', inputs: 1 }), 'MSG001')
    assert.equal(await wrong({ type: 'x', retry: { max: -1 } }), 'MSG001')
    assert.equal(await wrong({ type: 'x', dependencies: ['nobody'] }), 'STA001')
    assert.equal(await refused(ann.tasks.submitAll([])), 'MSG001')
    const circle = await failureOf(
      ann.tasks.submitAll([
        { id: 'c1', type: 'x', dependencies: ['c2'] },
        { id: 'c2', type: 'x', dependencies: ['c1'] },
      ]),
    )
    assert.deepEqual(isParleyError(circle) && circle.details.cycle, ['c1', 'c2', 'c1'])
    assert.equal(await refused(ann.tasks.get('c1').state()), 'STA001')
    assert.equal(await refused(ann.tasks.get('c1').result()), 'STA001')
    assert.equal(await refused(ann.tasks.get('c1').pause()), 'STA001')
  })

  it('a node that hears of nobody who coordinates says so, within its time', async () => {
    const alone = await createMesh({ name: 'alone', secret: makeSecret(), log: 'silent', discovery: { mdns: false } })
    const failure = await failureOf(alone.tasks.submit({ type: 'x' }, { timeoutMs: 300 }))
    assert.ok(isParleyError(failure, 'COM001') && failure.details.reason === 'no-leader')
    const given = new AbortController()
    given.abort(new Error('enough'))
    await assert.rejects(alone.tasks.submit({ type: 'x' }, { signal: given.signal }), /enough/)
    await alone.stop()
  })

  it('a task that nobody takes says why, and goes on once somebody does', async () => {
    const task = await ann.tasks.submit({ type: 'translate', typeVersion: '2' })
    const reason = async (): Promise<string | undefined> => (await task.state()).record.reason
    await until('it says that nobody takes it', async () => (await reason()) === 'no-worker')
    const first = await bob.tasks.work('translate', () => 'old', { versions: ['1'] })
    const second = await carl.tasks.work('translate', () => 'new', { versions: ['2'] })
    assert.equal(await task.result({ timeoutMs: END_MS }), 'new')
    await second.stop()
    const later = await ann.tasks.submit({ type: 'translate', typeVersion: '2' })
    await until('nobody has the version', async () => (await later.state()).record.reason === 'no-worker-for-version')
    assert.equal(await later.cancel('enough'), 'canceled')
    assert.equal(await refused(later.result()), 'STA003 ended')
    await first.stop()
  })

  it('tasks wait for each other, and fail with one that fails', async () => {
    const order: string[] = []
    const work = await bob.tasks.work('step', async ({ id, input }) => {
      order.push(id)
      if (input === 'fail') throw new ParleyError('APP001', 'no paper', { details: { retry: false, tray: 2 } })
      return id
    })
    const all = await ann.tasks.submitAll([
      { id: 's3', type: 'step', dependencies: ['s1', 's2'] },
      { id: 's2', type: 'step', dependencies: ['s1'] },
      { id: 's1', type: 'step' },
      { id: 's4', type: 'step', input: 'fail', dependencies: ['s3'] },
      { id: 's5', type: 'step', dependencies: ['s4'] },
      { id: 's6', type: 'step', dependencies: [{ task_id: 's4', condition: 'finished' }] },
    ])
    const ends = await Promise.all(all.map((task) => task.ended({ timeoutMs: END_MS })))
    assert.deepEqual(
      ends.map(({ id, status }) => `${id} ${status}`),
      ['s3 completed', 's2 completed', 's1 completed', 's4 failed', 's5 failed', 's6 completed'],
    )
    assert.deepEqual(order.slice(0, 4), ['s1', 's2', 's3', 's4'])
    assert.ok(!order.includes('s5'))
    const failure = await failureOf(all[3]?.result() ?? Promise.resolve())
    assert.ok(isParleyError(failure, 'APP001') && failure.details.tray === 2)
    assert.equal(ends[4]?.record.reason, 'dependency-failed')
    await work.stop()
  })

  it('a failed attempt is made again with what it recorded; what fails each time fails', async () => {
    const runs: string[] = []
    const work = await bob.tasks.work('shaky', async ({ attempt, input }, { effect }) => {
      const n = await effect('draw', () => {
        runs.push('draw')
        return 7
      })
      await effect('draw', () => n + 1, { key: 'second' })
      if (attempt < 3 || input === 'always') throw new Error('secret text of the machine')
      return [attempt, n]
    })
    const retry = { max: 2, delayMs: 20 }
    const task = await ann.tasks.submit({ type: 'shaky', retry })
    assert.deepEqual(await task.result({ timeoutMs: END_MS }), [3, 7])
    assert.deepEqual(runs, ['draw'])
    const hopeless = await ann.tasks.submit({ type: 'shaky', input: 'always', retry })
    const failure = await failureOf(hopeless.result())
    // What is no error of the mesh stays at its node.
    assert.ok(isParleyError(failure, 'APP001') && failure.message === 'the handler failed')
    await work.stop()
  })

  it('says what happened to it, on any node; what failed is submitted again, as often as asked', async () => {
    let isBroken = true
    const work = await bob.tasks.work('brittle', async ({ input, metadata }, { effect, checkpoint }) => {
      await effect('look', () => 'abc', { key: 'k' })
      await checkpoint({ half: true })
      if (isBroken) throw new ParleyError('APP001', 'it is broken', { details: { retry: false } })
      return { input, metadata } as Json
    })
    const input = { page: 1 }
    const submitted = { type: 'brittle', input, metadata: 'm', priority: 'high', attemptTimeoutMs: 60_000 } as const
    const task = await carl.tasks.submit({ id: 'brittle-1', ...submitted })
    assert.equal((await task.ended({ timeoutMs: END_MS })).status, 'failed')
    const { entries, dropped } = await ann.tasks.get('brittle-1').history({ timeoutMs: END_MS })
    assert.equal(dropped, 0)
    assert.deepEqual(
      entries.map(({ what, attempt, by, worker, name, key, bytes, reason }) =>
        [what, attempt, by ?? worker, name, key, bytes, reason].filter((one) => one !== undefined),
      ),
      [
        ['submitted', carl.self.id],
        ['assigned', 1, bob.self.id],
        ['running', 1],
        ['effect', 1, 'look', 'k', 5],
        ['checkpoint', 1, 13],
        ['failed', 1, 'it is broken'],
      ],
    )
    isBroken = false
    const again = await ann.tasks.retry('brittle-1', { id: 'brittle-2' })
    assert.deepEqual(await again.result({ timeoutMs: END_MS }), { input, metadata: 'm' })
    const { record } = await again.state()
    assert.deepEqual([record.priority, record.submitter, record.attemptTimeoutMs], [2, ann.self.id, 60_000])
    assert.equal((await ann.tasks.retry('brittle-1', { id: 'brittle-2' })).id, 'brittle-2')
    assert.notEqual((await ann.tasks.retry('brittle-1', { timeoutMs: END_MS })).id, 'brittle-2')
    assert.equal(await refused(ann.tasks.retry('brittle-2')), 'STA003 not-failed')
    assert.equal(await refused(ann.tasks.retry('nobody')), 'STA001')
    assert.equal(await refused(ann.tasks.get('nobody').history()), 'STA001')
    await work.stop()
    const open = await ann.tasks.submit({ type: 'brittle' })
    assert.equal(await refused(ann.tasks.retry(open.id)), 'STA003 not-failed')
    assert.equal(await open.cancel('enough'), 'canceled')
    const [first, last] = [(await open.history()).entries.at(0), (await open.history()).entries.at(-1)]
    assert.deepEqual(
      [first?.what, last?.what, last?.by, last?.reason],
      ['submitted', 'canceled', ann.self.id, 'enough'],
    )
    // By the command of older nodes: voters keep what they keep of others.
    const old = await ann.tasks.submit({ type: 'brittle', id: 'brittle-old' })
    await ann.journal.submit(changeTasks, { changes: [{ do: 'cancel', id: old.id }] })
    assert.equal((await old.ended({ timeoutMs: END_MS })).status, 'canceled')
    assert.deepEqual(
      (await old.history()).entries.map(({ what }) => what),
      ['submitted', 'canceled'],
    )
  })

  it('a large input of a task that failed is there for another try', async () => {
    let isBroken = true
    const work = await bob.tasks.work('large', ({ input }) => {
      if (isBroken) throw new ParleyError('APP001', 'it is broken', { details: { retry: false } })
      return String(input).length
    })
    const task = await ann.tasks.submit({ id: 'large-1', type: 'large', input: 'x'.repeat(100_000) })
    assert.equal((await task.ended({ timeoutMs: END_MS })).status, 'failed')
    isBroken = false
    const again = await ann.tasks.retry('large-1')
    assert.equal(await again.result({ timeoutMs: END_MS }), 100_000)
    await work.stop()
  })

  it('an effect that is named twice, or comes to too much, ends its attempt with what to do', async () => {
    const work = await bob.tasks.work('wrong', async ({ input }, { effect, checkpoint }) => {
      if (input === 'large') return effect('a', () => new Uint8Array(64 * 1024 * 1024 + 1))
      if (input === 'name') return effect('a b', () => 1)
      await effect('a', () => 1)
      if (input === 'after') await checkpoint(1)
      return effect('a', () => 2)
    })
    const end = async (input: string) =>
      (await ann.tasks.submit({ type: 'wrong', input, retry: { max: 0 } })).result({ timeoutMs: END_MS })
    assert.equal(await refused(end('twice')), 'MSG001 effect-name-reused')
    assert.equal(await refused(end('large')), 'MSG001')
    assert.equal(await refused(end('name')), 'MSG001')
    assert.equal(await end('after'), 2)
    await work.stop()
  })

  it('pause ends the attempt, resume goes on from the checkpoint; others may where they coordinate', async () => {
    const begun: unknown[] = []
    let ended = 0
    const work = await bob.tasks.work('long', async ({ checkpoint }, task) => {
      begun.push(checkpoint)
      if (checkpoint === 'last') return 'done'
      await task.checkpoint(begun.length)
      await aborted(task.signal)
      ended += 1
      // It counts no more.
      await assert.rejects(
        task.effect('late', () => 1),
        { code: 'STA002' },
      )
      return 'late'
    })
    const task = await ann.tasks.submit({ type: 'long' })
    const states: string[] = []
    const telling = (async () => {
      for await (const { status } of task.updates()) states.push(status)
    })()
    await until('it has a checkpoint', () => begun.length === 1)
    await until('it runs', async () => (await task.state()).status === 'running')
    assert.equal(await task.pause('lunch'), 'paused')
    await until('the attempt ends', () => ended === 1)
    assert.equal((await task.state()).record.reason, 'lunch')
    assert.equal(await refused(task.pause().then(() => task.result({ timeoutMs: 100 }))), 'COM001')
    // Another node asks the coordinator; in a mesh of one secret all may.
    assert.equal(await carl.tasks.get(task.id).resume(), 'queued')
    await until('it goes on', () => begun.length === 2)
    await until('it runs', async () => (await task.state()).status === 'running')
    await carl.tasks.get(task.id).pause()
    await task.resume({ checkpoint: 'last' })
    assert.equal(await task.result({ timeoutMs: END_MS }), 'done')
    assert.deepEqual(begun, [undefined, 1, 'last'])
    await telling
    assert.equal(states.at(-1), 'completed')
    assert.ok(states.includes('paused'))
    assert.equal(await refused(task.resume()), 'STA003 ended')
    await work.stop()
  })

  it('a deadline ends a task, also one in work', async () => {
    const work = await bob.tasks.work(
      'slow',
      async (_task, { signal, remainingMs }) => {
        assert.ok((remainingMs() ?? 0) <= 500)
        await aborted(signal)
        return 'late'
      },
      { slots: 1 },
    )
    const deadline = Date.now() + 500
    const [one, two] = await ann.tasks.submitAll([
      { type: 'slow', deadline },
      { type: 'slow', deadline: new Date(deadline) },
    ])
    for (const task of [one, two])
      assert.equal(await refused(task?.result({ timeoutMs: END_MS }) ?? Promise.resolve()), 'MSG005')
    await work.stop()
  })

  it('the urgent ones first, each in its order', async () => {
    const done: string[] = []
    const gate = Promise.withResolvers<void>()
    const work = await bob.tasks.work(
      'ordered',
      async ({ id }) => {
        if (id === 'o0') await gate.promise
        done.push(id)
        return null
      },
      { slots: 1 },
    )
    const first = await ann.tasks.submit({ id: 'o0', type: 'ordered' })
    await until('it runs', async () => (await first.state()).status === 'running')
    const rest = [
      await ann.tasks.submit({ id: 'o1', type: 'ordered', priority: 'low' }),
      await ann.tasks.submit({ id: 'o2', type: 'ordered' }),
      await ann.tasks.submit({ id: 'o3', type: 'ordered' }),
      await ann.tasks.submit({ id: 'o4', type: 'ordered', priority: 'critical' }),
    ]
    gate.resolve()
    for (const task of rest) await task.result({ timeoutMs: END_MS })
    assert.deepEqual(done, ['o0', 'o4', 'o2', 'o3', 'o1'])
    await work.stop()
  })

  it('a worker that stops gives back what it has, and a child of another attempt is the same task', async () => {
    let children = 0
    const parent: WorkFunction = async (_task, { submit, signal }) => {
      const child = await submit('part', { type: 'child', input: 1 })
      if (children === 0) await aborted(signal)
      if (signal.aborted) throw signal.reason
      return `${child.id} ${String(await child.result())}`
    }
    const atBob = await bob.tasks.work('parent', parent)
    const task = await ann.tasks.submit({ id: 'p', type: 'parent' })
    await until('it has a child', async () => (await ann.tasks.list()).some(({ id }) => id === 'p.part'))
    await atBob.stop()
    await until('it waits', async () => (await task.state()).status === 'queued')
    const child = await carl.tasks.work('child', () => {
      children += 1
      return children
    })
    await until('the child is done', async () => (await ann.tasks.get('p.part').state()).status === 'completed')
    const atCarl = await carl.tasks.work('parent', parent)
    assert.equal(await task.result({ timeoutMs: END_MS }), 'p.part 1')
    assert.equal((await ann.tasks.get('p.part').state()).record.parent, 'p')
    await Promise.all([atCarl.stop(), child.stop()])
  })

  it('progress is told on the topic of the task', async () => {
    const heard: unknown[] = []
    const listening = await ann.events.subscribe('tasks.status.#', ({ topic, data }) => {
      if (Object(data).progress === 0.5) heard.push([topic, data])
    })
    const gate = Promise.withResolvers<void>()
    const work = await bob.tasks.work('told', async (_task, { progress }) => {
      progress(0.5, { note: 'half', metrics: { throughput: 3 } })
      await gate.promise
      return null
    })
    const task = await ann.tasks.submit({ id: 'told-1', type: 'told' })
    await until('it is heard', () => heard.length > 0)
    const [[topic, data]] = heard as [[string, Record<string, unknown>]]
    assert.equal(topic, 'tasks.status.told-1')
    assert.deepEqual(
      { ...data, timestamp: 0 },
      {
        ...{
          task_id: 'told-1',
          status: 'running',
          progress: 0.5,
          metrics: { throughput: 3 },
          note: 'half',
          timestamp: 0,
        },
      },
    )
    gate.resolve()
    await task.result({ timeoutMs: END_MS })
    await Promise.all([work.stop(), listening.stop()])
  })

  it('a reader that follows has what the journal has; changes are told by events too', async () => {
    const heard: string[] = []
    const states = await carl.events.subscribe(stateChangedEvent, ({ topic, data }) => {
      heard.push(`${topic} ${data.task_id}`)
    })
    const listening = await carl.events.subscribe('tasks.#', ({ topic, data }) => {
      if (topic === 'tasks.submit') heard.push(`${topic} ${String(Object(data).task_id)}`)
      if (topic === 'tasks.status.seen-1') heard.push(`${topic} ${String(Object(data).status)}`)
    })
    const seen = new Map<string, number>()
    let version = 0
    const end = new AbortController()
    const following = (async () => {
      for await (const change of carl.tasks.changes({ signal: end.signal })) {
        if (change.type === 'all') seen.clear()
        for (const { id, version: of } of change.type === 'all' ? change.tasks : []) seen.set(id, of)
        if (change.type === 'change') {
          if (change.task === undefined) seen.delete(change.id)
          else seen.set(change.id, change.version)
        }
        version = change.version
      }
    })()
    const work = await bob.tasks.work('seen', () => 1)
    await (await ann.tasks.submit({ id: 'seen-1', type: 'seen' })).result({ timeoutMs: END_MS })
    await until('it has what the journal has', async () => {
      const { digest, version: of } = await carl.tasks.digest()
      const own = [...seen].map(([id, at]) => ({ id, version: at }))
      return tasksDigest(carl.port, { version, tasks: own }).digest === digest && of > 0
    })
    await until('all is heard', () => heard.includes('tasks.status.seen-1 completed'))
    assert.ok(heard.includes('tasks.submit seen-1'))
    // Of another first word: it may come later.
    await until('each change is heard', () => heard.filter((one) => one === 'state.changed seen-1').length >= 3)
    end.abort()
    await following
    await Promise.all([work.stop(), listening.stop(), states.stop()])
  })

  it('children of a task that is canceled end with it', async () => {
    const work = await bob.tasks.work('mother', async (_task, { submit, signal }) => {
      await submit('one', { type: 'nobody' })
      await submit('two', { type: 'nobody' })
      await aborted(signal)
      return null
    })
    const task = await ann.tasks.submit({ id: 'm', type: 'mother' })
    await until(
      'it has children',
      async () => (await ann.tasks.list()).filter(({ id }) => id.startsWith('m.')).length === 2,
    )
    await task.cancel()
    for (const id of ['m.one', 'm.two']) {
      const { status, record } = await ann.tasks.get(id).ended({ timeoutMs: END_MS })
      assert.deepEqual([status, record.reason], ['canceled', 'parent-ended'])
    }
    await work.stop()
  })

  it('a parent that waits for a child of its own type, with one slot for both, gives its slot back', async () => {
    const fold: WorkFunction<number> = async ({ id, input }, { submit }) => {
      begun.push(id)
      if (input === 0) return 0
      const child = await submit('next', { type: 'fold', input: input - 1 })
      return Number(await child.result()) + 1
    }
    const begun: string[] = []
    const working = await bob.tasks.work('fold', fold, { slots: 1 })
    const handle = await ann.tasks.submit({ id: 'fold-1', type: 'fold', input: 1 })
    assert.equal(await handle.result({ timeoutMs: 60_000 }), 1)
    assert.deepEqual([...new Set(begun)], ['fold-1', 'fold-1.next'])
    await working.stop()
  })

  it('a task waits for a person: it says what it wants, and goes on with what it is given, once', async () => {
    let runs = 0
    const work = await bob.tasks.work('approve', async ({ input }, task) => {
      const price = await task.effect('price', () => {
        runs += 1
        return 7
      })
      if (input === 'late') return task.waitFor('late', { timeoutMs: 300 })
      if (input === 'before') return task.waitFor('early')
      const answer = await task.waitFor('approval', { prompt: { price }, status: 'auth_required' })
      return { price, answer }
    })
    const task = await ann.tasks.submit({ type: 'approve', input: null })
    const waiting = await until('it waits', async () => {
      const { status, record } = await task.state()
      return status === 'auth_required' && record.wait
    })
    assert.deepEqual(waiting, { name: 'approval', prompt: { price: 7 } })
    assert.equal((await bob.tasks.list({ status: 'auth_required' })).length, 1)
    await until('its worker has room', () => bob.tasks.counts().working === 0)
    await task.signal('approval', 'yes')
    // The first one counts; it may have ended by now.
    await task.signal('approval', 'no').catch(() => {})
    assert.deepEqual(await task.result({ timeoutMs: END_MS }), { price: 7, answer: 'yes' })
    assert.equal(runs, 1)
    assert.equal(await refused(task.signal('approval', 'no')), 'STA003 ended')
    const late = await ann.tasks.submit({ type: 'approve', input: 'late', retry: { max: 0 } })
    assert.equal(await refused(late.result({ timeoutMs: END_MS })), 'COM001')
    // What is given before it is wanted is there at once.
    const slow = await carl.tasks.submit({ id: 'before', type: 'approve', input: 'before', dependencies: [] })
    await slow.signal('early', [1]).catch(() => {})
    assert.deepEqual(await slow.result({ timeoutMs: END_MS }), [1])
    await work.stop()
  })

  it('a task sleeps without a worker, and wakes', async () => {
    const begun: number[] = []
    const work = await bob.tasks.work('sleepy', async (_task, { sleep, effect }) => {
      begun.push(Date.now())
      await effect('before', () => 1)
      await sleep('short', 50)
      await sleep('long', 5_200)
      return begun.length
    })
    const task = await ann.tasks.submit({ type: 'sleepy' })
    await until('it sleeps', async () => (await task.state()).record.reason === 'it sleeps')
    // Its worker hears of the decision a moment after the voters.
    await until('its worker has room', () => bob.tasks.counts().working === 0)
    assert.equal(await task.result({ timeoutMs: END_MS }), 2)
    assert.ok((begun[1] ?? 0) - (begun[0] ?? 0) >= 5_000)
    await work.stop()
  })

  it('messages of seed 001 do what they say, and are answered as it says', async () => {
    const work = await bob.tasks.work('data_processing', async (_task, { signal }) => {
      await aborted(signal)
      return null
    })
    const status = await ann.tasks.receive('task.submit', { task_id: 'seed-1', type: 'data_processing', priority: 2 })
    assert.ok(status.type === 'task.status' && status.payload.task_id === 'seed-1' && status.payload.progress === 0)
    await until('it runs', async () => (await ann.tasks.get('seed-1').state()).status === 'running')
    assert.deepEqual(await ann.tasks.receive('task.control.pause', { task_id: 'seed-1', command_id: 'c1' }), {
      type: 'task.control.ack',
      payload: { command_id: 'c1', status: 'paused' },
    })
    const cancel = await ann.tasks.receive('task.control.cancel', { task_id: 'seed-1', reason: 'enough' })
    assert.ok(cancel.type === 'task.control.ack' && cancel.payload.status === 'canceled')
    const late = await ann.tasks.receive('task.control.resume', { task_id: 'seed-1', command_id: 'c3' })
    assert.ok(late.type === 'task.control.reject' && /canceled/.test(late.payload.reason))
    assert.equal(await refused(ann.tasks.receive('task.delete', {})), 'MSG004')
    assert.equal(await refused(ann.tasks.receive('task.submit', { type: 7 })), 'MSG001')
    await work.stop()
  })

  it('a member that says what it may not is refused by all voters, whatever it sends', async () => {
    const gate = Promise.withResolvers<void>()
    const work = await bob.tasks.work('guarded', async () => {
      await gate.promise
      return 'right'
    })
    const task = await ann.tasks.submit({ id: 'guarded-1', type: 'guarded' })
    await until('it runs', async () => (await task.state()).status === 'running')
    const { record } = await task.state()
    const { fence = { term: 0, index: 0 }, registration = 0 } = record
    const { epoch } = carl.coordinator.status()
    const id = 'guarded-1'
    const forged: TaskChange[] = [
      { do: 'complete', id, fence, result: 'forged' },
      { do: 'effect', id, fence, name: 'e', key: '', value: 1 },
      { do: 'fail', id, fence, error: { code: 'APP001', message: 'forged' }, retry: false },
      { do: 'release', id, fence, reason: 'forged' },
      { do: 'cancel', id },
      { do: 'cancel', id, epoch },
      { do: 'lose', epoch, id, fence, reason: 'forged' },
      { do: 'place', epoch, id, worker: carl.self.id, registration },
      { do: 'steer', epoch, id, plan: 'forged' },
      { do: 'dismiss', epoch, worker: bob.self.id, registration },
      { do: 'expire', epoch, id },
      { do: 'time-out', epoch, id, fence },
      { do: 'forget', epoch, tasks: [{ id: 'double-1', endedAt: 0 }] },
    ]
    const { result } = await carl.journal.submit(spendTasks, { changes: forged })
    assert.deepEqual(
      result.map((answer) => ('fault' in answer ? answer.fault.code : 'taken')),
      ['STA002', 'STA002', 'STA002', 'STA002', ...Array.from({ length: 9 }, () => 'SEC002')],
    )
    // Of all that is forged, nothing has changed.
    assert.deepEqual((await task.state()).record, record)
    const tooMuch = Array.from({ length: 300 }, () => ({ do: 'renew' as const, registration: 1 }))
    assert.equal(await refused(carl.journal.submit(decideTasks, { changes: tooMuch })), 'MSG001')
    assert.equal(await refused(carl.journal.put('$part/parley/tasks/t/guarded-1', null)), 'SEC002')
    gate.resolve()
    assert.equal(await task.result({ timeoutMs: END_MS }), 'right')
    await work.stop()
  })

  it('work is offered once for each type, and with what can be offered', async () => {
    const work = await bob.tasks.work('once', () => null)
    assert.equal(await refused(bob.tasks.work('once', () => null)), 'STA003 in-use')
    assert.equal(await refused(bob.tasks.work('a b', () => null)), 'MSG001')
    assert.equal(await refused(bob.tasks.work('x', () => null, { slots: 0 })), 'MSG001')
    await work.stop()
    const again = await bob.tasks.work('once', () => 1)
    const states: TaskState[] = []
    for await (const state of (await bob.tasks.submit({ type: 'once' })).updates()) states.push(state)
    assert.equal(states.at(-1)?.result, 1)
    await again.stop()
  })
})
