/** A process with one node of a crash run of tasks. It ends at once when whoever started it is gone. */
import { createHash } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { createMesh, isParleyError, type Mesh } from '../../../node/index.ts'
import { createLog } from '../../../node/observe/log/node-log.ts'
import { DONE, ENDED } from '../../../protocols/task/task-record.ts'
import { answerQuestions } from '../../soak/answer.ts'
import { type Spending, startSpending } from '../budgets/spending.ts'
import type { Refusal } from '../messages.ts'
import { type Holding, startHolding } from '../resources/holding.ts'
import { startedOrRefused } from '../starting.ts'
import { hashOf, LARGE_TYPE, largeBytes } from './large.ts'
import { dependenciesOf, TASK_TYPE, taskId } from './plan.ts'
import type { PlanEnd, TaskNote, TaskVerbs } from './verbs.ts'
import { WORKS } from './works.ts'

const AT_ONCE = 16
const TRY_MS = 15_000
/** Moves that a plan keeps. */
const KEPT_MOVES = 16

let started: Mesh | undefined
let holding: Holding | undefined
let spending: Spending | undefined
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

/** Until it is taken: nobody coordinates for a moment, or what it waits for is not known yet. */
const persist = async (submit: () => Promise<unknown>): Promise<void> => {
  for (;;) {
    try {
      await submit()
      return
    } catch (error) {
      const isPassing = isParleyError(error, 'COM001', 'COM002', 'COM003', 'STA001', 'STA003')
      if (!isPassing || isParleyError(error, 'MSG001')) throw error
      await delay(100)
    }
  }
}

const refusalOf = async (done: Promise<unknown>): Promise<Refusal | undefined> => {
  try {
    await done
    return undefined
  } catch (error) {
    if (!isParleyError(error)) throw error
    const { code, message, hint = '', details } = error
    return { code, message, hint, reason: String(details.reason) }
  }
}

const rowsOf = async (mesh: Mesh, collection: string) => {
  const rows: { readonly key: string; readonly value: unknown }[] = []
  for (;;) {
    const page = await mesh.journal.rows(collection, { after: rows.at(-1)?.key ?? '', consistency: 'local' })
    rows.push(...page.rows)
    if (!page.more || page.rows.length === 0) return rows
  }
}

const planEnd = async ({ plans, tasks }: Mesh, id: string, timeoutMs: number): Promise<PlanEnd> => {
  const plan = await (await plans.get(id, { timeoutMs })).ended({ timeoutMs })
  const { outcome = '', reason = '', revision, moves } = plan
  const done = plan.tasks.map(async (task) => {
    const { worker: by, assignee: agent } = (await tasks.get(task).state({ timeoutMs })).record
    return { task, ...(agent !== undefined && { agent }), ...(by !== undefined && { by }) }
  })
  return {
    ...{ id, outcome, reason, revision, done: await Promise.all(done) },
    adjusted: moves.filter(({ trigger }) => trigger === 'adjustment_needed').length,
    epochs: new Set(moves.map(({ epoch }) => epoch)).size,
    moves: moves.map(({ trigger, state }, i) => {
      const before = i === 0 ? (moves.length < KEPT_MOVES ? 'idle' : undefined) : moves[i - 1]?.state
      return { trigger, state, ...(before !== undefined && { before }) }
    }),
  }
}

const verbs: TaskVerbs = {
  async start({ options, logFile, types }) {
    const write = (line: string): void => appendFileSync(logFile, line)
    const log = createLog({ level: 'info', human: false, fields: { source: options.name ?? '' }, write })
    return await startedOrRefused(async () => {
      const mesh = await createMesh({ ...options, log })
      started = mesh
      const failed = (error: unknown): void => log.error('it does not work', { error })
      for (const type of types) WORKS[type]?.(mesh.tasks, { outside, tell }).catch(failed)
      return mesh
    })
  },
  async submit(plan) {
    const mesh = own()
    const { from = 0 } = plan
    const all = dependenciesOf(plan)
    let next = 0
    const submitter = async (): Promise<void> => {
      while (next < all.length) {
        const n = next
        next += 1
        const dependencies = all[n]?.map((on) => taskId(from + on)) ?? []
        await persist(() => mesh.tasks.submit({ id: taskId(from + n), type: TASK_TYPE, input: from + n, dependencies }))
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
  submitOne: (task) => persist(() => own().tasks.submit(task)),
  schedule: (options) => refusalOf(own().tasks.schedule(options, { timeoutMs: TRY_MS })),
  submitBytes: ({ id, bytes }) =>
    refusalOf(own().tasks.submit({ id, type: 'nobody', input: Buffer.alloc(bytes) }, { timeoutMs: TRY_MS })),
  schedules: () => own().tasks.schedules({ timeoutMs: TRY_MS }),
  async pauseSchedules() {
    const { tasks } = own()
    for (const { id } of await tasks.schedules()) await persist(() => tasks.pauseSchedule(id))
  },
  async publish({ topic, order, serial }) {
    await own().events.publish(topic, { order, serial })
  },
  async isWaiting(id) {
    return (await own().tasks.get(id).state({ timeoutMs: TRY_MS })).status === 'input_required'
  },
  async status() {
    const { acting, epoch, quorum, role } = own().coordinator.status()
    return { acting, epoch, quorum, role }
  },
  async journal() {
    const mesh = own()
    const { version, records } = await mesh.journal.list('', { consistency: 'local' })
    const hash = createHash('sha256')
    for (const { key, version: of, term, value } of records) hash.update(`${JSON.stringify([key, of, term, value])}\n`)
    for (const collection of [DONE, ENDED])
      for (const { key, value } of await rowsOf(mesh, collection)) hash.update(`${JSON.stringify([key, value])}\n`)
    return { version, digest: hash.digest('hex') }
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
  async hold() {
    holding ??= startHolding(own(), tell)
  },
  endHolding: async () => holding?.end() ?? { had: 0, denied: 0 },
  async beginSpending(order) {
    spending ??= startSpending(own(), order)
  },
  endSpending: async () => spending?.end() ?? { spends: 0, refused: 0 },
  openBudgets: async () => {
    const all = await own().budgets.list({ timeoutMs: TRY_MS })
    return all.filter(({ status }) => status !== 'closed').map(({ id }) => id)
  },
  makePlan: ({ id, type, tasks }) =>
    persist(() => own().plans.make({ id, goal: id, tasks: tasks.map((task) => ({ ...task, type })) })),
  planEnds: ({ ids, timeoutMs }) => Promise.all(ids.map((id) => planEnd(own(), id, timeoutMs))),
  openAllocations: async () => {
    const all = await own().resources.list({ timeoutMs: TRY_MS })
    return all.filter(({ status }) => status === 'waiting' || status === 'allocated').map(({ id }) => id)
  },
}

process.on('SIGTERM', () => {
  void Promise.resolve(started?.stop()).then(() => process.exit(0))
})
answerQuestions(verbs)
