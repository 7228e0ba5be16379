/** What is told of tasks by events, as seed 001 has it: `tasks.status.<task_id>`, `state.changed`, `tasks.submit`. */
import * as z from 'zod'
import { defineEvent } from '../events/define-event.ts'
import { RequirementsSchema, TaskId } from './task-record.ts'
import { TASK_STATUSES } from './task-status.ts'

const Metrics = z.record(z.string().max(64), z.number())
export const MAX_NOTE = 256

export const statusTopic = (id: string): string => `tasks.status.${id}`

export const taskStatusEvent = defineEvent({
  topic: 'tasks.status.#',
  version: '1.0.0',
  schema: z.object({
    task_id: TaskId,
    status: z.enum(TASK_STATUSES),
    /** 0 to 1. */
    progress: z.number().min(0).max(1),
    metrics: Metrics,
    /** Milliseconds since 1970, by the clock of its sender. */
    timestamp: z.number(),
    note: z.string().max(MAX_NOTE).optional(),
  }),
})
export type TaskStatusData = z.output<typeof taskStatusEvent.schema>

export const stateChangedEvent = defineEvent({
  topic: 'state.changed',
  version: '1.0.0',
  schema: z.object({
    type: z.literal('state.changed'),
    task_id: TaskId,
    /** Index of the decision. */
    version: z.int().nonnegative(),
    timestamp: z.number(),
  }),
})

export const taskSubmittedEvent = defineEvent({
  topic: 'tasks.submit',
  version: '1.0.0',
  schema: z.object({
    task_id: TaskId,
    type: z.string(),
    priority: z.int(),
    deadline: z.number().optional(),
    requirements: RequirementsSchema.optional(),
  }),
})
