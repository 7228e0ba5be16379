/**
 * A schedule as it stands in the journal: what begins tasks by time, and when it does so next. Pure.
 *
 * Its record is in memory on every voter; input and metadata of its tasks are a row of the collection SCHEDULES.
 */
import * as z from 'zod'
import type { Json } from '../../journal/state/command-kind.ts'
import { partPrefix } from '../../part.ts'
import {
  AttemptTimeout,
  FirstRequirementsSchema,
  PeerId,
  PRIORITY_LEVELS,
  RequirementsSchema,
  RetrySchema,
  TASKS_PART,
  Takeover,
  TaskId,
  TypeName,
  TypeVersion,
} from '../task-record.ts'

const PREFIX = partPrefix(TASKS_PART)
export const SCHEDULE_PREFIX = `${PREFIX}s/`
export const SCHEDULES = `${PREFIX}schedules`
const SHARE_PREFIX = `${PREFIX}su/`

export const scheduleKey = (id: string): string => SCHEDULE_PREFIX + id
/** How many schedules a peer has. */
export const scheduleShareKey = (peer: string): string => SHARE_PREFIX + peer

/** Of all peers together. */
export const MAX_SCHEDULES = 1_000
/** Missed times that one schedule makes up for. */
export const MAX_MISSED = 1_000

const DAY_MS = 86_400_000
/** Milliseconds since 1970, as far as JavaScript's dates go: the ids of tasks have them. */
export const Time = z.number().nonnegative().max(8_640_000_000_000_000)
const Millis = z.number().nonnegative().max(Number.MAX_SAFE_INTEGER)

/** So that the ids of its tasks are ids: `<schedule>.20261125T030000Z`. */
export const ScheduleId = z
  .string()
  .max(100)
  .regex(/^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/, 'use 1 to 100 letters, digits, _ and -, with single dots between them')

export const PlanSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('cron'),
    /** Minute, hour, day of month, month, day of week. What depends on when it is read (`?`) is not taken. */
    cron: z
      .string()
      .max(128)
      .regex(/^[0-9A-Za-z*,/#-]+( [0-9A-Za-z*,/#-]+){4}$/, 'use five fields: minute, hour, day, month, day of week'),
    /** IANA name. */
    zone: z.string().regex(/^[A-Za-z0-9_+/-]{1,64}$/, 'use the name of a time zone, such as Europe/Berlin'),
  }),
  z.object({
    kind: z.literal('every'),
    everyMs: z
      .int()
      .min(1_000)
      .max(366 * DAY_MS),
  }),
  z.object({ kind: z.literal('at'), at: Time }),
])
export type SchedulePlan = z.output<typeof PlanSchema>

export const MisfireSchema = z.union([z.enum(['one', 'skip']), z.object({ all: z.int().min(1).max(MAX_MISSED) })])
export type Misfire = z.output<typeof MisfireSchema>

export const OverlapSchema = z.enum(['allow', 'skip'])

/** As voters of level 2 have it. */
export const FirstScheduledTaskSchema = z.object({
  type: TypeName,
  typeVersion: TypeVersion.optional(),
  priority: z
    .int()
    .min(0)
    .max(PRIORITY_LEVELS - 1),
  /** Milliseconds from the nominal time until its deadline. */
  withinMs: z
    .int()
    .min(1)
    .max(366 * DAY_MS)
    .optional(),
  requirements: FirstRequirementsSchema.optional(),
  retry: RetrySchema,
  attemptTimeoutMs: AttemptTimeout.optional(),
})
/** A task that it begins, without what differs each time. */
export const ScheduledTaskSchema = FirstScheduledTaskSchema.extend({
  requirements: RequirementsSchema.optional(),
  takeover: Takeover.optional(),
})

export const ScheduleRecordSchema = z.object({
  /** Peer id of who made it: its tasks count for that peer. */
  owner: PeerId,
  plan: PlanSchema,
  misfire: MisfireSchema,
  overlap: OverlapSchema,
  /** No nominal time after this one; milliseconds since 1970 by the journal's clock, as all times here. */
  until: Millis.optional(),
  task: ScheduledTaskSchema,
  /** Since when its times count: it was made, changed, or resumed then. */
  since: Millis,
  /** Index of the entry that did so. */
  revision: z.int().nonnegative(),
  /** Absent: the coordinator has not looked at it yet. */
  nextAt: Millis.optional(),
  /** Nominal time of the last task that it began. */
  lastAt: Millis.optional(),
  lastTask: TaskId.optional(),
  /** Tasks that it began. */
  fired: z.int().nonnegative(),
  /** Times at which it began none, since the last one was at work or another task had the id. */
  held: z.int().nonnegative(),
  isPaused: z.boolean().optional(),
  /** SHA-256 of what it was made from. */
  digest: z.string().max(64),
})
export type ScheduleRecord = z.output<typeof ScheduleRecordSchema>

/** Row of a schedule. */
export interface ScheduleInput {
  readonly input: Json
  readonly metadata?: Json
}

/** Of a record that this part wrote. */
export const readSchedule = (value: unknown): ScheduleRecord | undefined => value as ScheduleRecord | undefined

/** `20261125T030000Z`. */
const nominalText = (nominal: number): string =>
  new Date(nominal)
    .toISOString()
    .replace(/\.\d{3}/, '')
    .replace(/[-:]/g, '')
export const firedTaskId = (schedule: string, nominal: number): string => `${schedule}.${nominalText(nominal)}`

const FIRED = /^(.+)\.\d{8}T\d{6}Z$/
/** The schedule whose task has this id, if it is such an id. */
export const scheduleOfTask = (task: string): string | undefined => FIRED.exec(task)?.[1]
