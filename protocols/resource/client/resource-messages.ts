/**
 * The messages of seed 001, as other programs write them: `resource.allocate` and `resource.release`, and what they are answered
 * with, `resource.allocated`, `resource.denied`, and `resource.released` (ours). Names and fields are the seed's. Pure.
 */
import * as z from 'zod'
import { checkedInput } from '../../checked-input.ts'
import { isParleyError, ParleyError } from '../../errors.ts'
import { PRIORITIES, type Priority as PriorityName } from '../../wire/envelope.ts'
import { SeedRequirements, unitsOf } from '../requirements.ts'
import { AllocationId, Priority } from '../resource-record.ts'

const RequestId = z.string().min(1).max(128)

/** Payloads by the type of their message. */
export const RESOURCE_MESSAGES = {
  'resource.allocate': z.object({
    request_id: RequestId,
    task_id: AllocationId,
    requirements: SeedRequirements,
    /** 0 low to 3 critical. */
    priority: Priority.default(1),
    /** Milliseconds. */
    allocation_timeout: z.int().nonnegative().max(86_400_000).optional(),
  }),
  'resource.release': z.object({
    task_id: AllocationId,
    /** All that the task has unless told. */
    resource_ids: z.array(z.string().max(256)).max(1_024).optional(),
  }),
} as const
export type ResourceMessageType = keyof typeof RESOURCE_MESSAGES

/** Payloads of answers. */
export const RESOURCE_ANSWERS = {
  'resource.allocated': z.object({
    task_id: AllocationId,
    resources: z.array(z.object({ resource_id: z.string(), owner: z.string(), name: z.string(), units: z.number() })),
  }),
  'resource.denied': z.object({ task_id: AllocationId, reason: z.string().max(512) }),
  'resource.released': z.object({ task_id: AllocationId, resource_ids: z.array(z.string()) }),
} as const
type Answers = typeof RESOURCE_ANSWERS
export type ResourceAnswer = {
  readonly [T in keyof Answers]: { readonly type: T; readonly payload: z.output<Answers[T]> }
}[keyof Answers]

/** As `mesh.resources.allocate` takes it. */
export interface SeedAllocation {
  readonly id: string
  readonly task: string
  readonly units: Readonly<Record<string, number>>
  readonly priority: PriorityName
  readonly timeoutMs?: number
}

export type ResourceMessage =
  | { readonly type: 'resource.allocate'; readonly task: string; readonly what: SeedAllocation }
  | { readonly type: 'resource.release'; readonly task: string; readonly resourceIds: readonly string[] | undefined }

const isMessageType = (type: string): type is ResourceMessageType => Object.hasOwn(RESOURCE_MESSAGES, type)

/** @throws MSG001 */
const parsed = <S extends z.ZodType>(type: string, schema: S, payload: unknown): z.output<S> =>
  checkedInput(schema, payload, `the message ${type} cannot be used`)

/** @throws MSG004 for a type that is none of them, MSG001 for a payload that does not fit */
export const readResourceMessage = (type: string, payload: unknown): ResourceMessage => {
  if (!isMessageType(type))
    throw new ParleyError('MSG004', `there is no message ${JSON.stringify(type).slice(0, 80)} of resources`, {
      hint: `use ${Object.keys(RESOURCE_MESSAGES).join(', ')}`,
    })
  if (type === 'resource.release') {
    const { task_id: task, resource_ids: resourceIds } = parsed(type, RESOURCE_MESSAGES[type], payload)
    return { type, task, resourceIds }
  }
  const message = parsed(type, RESOURCE_MESSAGES[type], payload)
  const { request_id: id, task_id: task, requirements, priority, allocation_timeout: timeoutMs } = message
  const what: SeedAllocation = {
    ...{ id, task, units: unitsOf(requirements), priority: PRIORITIES[priority] ?? 'normal' },
    ...(timeoutMs !== undefined && { timeoutMs }),
  }
  return { type, task, what }
}

interface Given {
  readonly owner: string
  readonly units: Readonly<Record<string, number>>
}

export const allocatedMessage = (task: string, parts: readonly Given[]): ResourceAnswer => ({
  type: 'resource.allocated',
  payload: {
    task_id: task,
    resources: parts.flatMap(({ owner, units }) =>
      Object.entries(units).map(([name, amount]) => ({ resource_id: `${name}@${owner}`, owner, name, units: amount })),
    ),
  },
})

/** What was denied is answered with why; anything else is thrown. */
export const deniedMessage = (task: string, error: unknown): ResourceAnswer => {
  if (!isParleyError(error, 'COM003')) throw error
  return { type: 'resource.denied', payload: { task_id: task, reason: error.message.slice(0, 512) } }
}
