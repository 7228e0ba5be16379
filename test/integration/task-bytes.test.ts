/** Values of tasks above what the journal takes, on nodes over loopback TCP: who holds them, who gets them, what is lost. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createMesh, isParleyError, type Mesh, makeSecret } from '../../node/index.ts'
import { taskBytesProtocol } from '../../protocols/task/bytes/bytes-contract.ts'
import { readStored } from '../../protocols/task/bytes/stored-bytes.ts'
import type { TaskHandle } from '../../protocols/task/client/task-api.ts'
import { failureOf, until } from '../support/until.ts'

const END_MS = 30_000
const MIB = 1024 * 1024
const LARGE = 8 * MIB
const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const codeOf = async (promise: Promise<unknown>): Promise<string> => {
  const error = await failureOf(promise)
  return isParleyError(error) ? `${error.code} ${String(error.details.reason ?? '')}`.trim() : String(error)
}

const drain = async (parts: AsyncIterable<unknown>): Promise<void> => {
  for await (const _part of parts);
}
/** Who holds the input of an open task. */
const holdersOf = async (task: TaskHandle): Promise<readonly string[]> =>
  readStored((await task.recorded())?.input)?.holders ?? []

describe('large values of tasks, between nodes', { timeout: 180_000 }, () => {
  const secret = makeSecret()
  const meshes = new Map<string, Mesh>()
  let folder = ''

  const start = async (name: string, isDiskless = false): Promise<Mesh> => {
    const known = [...meshes.values()].flatMap(({ self }) => self.addresses)
    const mesh = await createMesh({
      ...{ name, secret, join: known, log: 'silent', tasks: { holderAwayMs: 2_000 } },
      ...(isDiskless ? {} : { dataDir: join(folder, name), coordination: { expect: 3 } }),
    })
    meshes.set(name, mesh)
    return mesh
  }
  const of = (name: string): Mesh => {
    const mesh = meshes.get(name)
    if (mesh === undefined) throw new Error(`there is no ${name}`)
    return mesh
  }
  const stop = async (name: string): Promise<void> => {
    await of(name).stop()
    meshes.delete(name)
  }
  const filesOf = async (name: string): Promise<number> =>
    (await readdir(join(folder, name, 'bytes')).catch(() => [])).length

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-task-bytes-'))
    for (const name of ['ann', 'bob', 'carl', 'dan']) await start(name)
    for (const name of ['eve', 'fay']) await start(name, true)
    await of('eve').coordinator.found({ timeoutMs: END_MS })
  })
  after(async () => {
    await Promise.all([...meshes.values()].map((mesh) => mesh.stop()))
    await rm(folder, { recursive: true, force: true })
  })

  it('input, effect, checkpoint and a result of 8 MiB, of nodes without a disk; all of it is there when both are gone', async () => {
    const input = { pages: Array.from({ length: 2_000 }, (_, i) => `page ${i} ${'x'.repeat(500)}`) }
    const result = randomBytes(LARGE)
    const seen: unknown[] = []
    const work = await of('fay').tasks.work('large', async ({ input: given, attempt, checkpoint }, task) => {
      seen.push([attempt, hashOf(Buffer.from(JSON.stringify(given))), checkpoint instanceof Uint8Array])
      if (attempt === 1) {
        await task.checkpoint(Buffer.alloc(MIB, 7))
        await task.effect('read', () => 'y'.repeat(100_000))
        throw new Error('once more')
      }
      const text = await task.effect('read', () => 'it ran again')
      seen.push(text.length)
      return result
    })
    const retry = { delayMs: 50 }
    const task = await of('eve').tasks.submit({ id: 'large-1', type: 'large', input, retry })
    const got = await task.result<Uint8Array>({ timeoutMs: END_MS })
    assert.equal(hashOf(got), hashOf(result))
    const inputHash = hashOf(Buffer.from(JSON.stringify(input)))
    assert.deepEqual(seen, [[1, inputHash, false], [2, inputHash, true], 100_000])

    const { storedResult, result: none } = await of('ann').tasks.get('large-1').state()
    assert.equal(none, undefined)
    assert.equal(storedResult?.holders.length, 3)
    assert.deepEqual([storedResult?.size, storedResult?.hash, storedResult?.form], [LARGE, hashOf(result), 'binary'])
    await work.stop()
    await Promise.all([stop('fay'), stop('eve')])
    const read = await of('dan').tasks.get('large-1').result<Uint8Array>({ timeoutMs: END_MS })
    assert.equal(hashOf(read), hashOf(result))
  })

  it('who has nothing to do with a task gets nothing of it by its id and hash alone', async () => {
    const work = await of('ann').tasks.work('secret', ({ input }) => (input as string).length)
    const task = await of('ann').tasks.submit({
      id: 'secret-1',
      type: 'secret',
      input: 'z'.repeat(50_000),
      deadline: Date.now() + 60_000,
    })
    await task.result({ timeoutMs: END_MS })
    await work.stop()
    const paused = await of('ann').tasks.submit({ id: 'secret-2', type: 'nobody', input: 'q'.repeat(50_000) })
    const hash = hashOf(Buffer.from(JSON.stringify('q'.repeat(50_000))))
    const holders = [of('ann').self.id, of('bob').self.id, of('carl').self.id, of('dan').self.id]
    const place = { task: 'secret-2', row: 'input', hash }
    const asked = await Promise.all(
      holders.map(async (peer) => {
        const from = peer === of('dan').self.id ? of('carl') : of('dan')
        const parts = from.port.to(peer, taskBytesProtocol).fetch(place)
        return codeOf(drain(parts))
      }),
    )
    // One of them does not hold it.
    assert.deepEqual(asked.sort(), ['SEC002', 'SEC002', 'SEC002', 'STA001'])
    // A task of one's own that names the same bytes gives no right to them.
    const [holder = ''] = (await holdersOf(paused)).filter((peer) => peer !== of('dan').self.id)
    const mine = await of('dan').tasks.submit({ id: 'thief', type: 'nobody', input: 1 })
    const stolen = of('dan')
      .port.to(holder, taskBytesProtocol)
      .fetch({ ...place, task: mine.id })
    assert.equal(await codeOf(drain(stolen)), 'STA001')
    // To be asked to hold bytes gives them to nobody who has none.
    const claimed = of('dan')
      .port.to(holder, taskBytesProtocol)
      .hold({ ...place, task: mine.id, size: 50_002 })
    assert.equal(await codeOf(claimed), 'STA001')
    await Promise.all([paused.cancel(), mine.cancel()])
  })

  it('what cannot be kept is refused where it is given', async () => {
    const { tasks } = of('ann')
    const submit = (input: unknown): Promise<string> => codeOf(tasks.submit({ type: 'nobody', input: input as null }))
    assert.equal(await submit({ 'parley:bytes': { hash: 'x' } }), 'MSG001')
    assert.equal(await submit(new Uint8Array(64 * MIB + 1)), 'MSG001')
    assert.equal(await submit(new Map()), 'MSG001')
    assert.equal(await codeOf(tasks.submit({ id: 'no id', type: 'nobody', input: 'x'.repeat(100_000) })), 'MSG001')
  })

  it('the same submission is the same task, whoever holds its input', async () => {
    const given = { id: 'twice', type: 'nobody', input: 'w'.repeat(30_000) }
    await of('ann').tasks.submit(given)
    await of('ann').tasks.submit(given)
    assert.equal(await codeOf(of('ann').tasks.submit({ ...given, input: 'v'.repeat(30_000) })), 'STA003 exists')
    await of('ann').tasks.get('twice').cancel()
  })

  it('where a holder is gone another one has a copy soon', async () => {
    const task = await of('ann').tasks.submit({ id: 'moving', type: 'nobody', input: 'm'.repeat(200_000) })
    const first = await holdersOf(task)
    assert.equal(first.length, 3)
    const [gone] = ['bob', 'carl', 'dan'].filter((name) => first.includes(of(name).self.id))
    const spare = ['bob', 'carl', 'dan'].find((name) => !first.includes(of(name).self.id))
    assert.ok(gone !== undefined && spare !== undefined)
    const goneId = of(gone).self.id
    await stop(gone)
    await until('another holder', async () => !(await holdersOf(task)).includes(goneId), END_MS)
    assert.ok((await holdersOf(task)).includes(of(spare).self.id))
    assert.ok((await filesOf(spare)) > 0)
    await task.cancel()
    await start(gone)
  })

  it('a task whose input nobody holds any more fails, and says so', async () => {
    const ids = ['bob', 'carl', 'dan'].map((name) => of(name).self.id)
    const stored = { hash: 'a'.repeat(64), size: 20_000, form: 'json', holders: ids }
    const work = await of('ann').tasks.work('blind', () => 'done')
    // As a submission would have it whose holders have lost everything.
    const { changeTasks } = await import('../../protocols/task/journal/task-kinds.ts')
    const retry = { max: 1, delayMs: 50, maxDelayMs: 50 }
    const task = { id: 'blind-1', type: 'blind', priority: 1, retry, digest: '', input: { 'parley:bytes': stored } }
    await of('ann').journal.submit(changeTasks, { changes: [{ do: 'submit', tasks: [task] }] })
    const { status, error, record } = await of('ann').tasks.get('blind-1').ended({ timeoutMs: END_MS })
    assert.deepEqual([status, error?.code, error?.details?.reason], ['failed', 'STA001', 'input-lost'])
    assert.match(record.reason ?? '', /^input-lost/)
    await work.stop()
  })
})
