/** Versions of a type of task, on nodes over loopback TCP: who gets what, what is said of the rest, and what is done again. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createMesh, type Mesh, makeSecret, type TaskHandle, type WorkFunction } from '../../node/index.ts'
import { onAbort } from '../../protocols/async.ts'
import { until } from '../support/until.ts'

const END_MS = 20_000
/** Long enough for what ends soon, and short for what waits for its end. */
const DRAIN_MS = 500
const TYPE = 'page'
const STEPS = ['fetch', 'count', 'sign'] as const
type Step = (typeof STEPS)[number]

/** Also where it was before. */
const aborted = (signal: AbortSignal): Promise<void> => new Promise((resolve) => void onAbort(signal, resolve))

describe('versions of a type of task, between nodes', { timeout: 60_000 }, () => {
  const secret = makeSecret()
  const meshes = new Map<string, Mesh>()
  /** Effects that ran, `task step`, in their order. */
  const ran: string[] = []
  /** Attempts that began, `version task`. */
  const begun: string[] = []
  let folder = ''

  const start = async (name: string): Promise<Mesh> => {
    const mesh = await createMesh({
      ...{ name, secret, dataDir: join(folder, name), log: 'silent', timings: { drainMs: DRAIN_MS } },
      join: [...meshes.values()].flatMap(({ self }) => self.addresses),
      coordination: name === 'ann' || name === 'bob' || name === 'carl' ? { expect: 3 } : { voter: 'never' },
    })
    meshes.set(name, mesh)
    return mesh
  }
  const of = (name: string): Mesh => meshes.get(name) ?? assert.fail(`there is no ${name}`)
  const stop = async (name: string): Promise<void> => {
    await of(name).stop()
    meshes.delete(name)
  }

  /** A page's three steps, in this order. @param holdAt how many steps are done when it waits for its end; undefined: never */
  const pageWork =
    (version: string, order: readonly Step[], holdAt?: (id: string) => number): WorkFunction =>
    async ({ id }, { effect, signal }) => {
      begun.push(`${version} ${id}`)
      const values: Partial<Record<Step, string>> = {}
      for (const [at, step] of order.entries()) {
        if (at === holdAt?.(id)) {
          await aborted(signal)
          throw signal.reason
        }
        values[step] = await effect(step, () => {
          ran.push(`${id} ${step}`)
          return `${step} by ${version}`
        })
      }
      return STEPS.map((step) => values[step] ?? 'nothing')
    }
  const stateOf = async (task: TaskHandle) => {
    const { status, record } = await task.state()
    return [status, record.reason]
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-task-versions-'))
    for (const name of ['ann', 'bob', 'carl', 'old-1', 'old-2']) await start(name)
    await of('ann').coordinator.found({ timeoutMs: END_MS })
  })
  after(async () => {
    await Promise.all([...meshes.values()].map((mesh) => mesh.stop()))
    await rm(folder, { recursive: true, force: true })
  })

  it('workers of version 1 stop in the middle, and version 2 has another order: nothing diverges, the reason is shown', async () => {
    const { tasks } = of('ann')
    // Of each three one waits before its first effect, one behind it, one behind its second.
    const holdAt = (id: string): number => Number(id.slice('v1-'.length)) % 3
    for (const name of ['old-1', 'old-2'])
      await of(name).tasks.work(TYPE, pageWork('1', STEPS, holdAt), { versions: ['1'], slots: 4 })
    const old = await Promise.all(
      Array.from({ length: 6 }, (_, i) => tasks.submit({ id: `v1-${i}`, type: TYPE, typeVersion: '1' })),
    )
    await until('all are in the middle', () => begun.length === 6 && ran.length === 6)
    for (const [i, task] of old.entries())
      await until('its effects are recorded', async () => (await task.recorded())?.effects.length === i % 3)
    for (const task of old) assert.match((await task.state()).status, /^(assigned|running)$/)

    // One worker is stopped with its node, of the other one only the work.
    await Promise.all([stop('old-1'), stop('old-2')])
    // Nobody does the type at all.
    for (const task of old)
      await until('it says that nobody does it', async () => (await stateOf(task))[1] === 'no-worker')

    const told = new AbortController()
    const statuses = new Set<string>()
    const telling = (async () => {
      for await (const change of tasks.changes({ signal: told.signal }))
        for (const { id, status } of change.type === 'all' ? change.tasks : change.task ? [change.task] : [])
          if (id.startsWith('v1-')) statuses.add(status)
    })()
    await start('new')
    await of('new').tasks.work(TYPE, pageWork('2', STEPS.toReversed()), { versions: ['2'] })
    for (const task of old) await until('it says why', async () => (await stateOf(task))[1] === 'no-worker-for-version')
    // Others are done meanwhile: of the worker's version, and of none.
    const [two, any] = await tasks.submitAll([
      { id: 'v2', type: TYPE, typeVersion: '2' },
      { id: 'any', type: TYPE },
    ])
    const byNew = STEPS.map((step) => `${step} by 2`)
    assert.deepEqual(await two?.result({ timeoutMs: END_MS }), byNew)
    assert.deepEqual(await any?.result({ timeoutMs: END_MS }), byNew)
    for (const task of old) assert.deepEqual(await stateOf(task), ['queued', 'no-worker-for-version'])
    told.abort()
    await telling.catch(() => {})
    assert.deepEqual([...statuses], ['queued'])

    await start('both')
    await of('both').tasks.work(TYPE, pageWork('1+2', STEPS.toReversed()), { versions: ['1', '2'] })
    for (const [i, task] of old.entries()) {
      // What was recorded is by version 1, whatever is asked for first now.
      const expected = STEPS.map((step, at) => `${step} by ${at < i % 3 ? '1' : '1+2'}`)
      assert.deepEqual(await task.result({ timeoutMs: END_MS }), expected)
      const { record } = await task.state()
      assert.deepEqual([record.worker, record.reason, record.losses], [of('both').self.id, undefined, 0])
    }
    const all = [...old.map(({ id }) => id), 'v2', 'any']
    assert.deepEqual(ran.toSorted(), all.flatMap((id) => STEPS.map((step) => `${id} ${step}`)).toSorted())
    assert.deepEqual(begun.filter((one) => one.startsWith('2 ')).toSorted(), ['2 any', '2 v2'])
    await stop('new')
    await stop('both')
  })

  it('a worker that is stopped in order ends what it has in work, and gives back what it cannot end', async () => {
    const held: string[] = []
    const work: WorkFunction = async ({ id, input }, { signal }) => {
      held.push(id)
      if (input === 'short') await new Promise((resolve) => setTimeout(resolve, DRAIN_MS / 2))
      else await aborted(signal)
      return 'done'
    }
    await start('leaver')
    await of('leaver').tasks.work('leave', work)
    const [short, long] = await of('ann').tasks.submitAll([
      { type: 'leave', input: 'short' },
      { type: 'leave', input: 'long' },
    ])
    await until('both are in work', () => held.length === 2)
    await stop('leaver')
    assert.equal(await short?.result({ timeoutMs: END_MS }), 'done')
    assert.deepEqual(held.length, 2)
    const { status, record } = (await long?.state()) ?? assert.fail()
    assert.deepEqual([status, record.losses, record.attempts], ['queued', 0, 1])
    await long?.cancel()
  })

  it('a node that turns from one version to another does nothing more of the first one', async () => {
    const { tasks } = of('ann')
    const first = await of('bob').tasks.work('turn', () => 'by 1', { versions: ['1'], slots: 2 })
    assert.equal(await (await tasks.submit({ type: 'turn', typeVersion: '1' })).result({ timeoutMs: END_MS }), 'by 1')
    const given = Array.from({ length: 12 }, () => tasks.submit({ type: 'turn', typeVersion: '1' }))
    await first.stop()
    const second = await of('bob').tasks.work('turn', () => 'by 2', { versions: ['2'] })
    const turned = await Promise.all(given)
    const rest = new Set<string>()
    for (const task of turned) {
      const [status, reason] = await until('it is done or says why', async () => {
        const state = await stateOf(task)
        return state[0] === 'completed' || state[1] === 'no-worker-for-version' ? state : undefined
      })
      if (status === 'completed') assert.equal(await task.result(), 'by 1')
      else {
        assert.equal(reason, 'no-worker-for-version')
        rest.add(task.id)
      }
    }
    const carl = await of('carl').tasks.work('turn', () => 'by carl', { versions: ['1'] })
    for (const task of turned)
      assert.equal(await task.result({ timeoutMs: END_MS }), rest.has(task.id) ? 'by carl' : 'by 1')
    await Promise.all([second.stop(), carl.stop()])
  })
})
