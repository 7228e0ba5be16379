/**
 * The messages of seed 001, as other programs write them: `task.submit`, `task.control.pause`, `.resume`, `.cancel`, and what
 * they are answered with, `task.status`, `task.control.ack`, `task.control.reject`. Names and fields are the seed's; times are
 * taken as milliseconds since 1970 or ISO 8601, and written as ISO 8601. Pure.
 */
import * as z from 'zod'
import { checkedInput } from '../../checked-input.ts'
import { isParleyError, ParleyError } from '../../errors.ts'
import { PRIORITIES } from '../../wire/envelope.ts'
import {
  DependencySchema,
  MAX_DEPENDENCIES,
  MAX_METADATA_BYTES,
  Reason,
  RequirementsSchema,
  smallJson,
  TaskId,
  TypeName,
  TypeVersion,
  Value,
} from '../task-record.ts'
import { TASK_STATUSES, type TaskStatus } from '../task-status.ts'
import type { SubmitTask, TaskState } from './task-api.ts'
import type { Control } from './task-handle.ts'

const CommandId = z.string().min(1).max(128)
const Timestamp = z.union([z.number().nonnegative(), z.iso.datetime({ offset: true })])

export const TaskSubmitMessage = z.object({
  task_id: TaskId.optional(),
  /** What kind of work it is. */
  type: TypeName,
  type_version: TypeVersion.optional(),
  /** 0 low to 3 critical. */
  priority: z
    .int()
    .min(0)
    .max(PRIORITIES.length - 1)
    .default(1),
  deadline: Timestamp.optional(),
  requirements: RequirementsSchema.optional(),
  dependencies: z
    .array(z.union([TaskId, DependencySchema]))
    .max(MAX_DEPENDENCIES)
    .default([]),
  metadata: smallJson(MAX_METADATA_BYTES).optional(),
  input: Value.optional(),
})

/** The seed's parameters; the id comes back with the answer, and is made where there is none. */
const control = { task_id: TaskId, command_id: CommandId.optional() }

/** Payloads by the type of their message. */
export const TASK_MESSAGES = {
  'task.submit': TaskSubmitMessage,
  'task.control.pause': z.object({ ...control, reason: Reason.optional() }),
  'task.control.resume': z.object({ ...control, checkpoint: Value.optional() }),
  'task.control.cancel': z.object({ ...control, reason: Reason.optional() }),
} as const
export type TaskMessageType = keyof typeof TASK_MESSAGES

/** Payloads of answers. */
export const TASK_ANSWERS = {
  'task.status': z.object({
    task_id: TaskId,
    status: z.enum(TASK_STATUSES),
    progress: z.number().min(0).max(1),
    metrics: z.record(z.string(), z.number()),
    timestamp: z.iso.datetime(),
  }),
  'task.control.ack': z.object({ command_id: CommandId, status: z.enum(TASK_STATUSES) }),
  'task.control.reject': z.object({ command_id: CommandId, reason: z.string().max(512) }),
} as const
type Answers = typeof TASK_ANSWERS
export type TaskAnswer = {
  readonly [T in keyof Answers]: { readonly type: T; readonly payload: z.output<Answers[T]> }
}[keyof Answers]

const isMessageType = (type: string): type is TaskMessageType => Object.hasOwn(TASK_MESSAGES, type)

export type TaskMessage =
  | { readonly type: 'task.submit'; readonly task: SubmitTask }
  | {
      readonly type: 'task.control'
      readonly id: string
      readonly commandId: string | undefined
      readonly control: Control
    }

/** @throws MSG001 */
const parsed = <S extends z.ZodType>(type: string, schema: S, payload: unknown): z.output<S> =>
  checkedInput(schema, payload, `the message ${type} cannot be used`)

/** @throws MSG004 for a type that is none of them, MSG001 for a payload that does not fit */
export const readTaskMessage = (type: string, payload: unknown): TaskMessage => {
  if (!isMessageType(type))
    throw new ParleyError('MSG004', `there is no message ${JSON.stringify(type).slice(0, 80)} of tasks`, {
      hint: `use ${Object.keys(TASK_MESSAGES).join(', ')}`,
    })
  if (type === 'task.submit')
    return { type: 'task.submit', task: submittedBy(parsed(type, TASK_MESSAGES[type], payload)) }
  if (type === 'task.control.resume') {
    const { task_id: id, command_id: commandId, checkpoint } = parsed(type, TASK_MESSAGES[type], payload)
    const control: Control = { action: 'resume', ...(checkpoint !== undefined && { checkpoint }) }
    return { type: 'task.control', id, commandId, control }
  }
  const { task_id: id, command_id: commandId, reason } = parsed(type, TASK_MESSAGES[type], payload)
  const action = type === 'task.control.pause' ? 'pause' : 'cancel'
  return { type: 'task.control', id, commandId, control: { action, ...(reason !== undefined && { reason }) } }
}

const submittedBy = (message: z.output<typeof TaskSubmitMessage>): SubmitTask => {
  const { task_id: id, type, type_version: typeVersion, deadline, requirements, metadata, input } = message
  return {
    ...{ type, priority: PRIORITIES[message.priority] ?? 'normal', dependencies: message.dependencies },
    ...(id !== undefined && { id }),
    ...(typeVersion !== undefined && { typeVersion }),
    ...(deadline !== undefined && { deadline: new Date(deadline) }),
    ...(requirements !== undefined && { requirements }),
    ...(metadata !== undefined && { metadata }),
    ...(input !== undefined && { input }),
  }
}

export const statusMessage = ({ id, status, record }: TaskState): TaskAnswer => ({
  type: 'task.status',
  payload: {
    ...{ task_id: id, status, progress: status === 'completed' ? 1 : 0, metrics: {} },
    timestamp: new Date(record.changedAt).toISOString(),
  },
})

export const ackMessage = (commandId: string, status: TaskStatus): TaskAnswer => ({
  type: 'task.control.ack',
  payload: { command_id: commandId, status },
})

/** A command that was refused is answered with why; what is no refusal is thrown. */
export const rejectMessage = (commandId: string, error: unknown): TaskAnswer => {
  if (!isParleyError(error)) throw error
  return { type: 'task.control.reject', payload: { command_id: commandId, reason: error.message.slice(0, 512) } }
}
