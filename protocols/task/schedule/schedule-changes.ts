/** What is decided about schedules: inputs of the journal command of tasks, from level 2 on. Pure. */
import * as z from 'zod'
import { MAX_METADATA_BYTES, smallJson, Value } from '../task-record.ts'
import {
  FirstScheduledTaskSchema,
  MisfireSchema,
  OverlapSchema,
  PlanSchema,
  ScheduledTaskSchema,
  ScheduleId,
  Time,
} from './schedule-record.ts'

const Epoch = z.int().nonnegative()

const FirstScheduleChangeSchema = z.object({
  do: z.literal('schedule'),
  id: ScheduleId,
  plan: PlanSchema,
  misfire: MisfireSchema,
  overlap: OverlapSchema,
  until: Time.optional(),
  task: FirstScheduledTaskSchema,
  input: Value,
  metadata: smallJson(MAX_METADATA_BYTES).optional(),
  /** SHA-256 of all of it, as hex digits. */
  digest: z.string().max(64),
})
/** Of anybody, for a new one; of its owner, in the place of the one before. */
export const ScheduleChangeSchema = FirstScheduleChangeSchema.extend({ task: ScheduledTaskSchema })

const CHANGES = [
  /** Of its owner; with an epoch, of its coordinator. */
  z.object({ do: z.literal('unschedule'), id: ScheduleId, epoch: Epoch.optional() }),
  z.object({ do: z.literal('hold-schedule'), id: ScheduleId, paused: z.boolean(), epoch: Epoch.optional() }),
  /** Of the coordinator of this epoch alone: begins the task of a nominal time, and says which time is next, in one. */
  z.object({
    do: z.literal('fire'),
    epoch: Epoch,
    id: ScheduleId,
    revision: z.int().nonnegative(),
    /** The next time as the journal has it; absent: none yet. */
    from: Time.optional(),
    /** Its task begins; absent: none does. */
    nominal: Time.optional(),
    /** Absent: there is none, and the schedule goes. */
    next: Time.optional(),
  }),
] as const

/** As voters of level 2 have them. */
export const FIRST_SCHEDULE_CHANGES = [FirstScheduleChangeSchema, ...CHANGES] as const
export const SCHEDULE_CHANGES = [ScheduleChangeSchema, ...CHANGES] as const
