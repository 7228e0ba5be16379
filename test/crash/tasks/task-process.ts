/** A process with one node of a crash run of tasks. It ends at once when whoever started it is gone. */
import { appendFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { createMesh, isParleyError, type Mesh } from '../../../node/index.ts'
import { createLog } from '../../../node/observe/log/node-log.ts'
import { answerQuestions } from '../../soak/answer.ts'
import { startedOrRefused } from '../starting.ts'
import { hashOf, LARGE_TYPE, largeBytes, largeWork } from './large.ts'
import { dependenciesOf, EFFECTS, TASK_TYPE, taskId } from './plan.ts'
import type { TaskNote, TaskVerbs } from './verbs.ts'

/** With these some 12 tasks are in work at a time, and each takes about a second. */
const SLOTS = 2
const EFFECT_MS = 600
const AT_ONCE = 16

let started: Mesh | undefined
const own = (): Mesh => {
  if (started === undefined) throw new Error('no node was started in this process')
  return started
}
const tell = (note: TaskNote): void => void process.send?.({ note })

/** Effects that wait for the outside. */
const waiting = new Map<number, () => void>()
let serial = 0
const outside = (task: string, key: string, fence: number): Promise<void> =>
  new Promise((resolve) => {
    serial += 1
    waiting.set(serial, resolve)
    tell({ type: 'run', run: { serial, task, key, fence } })
  })

const work = (mesh: Mesh) =>
  mesh.tasks.work(
    TASK_TYPE,
    async ({ id, input }, ctx) => {
      let sum = Number(input)
      for (let i = 1; i <= EFFECTS; i += 1) {
        await delay(Math.random() * EFFECT_MS)
        sum += await ctx.effect(`step-${i}`, async ({ idempotencyKey, fence }) => {
          await outside(id, idempotencyKey, fence.index)
          return i
        })
        tell({ type: 'recorded', key: `${id}/step-${i}` })
      }
      tell({ type: 'completed', task: id })
      return sum
    },
    { slots: SLOTS },
  )

const submitOne = async (mesh: Mesh, n: number, on: readonly number[]): Promise<void> => {
  for (;;) {
    try {
      await mesh.tasks.submit({ id: taskId(n), type: TASK_TYPE, input: n, dependencies: on.map(taskId) })
      return
    } catch (error) {
      // Nobody coordinates for a moment, or those before are not known yet.
      const isPassing = isParleyError(error, 'COM001', 'COM002', 'COM003', 'STA001', 'STA003')
      if (!isPassing || isParleyError(error, 'MSG001')) throw error
      await delay(100)
    }
  }
}

const verbs: TaskVerbs = {
  async start({ options, logFile, works }) {
    const write = (line: string): void => appendFileSync(logFile, line)
    const log = createLog({ level: 'info', human: false, fields: { source: options.name ?? '' }, write })
    return await startedOrRefused(async () => {
      const mesh = await createMesh({ ...options, log })
      started = mesh
      const failed = (error: unknown): void => log.error('it does not work', { error })
      if (works) {
        work(mesh).catch(failed)
        mesh.tasks.work(LARGE_TYPE, largeWork(outside, tell), { slots: 1 }).catch(failed)
      }
      return mesh
    })
  },
  async submit(plan) {
    const mesh = own()
    const all = dependenciesOf(plan)
    let next = 0
    const submitter = async (): Promise<void> => {
      while (next < all.length) {
        const n = next
        next += 1
        await submitOne(mesh, n, all[n] ?? [])
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, submitter))
  },
  async submitLarge({ id, bytes, seed }) {
    const at = performance.now()
    const input = largeBytes({ bytes, seed })
    await own().tasks.submit({ id, type: LARGE_TYPE, input, metadata: { id, bytes, seed } }, { timeoutMs: 60_000 })
    return performance.now() - at
  },
  async readLarge({ id, timeoutMs }) {
    const task = own().tasks.get(id)
    await task.ended({ timeoutMs })
    const at = performance.now()
    const result = await task.result<Uint8Array>({ timeoutMs })
    const ms = performance.now() - at
    return { hash: hashOf(result), holders: [...((await task.state()).storedResult?.holders ?? [])], ms }
  },
  async status() {
    const { acting, epoch, quorum } = own().coordinator.status()
    return { acting, epoch, quorum }
  },
  ends: ({ ids, timeoutMs }) =>
    Promise.all(
      ids.map(async (id) => {
        const { status, result, record } = await own().tasks.get(id).ended({ timeoutMs })
        const { attempts, losses, reason } = record
        return { id, status, result, attempts, losses, ...(reason !== undefined && { reason }) }
      }),
    ),
  async ran(done) {
    waiting.get(done)?.()
    waiting.delete(done)
  },
  figures: async () => ({ ...own().tasks.counts() }),
}

process.on('SIGTERM', () => {
  void Promise.resolve(started?.stop()).then(() => process.exit(0))
})
answerQuestions(verbs)
