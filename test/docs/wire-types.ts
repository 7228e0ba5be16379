/**
 * All that goes over the wire between members, in one list: protocols, events, commands of the journal, gossip of its own, and
 * messages that programs carry. The document of the protocol is made from it; a test (test/unit/docs/wire-types.test.ts) holds
 * it against the sources and against what a node serves. Pure.
 */
import * as z from 'zod'
import { RecordSchema } from '../../discovery/directory/record/agent-record.ts'
import * as builtIn from '../../node/parts/built-in.ts'
import * as planParts from '../../node/parts/plan-parts.ts'
import { BudgetChangeSchema } from '../../protocols/budget/journal/budget-changes.ts'
import { agentStatusEvent, directiveEvent, progressEvent } from '../../protocols/coordination/contract.ts'
import { CoalitionChangeSchema } from '../../protocols/coordination/journal/coalition-changes.ts'
import { PlanChangeSchema } from '../../protocols/coordination/journal/plan-changes.ts'
import { epochEvent } from '../../protocols/coordinator/contract.ts'
import type { AnyProtocol } from '../../protocols/define.ts'
import type { EventDefinition } from '../../protocols/events/define-event.ts'
import { type KnownKind, knownKinds } from '../../protocols/journal/part-kinds.ts'
import type { AnyCommandKind } from '../../protocols/journal/state/command-kind.ts'
import { OPEN_SESSION } from '../../protocols/journal/state/journal-machine.ts'
import { notificationEvent } from '../../protocols/notification/notification.ts'
import type { AnyPart } from '../../protocols/part.ts'
import { RESOURCE_ANSWERS, RESOURCE_MESSAGES } from '../../protocols/resource/client/resource-messages.ts'
import { ResourceChangeSchema } from '../../protocols/resource/journal/resource-changes.ts'
import { resourceRequestEvent, resourceStatusEvent } from '../../protocols/resource/resource-events.ts'
import { TASK_ANSWERS, TASK_MESSAGES } from '../../protocols/task/client/seed-messages.ts'
import { TaskChangeSchema } from '../../protocols/task/journal/task-changes.ts'
import { stateChangedEvent, taskStatusEvent, taskSubmittedEvent } from '../../protocols/task/task-events.ts'
import { INTERNAL } from './methods.ts'

const PARTS: readonly AnyPart[] = [...Object.values(builtIn), ...Object.values(planParts)]

export interface WireProtocol {
  readonly protocol: AnyProtocol
  /** With the contract, from the root. */
  readonly file: string
}
export const PROTOCOLS: readonly WireProtocol[] = INTERNAL.map(([protocol, file]) => ({ protocol, file }))

export interface WireEvent {
  readonly definition: EventDefinition
  /** Without wildcards. */
  readonly address: string
  /** Who publishes it. */
  readonly by: string
  readonly about: string
}
export const EVENTS: readonly WireEvent[] = [
  {
    definition: epochEvent,
    address: epochEvent.topic,
    by: 'the coordinator',
    about: 'Who coordinates, in which epoch, and what proves it',
  },
  {
    definition: notificationEvent,
    address: notificationEvent.topic,
    by: 'the coordinator',
    about: 'What the coordinator tells all members; receivers refuse it of an older epoch or of anybody else',
  },
  {
    definition: taskStatusEvent,
    address: 'tasks.status.{task_id}',
    by: 'the coordinator; the assignee tells progress',
    about: 'A task has another status, or its worker got on with it',
  },
  {
    definition: stateChangedEvent,
    address: stateChangedEvent.topic,
    by: 'the coordinator',
    about: 'A task has another version: whoever keeps a copy reads it again',
  },
  {
    definition: taskSubmittedEvent,
    address: taskSubmittedEvent.topic,
    by: 'the coordinator',
    about: 'A task was accepted',
  },
  {
    definition: resourceRequestEvent,
    address: resourceRequestEvent.topic,
    by: 'the coordinator',
    about: 'Somebody asked for an allocation',
  },
  {
    definition: resourceStatusEvent,
    address: 'resources.status.{resource_id}',
    by: 'the coordinator',
    about: 'Another amount of a resource is used, or its node has more, less or nothing to give',
  },
  {
    definition: directiveEvent,
    address: directiveEvent.topic,
    by: 'the coordinator',
    about: 'An agent is directed to do something: the directive itself is a call',
  },
  {
    definition: agentStatusEvent,
    address: 'coordination.status.{source_agent}',
    by: 'the agent, of itself',
    about: 'How busy an agent is, said unasked',
  },
  {
    definition: progressEvent,
    address: progressEvent.topic,
    by: 'the agent that was directed to do it',
    about: 'Work of a plan got on, or has ended',
  },
] as unknown as readonly WireEvent[]

/** Opens a session: it is no kind, since it changes no record. */
const openSession: Omit<AnyCommandKind, 'apply'> = { name: OPEN_SESSION, level: 1, input: z.null(), output: z.null() }

export type WireKind = Omit<KnownKind, 'apply'>
/** What the journal decides: its own commands and those of the parts that every node has. */
export const JOURNAL_KINDS: readonly WireKind[] = [
  openSession,
  ...knownKinds(
    [],
    PARTS.flatMap(({ name, journal }) => (journal === undefined ? [] : [{ ...journal, name }])),
  ).values(),
]

/** Changes of tasks, which travel in `tasks.change`, by what they do. */
export const TASK_CHANGES: ReadonlyMap<string, z.ZodType> = new Map(
  TaskChangeSchema.options.map((schema) => [schema.shape.do.value, schema]),
)

/** Changes of resources, which travel in `resources.decide`, by what they do. */
export const RESOURCE_CHANGES: ReadonlyMap<string, z.ZodType> = new Map(
  ResourceChangeSchema.options.map((schema) => [schema.shape.do.value, schema]),
)

/** Changes of budgets, which travel in `budgets.decide`, by what they do. */
export const BUDGET_CHANGES: ReadonlyMap<string, z.ZodType> = new Map(
  BudgetChangeSchema.options.map((schema) => [schema.shape.do.value, schema]),
)

/** Changes of plans, which travel in `plans.decide`, by what they do. */
export const PLAN_CHANGES: ReadonlyMap<string, z.ZodType> = new Map(
  PlanChangeSchema.options.map((schema) => [schema.shape.do.value, schema]),
)

/** Changes of coalitions, which travel in `coalitions.decide`, by what they do. */
export const COALITION_CHANGES: ReadonlyMap<string, z.ZodType> = new Map(
  CoalitionChangeSchema.options.map((schema) => [schema.shape.do.value, schema]),
)

/** Messages that programs bring to `mesh.tasks.receive` and `mesh.resources.receive`, and what they are answered with. */
export const CARRIED = {
  messages: { ...TASK_MESSAGES, ...RESOURCE_MESSAGES },
  answers: { ...TASK_ANSWERS, ...RESOURCE_ANSWERS },
} as const satisfies Readonly<Record<string, Readonly<Record<string, z.ZodType>>>>

/** What an agent says of itself, as JSON behind 64 bytes of signature. */
export const PRESENCE_RECORD: z.ZodType = RecordSchema
