/** What tasks wait for, and what begins them by time, on nodes over loopback TCP. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createMesh, isParleyError, type Mesh, makeSecret } from '../../node/index.ts'
import { onAbort } from '../../protocols/async.ts'
import { failureOf } from '../support/until.ts'

const END_MS = 20_000
/** Also where it was before. */
const aborted = (signal: AbortSignal): Promise<void> => new Promise((resolve) => void onAbort(signal, resolve))

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
})
