/** How nodes that use tasks talk to the coordinator. Wire id `/parley/task/1`. */
import * as z from 'zod'
import { defineProtocol } from '../define.ts'
import { JsonSchema } from '../journal/state/built-in-kinds.ts'
import { ScheduleId } from './schedule/schedule-record.ts'
import { EffectName, Reason, TaskErrorSchema, TaskId, TaskRecordSchema, Value } from './task-record.ts'
import { TASK_STATUSES } from './task-status.ts'

const Version = z.int().nonnegative()
const MeshId = z.string().min(1).max(64)
/** Tasks that one feed watches beside those of its peer. */
export const MAX_WATCHED = 256

const RowSchema = z.object({ key: z.string().max(256), value: JsonSchema })

export const DoneSchema = z.object({
  id: TaskId,
  record: TaskRecordSchema,
  metadata: JsonSchema.optional(),
  result: JsonSchema.optional(),
  error: TaskErrorSchema.optional(),
})

/** One task as of a version. */
export const FeedTaskSchema = z.object({
  id: TaskId,
  version: Version,
  /** Absent: its record is gone; it ended before. */
  record: TaskRecordSchema.optional(),
  /** For its assignee: input, checkpoint and effects. */
  work: z.object({ rows: z.array(RowSchema), more: z.boolean() }).optional(),
  /** What a final one left, for those who wait for it. */
  done: DoneSchema.optional(),
})
export type FeedTask = z.output<typeof FeedTaskSchema>

export const ControlSchema = z.object({
  meshId: MeshId,
  id: TaskId,
  action: z.enum(['pause', 'resume', 'cancel', 'signal']),
  reason: Reason.optional(),
  checkpoint: Value.optional(),
  /** Of a signal. */
  name: EffectName.optional(),
  value: Value.optional(),
})

export const ScheduleControlSchema = z.object({
  meshId: MeshId,
  id: ScheduleId,
  action: z.enum(['remove', 'pause', 'resume']),
})

export const taskProtocol = defineProtocol({
  name: 'task',
  version: '1.2.0',
  methods: {
    feed: {
      description: 'Changes of the tasks that the caller submitted or works on, and of others that it names',
      request: z.object({
        meshId: MeshId,
        /** Changes after this version; absent: all there is, first. */
        from: Version.optional(),
        /** Tasks of others. */
        watch: z.array(TaskId).max(MAX_WATCHED).optional(),
        /** Its own tasks are not of interest: those that are watched alone. */
        watchedOnly: z.boolean().optional(),
      }),
      stream: z.object({
        version: Version,
        /** All there is: a task that is not among them, up to `last`, is over or not the caller's. */
        reset: z.boolean().optional(),
        last: z.boolean(),
        tasks: z.array(FeedTaskSchema),
        /** Milliseconds since 1970 by the journal's clock, when it was told. Absent: an older node coordinates. */
        at: z.number().nonnegative().optional(),
      }),
      priority: 'high',
      // It is followed for as long as both are there; the follower begins again after that.
      timeoutMs: 86_400_000,
    },
    digest: {
      description: 'A digest of the records of all tasks, as of one version',
      request: z.object({ meshId: MeshId }),
      response: z.object({ version: Version, digest: z.string().max(64), tasks: z.int().nonnegative() }),
      idempotent: true,
      timeoutMs: 10_000,
    },
    control: {
      description: 'Pauses, resumes or cancels a task of somebody else; for holders of the capability coordinate',
      request: ControlSchema,
      response: z.object({ status: z.enum(TASK_STATUSES) }),
      capability: 'coordinate',
      priority: 'high',
      timeoutMs: 10_000,
    },
    schedule: {
      description: 'Removes, pauses or resumes a schedule of somebody else; for holders of the capability coordinate',
      request: ScheduleControlSchema,
      response: z.object({}),
      capability: 'coordinate',
      priority: 'high',
      timeoutMs: 10_000,
    },
  },
})
