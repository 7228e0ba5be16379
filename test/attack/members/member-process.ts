/** A process with one honest member of a mesh under attack. It ends at once when whoever started it is gone. */
import { appendFileSync } from 'node:fs'
import { flushCompileCache } from 'node:module'
import { createMesh, type Mesh } from '../../../node/index.ts'
import { createLog } from '../../../node/observe/log/node-log.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import { percentile } from '../../bench/statistics.ts'
import { answerQuestions } from '../../soak/answer.ts'
import { createProbe, probe } from '../../support/probe.ts'
import { createRelay, relay } from '../../support/relay.ts'
import { type BudgetLoad, spendBudget } from './budget-load.ts'
import { type CoalitionLoad, formCoalitions } from './coalition-load.ts'
import { makePlans, type PlanLoad } from './plan-load.ts'
import { haveResources, type ResourceLoad } from './resource-load.ts'
import { loadTasks, type TaskLoad, workOn } from './task-load.ts'
import type { MemberVerbs, Served } from './verbs.ts'

const CALL_MS = 5_000
const LIST_MS = 1_500
const TOPIC = 'attack.tick'
const MOST_LATENCIES = 200_000
const MOST_SOURCES = 1_000

/** The same clock in all processes of one machine. */
const sharedNowMs = (): number => performance.timeOrigin + performance.now()
const codeOf = (error: unknown): string => (isParleyError(error) ? error.code : String(error))
const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

let mesh: Mesh | undefined
let loading: { stop(): Promise<Served> } | undefined
let tasks: TaskLoad | undefined
let moreTasks: TaskLoad | undefined
let planning: PlanLoad | undefined
let allying: CoalitionLoad | undefined
let having: ResourceLoad | undefined
let spending: BudgetLoad | undefined
let latenciesMs: number[] = []
const sources = new Set<string>()
const notified: string[] = []

const own = (): Mesh => {
  if (mesh === undefined) throw new Error('no node was started in this process')
  return mesh
}

const sentAtOf = (data: unknown): number => Number(Reflect.get(Object(data), 'sentAtMs'))

/** A member that hears, serves and believes as programs do. */
const settle = async (started: Mesh): Promise<void> => {
  await started.serve(probe, createProbe(() => started.self.id).handlers)
  await started.serve(
    relay,
    createRelay((peer) => started.to(peer, relay)),
  )
  await started.events.subscribe('attack.*', ({ data, source }) => {
    if (sources.size < MOST_SOURCES) sources.add(source)
    const sentAtMs = sentAtOf(data)
    if (Number.isFinite(sentAtMs) && latenciesMs.length < MOST_LATENCIES) latenciesMs.push(sharedNowMs() - sentAtMs)
  })
  started.notifications.on('*', async ({ name, fence }) => {
    await started.fences.accept('attack', fence)
    notified.push(name)
  })
}

/** An even pace, whatever the answers take: a slow answer does not make the load less. */
const startLoad = (to: string, everyMs: number): { stop(): Promise<Served> } => {
  const client = own().to(to, probe)
  const times: number[] = []
  const running = new Set<Promise<void>>()
  let [calls, failed, published] = [0, 0, 0]
  const once = async (): Promise<void> => {
    const beganAt = performance.now()
    calls += 1
    try {
      await client.echo({ text: 'honest' }, { timeoutMs: CALL_MS })
    } catch {
      failed += 1
    }
    times.push(performance.now() - beganAt)
  }
  const timer = setInterval(() => {
    const call = once()
    running.add(call)
    void call.finally(() => running.delete(call))
    published += 1
    own()
      .events.publish(TOPIC, { sentAtMs: sharedNowMs() })
      .catch(() => {
        published -= 1
      })
  }, everyMs)
  return {
    async stop() {
      clearInterval(timer)
      await Promise.all(running)
      return { calls, failed, p99Ms: percentile(times, 0.99), slowestMs: percentile(times, 1), published }
    },
  }
}

const endOf = (load: TaskLoad | undefined, withinMs: number): ReturnType<TaskLoad['stop']> => {
  if (load === undefined) throw new Error('no tasks were begun')
  return load.stop(withinMs)
}

const verbs: MemberVerbs = {
  async start({ options, logFile, withinMs }) {
    const write = (line: string): void => appendFileSync(logFile, line)
    const log = createLog({ level: 'info', human: false, fields: { source: options.name }, write })
    const beganAt = performance.now()
    try {
      const started = await createMesh({ ...options, debug: 0, log })
      mesh = started
      await started.joined({ signal: AbortSignal.timeout(withinMs) })
      const joinedMs = performance.now() - beganAt
      await settle(started)
      setImmediate(flushCompileCache)
      const { id, addresses } = started.self
      return { facts: { id, addresses, debugUrl: started.debugUrl ?? '', joinedMs } }
    } catch (error) {
      return { refused: reasonOf(error) }
    }
  },
  async beginLoad({ to, everyMs }) {
    loading = startLoad(to, everyMs)
  },
  async endLoad() {
    const served = await loading?.stop()
    loading = undefined
    if (served === undefined) throw new Error('there is no load')
    return served
  },
  async heard() {
    const all = latenciesMs
    latenciesMs = []
    const from = [...sources]
    sources.clear()
    return { events: all.length, p99Ms: percentile(all, 0.99), slowestMs: percentile(all, 1), sources: from }
  },
  call: ({ to, withinMs }) =>
    own()
      .to(to, probe)
      .echo({ text: 'honest' }, { timeoutMs: withinMs })
      .then(() => undefined, reasonOf),
  pass: ({ to, next, withinMs }) =>
    own()
      .to(to, relay)
      .pass({ route: [{ to: next, method: 'back' }] }, { timeoutMs: withinMs })
      .then(
        () => undefined,
        (error: unknown) => `${codeOf(error)} ${isParleyError(error) ? error.reason : ''}`,
      ),
  callAny: (withinMs) =>
    own()
      .any(probe)
      .echo({ text: 'honest' }, { timeoutMs: withinMs })
      .then(() => undefined, reasonOf),
  publish: async (text) => void (await own().events.publish(TOPIC, { text })),
  work: (order) => workOn(own(), order),
  async beginTasks(order) {
    tasks = loadTasks(own(), order)
  },
  endTasks: (withinMs) => endOf(tasks, withinMs),
  async beginMoreTasks(order) {
    moreTasks = loadTasks(own(), order)
  },
  endMoreTasks: (withinMs) => endOf(moreTasks, withinMs),
  async offer(capacity) {
    await own().resources.offer(capacity)
  },
  async beginHaving(order) {
    having = haveResources(own(), order)
  },
  async endHaving() {
    return (await having?.stop()) ?? { had: 0, wrong: ['nothing was asked for'], slowestMs: 0 }
  },
  async beginSpending(order) {
    spending = spendBudget(own(), order)
  },
  async endSpending() {
    return (await spending?.stop()) ?? { had: 0, wrong: ['nothing was spent'], slowestMs: 0 }
  },
  async beginPlanning(order) {
    planning = makePlans(own(), order)
  },
  async endPlanning() {
    return (await planning?.stop()) ?? { completed: 0, wrong: ['no plan was made'], slowestMs: 0 }
  },
  async takePart() {
    own().coalitions.onCoalition(() => undefined)
  },
  async beginAllying(order) {
    allying = formCoalitions(own(), order)
  },
  async endAllying() {
    return (await allying?.stop()) ?? { formed: 0, wrong: ['no coalition was formed'], slowestMs: 0 }
  },
  schedule: (options) => own().tasks.schedule(options),
  schedules: () => own().tasks.schedules(),
  result: ({ id, withinMs }) =>
    own()
      .tasks.get(id)
      .result({ timeoutMs: withinMs })
      .then(() => 'ok', codeOf),
  async status() {
    const { meshId, epoch, leader, acting, role, voters, version, quorum } = own().coordinator.status()
    return { meshId, epoch, leader, acting, seat: role, voters, version, quorum }
  },
  put: ({ key, value, withinMs }) =>
    own()
      .journal.put(key, value, { timeoutMs: withinMs })
      .then(() => undefined, reasonOf),
  async get({ key, withinMs }) {
    try {
      return { value: (await own().journal.get(key, { timeoutMs: withinMs }))?.value }
    } catch (error) {
      return { failed: reasonOf(error) }
    }
  },
  async list(prefix) {
    const { records } = await own().journal.list(prefix, { consistency: 'local', timeoutMs: LIST_MS })
    return records.map(({ key, value }) => ({ key, value }))
  },
  agents: async () =>
    own()
      .directory.agents()
      .map(({ name }) => name),
  members: async () =>
    own()
      .members()
      .map(({ id }) => id),
  notified: async () => notified,
  reload: (changes) =>
    own()
      .reload(changes)
      .then(() => undefined, reasonOf),
}

process.once('SIGTERM', () => {
  void (mesh?.stop() ?? Promise.resolve()).finally(() => process.exit(0))
})
answerQuestions({ ...verbs })
