/**
 * The routes of the control socket (control-schemas.ts lists them). Whoever gets here is the user of this node: the socket
 * lies where nobody else can reach it.
 */
import { Hono } from 'hono'
import * as z from 'zod'
import { isParleyError, ParleyError } from '../../protocols/errors.ts'
import type { Log, Metrics } from '../../protocols/port.ts'
import type { Mesh } from '../api.ts'
import * as debugSchemas from '../observe/debug/debug-schemas.ts'
import { PartSchema } from '../observe/debug/part-schemas.ts'
import { partView } from '../observe/debug/routes/debug-routes.ts'
import { addMessageRoutes } from '../observe/debug/routes/message-routes.ts'
import { jsonResponse, problemResponse, respond } from '../observe/http/http-responses.ts'
import { thisProcess } from '../platform/process-identity.ts'
import { BenchSchema } from './bench-schemas.ts'
import { BudgetsQuerySchema, BudgetTreeQuerySchema } from './budget-schemas.ts'
import * as coalitionSchemas from './coalition-schemas.ts'
import * as schemas from './control-schemas.ts'
import type { ControlStreams } from './control-streams.ts'
import { runBench } from './handlers/run-bench.ts'
import { runCall } from './handlers/run-call.ts'
import { publish, restoreRaftMember, transfer, withdrawRaftMember } from './handlers/run-commands.ts'
import * as journal from './handlers/run-journal.ts'
import { send } from './handlers/run-send.ts'
import { runSubscribe } from './handlers/run-subscribe.ts'
import * as tasks from './handlers/run-tasks.ts'
import {
  cancelPlan,
  describe,
  dissolveCoalition,
  formCoalition,
  leaveCoalition,
  listCoalitions,
  listPlans,
  makePlan,
  outbox,
  showAllocations,
  showBudgets,
  showBudgetTree,
  showPlan,
  showResources,
  topView,
} from './handlers/run-views.ts'
import * as journalSchemas from './journal-schemas.ts'
import { CancelPlanSchema, MakePlanSchema, PlanQuerySchema, PlansQuerySchema } from './plan-schemas.ts'
import { ResourcesQuerySchema } from './resource-schemas.ts'
import * as taskSchemas from './task-schemas.ts'

export interface ControlDeps {
  mesh(): Mesh
  readonly views: debugSchemas.DebugSource
  /** Has the node stop in order; the answer is on its way then. */
  stop(): void
  readonly log: Log
  readonly metrics: Pick<Metrics, 'counter' | 'gauge'>
}

const STATUS: Partial<Record<string, number>> = {
  MSG001: 400,
  MSG002: 400,
  STA001: 404,
  STA003: 409,
  COM001: 504,
  COM002: 503,
  COM003: 503,
  COM004: 503,
  SEC001: 403,
  SEC002: 403,
}

const failure = ({ code, message, hint, details }: ParleyError): Response =>
  problemResponse(STATUS[code] ?? 500, message, hint ?? "look at this node's log", undefined, {
    code,
    ...(details.reason === schemas.NO_AGENT && { reason: schemas.NO_AGENT }),
  })

const NDJSON = 'application/x-ndjson'

/** @throws MSG001 */
const read = <S extends z.ZodType>(schema: S, value: unknown): z.output<S> => {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const what = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`.replace(/^: /, ''))
  throw new ParleyError('MSG001', `the request cannot be used: ${what.join('; ')}`, {
    hint: 'the command and the node may be of different versions: see `parley --version` and `parley id`',
  })
}

/** @returns undefined for what is not JSON @throws MSG001 */
const bodyOf = async (request: Request): Promise<unknown> => {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of request.body ?? []) {
    bytes += chunk.length
    if (bytes > schemas.MAX_BODY_BYTES) {
      throw new ParleyError('MSG001', `the request has more than ${schemas.MAX_BODY_BYTES} bytes`, {
        hint: 'send it in parts',
      })
    }
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch {
    return undefined
  }
}

/** By path. */
const actionsOf = (deps: ControlDeps): Record<string, (input: unknown) => unknown> => ({
  '/api/publish': (input) => publish(deps.mesh(), read(schemas.PublishSchema, input)),
  '/api/send': (input) => send(deps.mesh(), read(schemas.SendSchema, input)),
  '/api/coordinator/transfer': (input) => transfer(deps.mesh(), read(schemas.TransferSchema, input)),
  '/api/seat/give-up': (input) => withdrawRaftMember(deps.mesh(), read(schemas.RaftMemberSchema, input)),
  '/api/seat/take': (input) => restoreRaftMember(deps.mesh(), read(schemas.RaftMemberSchema, input)),
  '/api/outbox': (input) => outbox(deps.mesh(), read(schemas.OutboxQuerySchema, input)),
  '/api/describe': (input) => describe(deps.mesh(), deps.views, read(schemas.DescribeQuerySchema, input)),
  '/api/journal/get': (input) => journal.getRecord(deps.mesh(), read(journalSchemas.JournalGetSchema, input)),
  '/api/journal/list': (input) => journal.listRecords(deps.mesh(), read(journalSchemas.JournalListSchema, input)),
  '/api/journal/put': (input) => journal.putRecord(deps.mesh(), read(journalSchemas.JournalPutSchema, input)),
  '/api/journal/delete': (input) => journal.deleteRecord(deps.mesh(), read(journalSchemas.JournalDeleteSchema, input)),
  '/api/tasks/list': (input) => tasks.listTasks(deps.mesh(), read(taskSchemas.TaskListSchema, input)),
  '/api/tasks/show': (input) => tasks.showTask(deps.mesh(), read(taskSchemas.TaskShowSchema, input)),
  '/api/tasks/submit': (input) => tasks.submitTask(deps.mesh(), read(taskSchemas.TaskSubmitSchema, input)),
  '/api/tasks/schedule': (input) => tasks.makeSchedule(deps.mesh(), read(taskSchemas.ScheduleMakeSchema, input)),
  '/api/tasks/schedules': (input) => tasks.listSchedules(deps.mesh(), read(taskSchemas.SchedulesListSchema, input)),
  '/api/tasks/schedule-control': (input) =>
    tasks.controlSchedule(deps.mesh(), read(taskSchemas.ScheduleControlSchema, input)),
  '/api/tasks/retry': (input) => tasks.retryTask(deps.mesh(), read(taskSchemas.TaskRetrySchema, input)),
  '/api/tasks/control': (input) => tasks.controlTask(deps.mesh(), read(taskSchemas.TaskControlSchema, input)),
  '/api/plans/list': (input) => listPlans(deps.mesh(), read(PlansQuerySchema, input)),
  '/api/plans/make': (input) => makePlan(deps.mesh(), read(MakePlanSchema, input)),
  '/api/plans/show': (input) => showPlan(deps.mesh(), read(PlanQuerySchema, input)),
  '/api/plans/cancel': (input) => cancelPlan(deps.mesh(), read(CancelPlanSchema, input)),
  '/api/coalitions/list': (input) => listCoalitions(deps.mesh(), read(coalitionSchemas.CoalitionsQuerySchema, input)),
  '/api/coalitions/form': (input) => formCoalition(deps.mesh(), read(coalitionSchemas.FormCoalitionSchema, input)),
  '/api/coalitions/leave': (input) => leaveCoalition(deps.mesh(), read(coalitionSchemas.LeaveCoalitionSchema, input)),
  '/api/coalitions/dissolve': (input) =>
    dissolveCoalition(deps.mesh(), read(coalitionSchemas.DissolveCoalitionSchema, input)),
  '/api/resources/status': (input) => showResources(deps.mesh(), read(ResourcesQuerySchema, input)),
  '/api/resources/allocations': (input) => showAllocations(deps.mesh(), read(ResourcesQuerySchema, input)),
  '/api/budgets/list': (input) => showBudgets(deps.mesh(), read(BudgetsQuerySchema, input)),
  '/api/budgets/tree': (input) => showBudgetTree(deps.mesh(), read(BudgetTreeQuerySchema, input)),
  async '/api/stop'() {
    const self = await thisProcess()
    setImmediate(deps.stop)
    return schemas.ProcessSchema.parse(self)
  },
})

export const createControlRoutes = (deps: ControlDeps, streams: ControlStreams): Hono => {
  const { views } = deps
  const missed = deps.metrics.counter('control_events_missed_total', 'Events that readers of the control socket missed')
  const refused = deps.metrics.counter('control_refused_total', 'Requests that the control socket refused', ['reason'])

  const stream = (run: (signal: AbortSignal) => AsyncIterable<unknown>): Response => {
    const opened = streams.open(run)
    if (opened !== undefined) return respond(opened, NDJSON)
    refused({ reason: 'streams' })
    const hint = 'end one of the commands that wait for something, or try again in a few seconds'
    return problemResponse(503, 'as many streams are open as are allowed', hint, {}, { code: 'COM003' })
  }

  const reads: Record<string, () => unknown> = {
    '/api/self': () => debugSchemas.SelfSchema.parse(views.self()),
    '/api/peers': () => ({ peers: z.array(debugSchemas.PeerSchema).parse(views.peers()) }),
    '/api/agents': () => ({ agents: z.array(debugSchemas.AgentSchema).parse(views.agents()) }),
    '/api/topics': () => ({ topics: z.array(debugSchemas.TopicSchema).parse(views.topics()) }),
    '/api/graph': () => debugSchemas.GraphSchema.parse(views.graph()),
    '/api/breakers': () => ({ breakers: z.array(debugSchemas.CallBreakerSchema).parse(views.breakers()) }),
    '/api/parts': () => ({ parts: z.array(PartSchema).parse(views.parts.list()) }),
    '/api/readiness': () => debugSchemas.ReadinessSchema.parse(views.readiness()),
    '/api/coordinator': async () => debugSchemas.CoordinatorSchema.parse(await views.coordinator()),
    '/api/process': async () =>
      schemas.ProcessSchema.parse({ ...(await thisProcess()), debugUrl: deps.mesh().debugUrl }),
    '/api/top': () => schemas.TopSchema.parse(topView(deps.mesh(), views)),
  }
  const feeds: Record<string, (input: unknown, signal: AbortSignal) => AsyncIterable<unknown>> = {
    '/api/call': (input, signal) => runCall(deps.mesh(), read(schemas.CallSchema, input), { signal, mayBeSelf: true }),
    '/api/subscribe': (input, signal) =>
      runSubscribe(deps.mesh(), read(schemas.SubscribeSchema, input), { signal, missed: (count) => missed({}, count) }),
    '/api/journal/watch': (input, signal) =>
      journal.watchRecords(deps.mesh(), read(journalSchemas.JournalWatchSchema, input), signal),
    '/api/tasks/watch': (input, signal) =>
      tasks.watchTasks(deps.mesh(), read(taskSchemas.TaskWatchSchema, input), signal),
    '/api/bench': (input, signal) => runBench(deps.mesh(), read(BenchSchema, input), signal),
  }

  const app = new Hono()
  for (const [path, show] of Object.entries(reads)) app.get(path, async () => jsonResponse(await show()))
  app.get('/api/parts/view', (c) => partView(views.parts, c.req.query()))
  for (const [path, act] of Object.entries(actionsOf(deps))) {
    app.post(path, async (c) => jsonResponse(await act(await bodyOf(c.req.raw))))
  }
  for (const [path, run] of Object.entries(feeds)) {
    app.post(path, async (c) => {
      const input = await bodyOf(c.req.raw)
      return stream((signal) => run(input, signal))
    })
  }
  addMessageRoutes(app, { messages: views.messages, key: undefined, isTrusted: true, refused: () => {} })
  app.notFound((c) =>
    problemResponse(404, `this node has no ${c.req.method} ${c.req.path.slice(0, 200)}`, 'is it of an older version?'),
  )
  app.onError((error, c) => {
    if (isParleyError(error)) return failure(error)
    deps.log.error('the control socket failed', { path: c.req.path, error })
    return problemResponse(500, 'this could not be done', "look at this node's log for the reason")
  })
  return app
}
