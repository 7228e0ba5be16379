/**
 * What travels over the control socket for `parley tasks`.
 *
 * | Path | |
 * |---|---|
 * | POST `/api/tasks/list`, `/api/tasks/show`, `/api/tasks/submit`, `/api/tasks/control`, `/api/tasks/retry` | |
 * | POST `/api/tasks/watch` | a stream |
 * | POST `/api/tasks/schedule`, `/api/tasks/schedules`, `/api/tasks/schedule-control` | |
 */
import * as z from 'zod'
import { AmountsSchema } from '../../protocols/budget/amounts.ts'
import { UnitsSchema } from '../../protocols/resource/units.ts'
import { TASK_STATUSES } from '../../protocols/task/task-status.ts'
import { PRIORITIES } from '../../protocols/wire/envelope.ts'
import { TimeoutSchema } from './control-schemas.ts'

const Id = z.string().min(1).max(128)
const Status = z.enum(TASK_STATUSES)

export const TaskListSchema = z.strictObject({ status: Status.optional(), timeoutMs: TimeoutSchema })
export const TaskShowSchema = z.strictObject({ id: Id, timeoutMs: TimeoutSchema })
export const TaskSubmitSchema = z.strictObject({
  id: Id.optional(),
  type: z.string().min(1).max(64),
  typeVersion: z.string().min(1).max(32).optional(),
  input: z.unknown().optional(),
  priority: z.enum(PRIORITIES).optional(),
  /** Milliseconds from now. */
  withinMs: z.int().positive().optional(),
  attemptTimeoutMs: z.int().positive().optional(),
  /** Resources of its worker by name, in whole units. */
  requires: UnitsSchema.optional(),
  after: z.array(Id).max(64).optional(),
})
export const TaskControlSchema = z.strictObject({
  id: Id,
  action: z.enum(['pause', 'resume', 'cancel', 'signal']),
  reason: z.string().max(256).optional(),
  /** Of a signal. */
  name: z.string().min(1).max(64).optional(),
  value: z.unknown().optional(),
})
const Misfire = z.union([z.enum(['one', 'skip']), z.object({ all: z.int().positive() })])
const Overlap = z.enum(['allow', 'skip'])
const Times = {
  cron: z.string().max(128).optional(),
  zone: z.string().max(64).optional(),
  everyMs: z.int().positive().optional(),
  /** Milliseconds since 1970, as all times here. */
  at: z.number().nonnegative().optional(),
  until: z.number().nonnegative().optional(),
}
export const ScheduleMakeSchema = z.strictObject({
  id: Id,
  ...Times,
  misfire: Misfire.optional(),
  overlap: Overlap.optional(),
  task: TaskSubmitSchema.omit({ id: true, after: true }),
  timeoutMs: TimeoutSchema,
})
export const SchedulesListSchema = z.strictObject({ timeoutMs: TimeoutSchema })
export const ScheduleControlSchema = z.strictObject({ id: Id, action: z.enum(['remove', 'pause', 'resume']) })

export const ScheduleShownSchema = z.object({
  id: z.string(),
  owner: z.string(),
  type: z.string(),
  ...Times,
  misfire: Misfire,
  overlap: Overlap,
  nextAt: z.number().optional(),
  lastAt: z.number().optional(),
  lastTask: z.string().optional(),
  fired: z.number(),
  held: z.number(),
  isPaused: z.boolean(),
})
export type ScheduleShown = z.output<typeof ScheduleShownSchema>
export const SchedulesListedSchema = z.object({ schedules: z.array(ScheduleShownSchema) })
export const ScheduleDoneSchema = z.object({ id: z.string() })

export const TaskRetrySchema = z.strictObject({ id: Id, as: Id.optional(), timeoutMs: TimeoutSchema })
export const TaskWatchSchema = z.strictObject({ id: Id.optional() })

export const TaskShownSchema = z.object({
  id: z.string(),
  status: Status,
  version: z.number(),
  type: z.string(),
  typeVersion: z.string().optional(),
  priority: z.enum(PRIORITIES),
  submitter: z.string(),
  submittedAt: z.number(),
  changedAt: z.number(),
  attempts: z.number(),
  failures: z.number(),
  losses: z.number(),
  worker: z.string().optional(),
  deadline: z.number().optional(),
  attemptTimeoutMs: z.number().optional(),
  requires: UnitsSchema.optional(),
  /** What it was given of that, while a worker has it. */
  allocation: z.string().optional(),
  /** What its attempts may use, have used, and have left. */
  budget: z.object({ amounts: AmountsSchema, used: AmountsSchema, left: AmountsSchema }).optional(),
  parent: z.string().optional(),
  waitsFor: z.array(z.string()),
  /** What it wants to be given. */
  wants: z.object({ name: z.string(), prompt: z.unknown().optional(), until: z.number().optional() }).optional(),
  reason: z.string().optional(),
  result: z.unknown().optional(),
  error: z.unknown().optional(),
  metadata: z.unknown().optional(),
})
export type TaskShown = z.output<typeof TaskShownSchema>

/** As TaskHappened. */
const HappenedSchema = z.object({
  at: z.number(),
  what: z.string(),
  attempt: z.number().optional(),
  worker: z.string().optional(),
  by: z.string().optional(),
  name: z.string().optional(),
  key: z.string().optional(),
  bytes: z.number().optional(),
  until: z.number().optional(),
  task: z.string().optional(),
  reason: z.string().optional(),
})

export const TasksListedSchema = z.object({ tasks: z.array(TaskShownSchema) })
export const TaskDetailsSchema = z.object({
  task: TaskShownSchema,
  /** Of an open one. */
  recorded: z
    .object({
      input: z.unknown(),
      checkpoint: z.unknown().optional(),
      effects: z.array(z.object({ name: z.string(), key: z.string(), value: z.unknown() })),
    })
    .optional(),
  /** What happened to it; absent from a node without histories. */
  history: z.object({ dropped: z.number(), entries: z.array(HappenedSchema) }).optional(),
  /** That are open, or ended a moment ago. */
  children: z.array(z.object({ id: z.string(), status: Status })).optional(),
})
export type TaskDetails = z.output<typeof TaskDetailsSchema>
export const TaskControlledSchema = z.object({ id: z.string(), status: Status })
/** One that has changed; `gone`: its record was put away, it ended before. */
export const TaskLineSchema = z.object({ id: z.string(), version: z.number(), task: TaskShownSchema.optional() })
export type TaskLine = z.output<typeof TaskLineSchema>
