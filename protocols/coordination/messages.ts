/**
 * The messages of seed 003, with the fields that it names; shapes that it leaves out are ours (MESSAGES.md). Timestamps are
 * taken as milliseconds since 1970 or as ISO 8601, and written as ISO 8601. Pure.
 */
import * as z from 'zod'
import { FenceSchema } from '../journal/fencing/fence.ts'
import { AllocationId, PeerId } from '../resource/resource-record.ts'
import { UnitsSchema } from '../resource/units.ts'
import { TaskId, TypeName } from '../task/task-record.ts'
import { PRIORITIES } from '../wire/envelope.ts'
import { DirectiveId, PlanId, PlanReason, PlanText } from './plan-record.ts'
import { PLAN_STATES } from './plan-states.ts'

/** Agents of one coalition. */
export const MAX_MEMBERS = 64
const MAX_AGENTS = 1_024
const MAX_LISTED = 128
const MAX_MILLIS = Number.MAX_SAFE_INTEGER

/** By the clock of its sender: for people. */
export const Timestamp = z.union([z.iso.datetime(), z.number().nonnegative().max(MAX_MILLIS)])
export const isoTime = (at: number): string => new Date(at).toISOString()

const RequestId = z.uuid()
const Name = z.string().min(1).max(64)
/** Measured by whoever sends them, by name: at most 64. */
export const Metrics = z
  .record(z.string().min(1).max(64), z.number())
  .refine((metrics) => Object.keys(metrics).length <= 64, 'name at most 64 metrics')
  .meta({ maxProperties: 64 })
export type MetricValues = z.output<typeof Metrics>

export const AgentStatusRequest = z.object({
  request_id: RequestId,
  timestamp: Timestamp,
  /** Peer id. */
  target_agent: PeerId,
})

export const AVAILABILITIES = ['available', 'busy', 'draining', 'offline'] as const

export const AgentStatusResponse = z.object({
  request_id: RequestId,
  timestamp: Timestamp,
  source_agent: PeerId,
  /** What of the plan it does: `executing` once it has work of one, `idle` before and after. */
  state: z.enum(PLAN_STATES),
  availability: z.enum(AVAILABILITIES),
  /** 0 to 1: tasks in work of those that it takes at once. */
  load: z.number().min(0).max(1),
  /** Directives that it acknowledged and whose work it has not begun. */
  queue_length: z.int().nonnegative(),
  /** Types of tasks that it takes. */
  capabilities: z.array(TypeName).max(256),
  task_ids: z.array(TaskId).max(MAX_LISTED),
  resource_utilization: Metrics,
  /** What one task costs there, in millionths of whatever the mesh counts in; ours. */
  price: z.int().nonnegative().max(MAX_MILLIS).optional(),
  /** Where it runs, by a name that the mesh has agreed on; ours. */
  zone: Name.optional(),
})
export type AgentStatus = z.output<typeof AgentStatusResponse>

const Change = z.int().min(-MAX_MILLIS).max(MAX_MILLIS)

export const AssignTask = z.object({
  task_id: TaskId,
  /** Of the task; ours. */
  type: TypeName,
  priority: z.enum(PRIORITIES),
  /** Names of what it requires. */
  resources: z.array(Name).max(32),
})
export const FormCoalition = z.object({
  coalition_id: AllocationId,
  goal: PlanText,
  leader: PeerId,
  members: z.array(PeerId).min(1).max(MAX_MEMBERS),
  /** Milliseconds that it lasts; 0: it is dissolved. */
  ttl_ms: z.int().nonnegative().max(86_400_000),
})
export type Coalition = z.output<typeof FormCoalition>
export const AdjustResources = z.object({
  adjustments: z
    .array(
      z.object({
        /** Name of the resource, or `<name>@<peer>`. */
        resource_id: z.string().min(1).max(256),
        agent: PeerId,
        /** Units more, or less. */
        change: Change,
      }),
    )
    .min(1)
    .max(64),
  reason: PlanReason,
})

const directive = {
  directive_id: DirectiveId,
  timestamp: Timestamp,
  target_agent: PeerId,
  /** Of which plan; ours. */
  plan: PlanId,
  /** Of the decision that it carries out; ours. */
  fence: FenceSchema,
}
export const CoordinationDirective = z.discriminatedUnion('action', [
  z.object({ ...directive, action: z.literal('assign_task'), parameters: AssignTask }),
  z.object({ ...directive, action: z.literal('form_coalition'), parameters: FormCoalition }),
  z.object({ ...directive, action: z.literal('adjust_resources'), parameters: AdjustResources }),
])
export type Directive = z.output<typeof CoordinationDirective>

/** Why an agent does not do what it is directed to. */
export const REFUSALS = ['agent_unavailable', 'resource_conflict', 'directive_failed'] as const
export type Refusal = (typeof REFUSALS)[number]

export const DirectiveAck = z.discriminatedUnion('status', [
  z.object({ directive_id: DirectiveId, timestamp: Timestamp, source_agent: PeerId, status: z.literal('accepted') }),
  z.object({
    directive_id: DirectiveId,
    timestamp: Timestamp,
    source_agent: PeerId,
    status: z.literal('refused'),
    error: z.enum(REFUSALS),
    /** For people. */
    reason: PlanReason.optional(),
  }),
])
export type DirectiveAnswer = z.output<typeof DirectiveAck>

export const TaskCompletion = z.object({
  task_id: TaskId,
  timestamp: Timestamp,
  source_agent: PeerId,
  status: z.enum(['completed', 'failed']),
  /** SHA-256 of the result, as hex digits. */
  result_digest: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
  metrics: Metrics,
})

export type TaskCompletionData = z.output<typeof TaskCompletion>

/** 100 × progress, and what share of its resources the agent uses, with whatever else it measures. */
export const ProgressUpdate = z.object({
  event_id: RequestId,
  timestamp: Timestamp,
  source_agent: PeerId,
  status: z.enum(['in_progress', 'completed', 'failed']),
  metrics: Metrics,
  /** Of which task; ours. */
  task_id: TaskId.optional(),
})

export const MetricsRequest = z.object({
  request_id: RequestId,
  timestamp: Timestamp,
  /** Milliseconds back from now. */
  window_ms: z.int().min(1).max(86_400_000),
  /** All unless told. */
  names: z.array(Name).max(64).optional(),
})
const AgentMetrics = z.object({ agent_id: PeerId, metrics: Metrics })
export const SystemMetrics = z.object({
  request_id: RequestId,
  timestamp: Timestamp,
  window_ms: z.int().positive(),
  agents: z.array(AgentMetrics).max(MAX_AGENTS),
  totals: Metrics,
})
export type SystemMetricsData = z.output<typeof SystemMetrics>

export const ResourceQuery = z.object({
  request_id: RequestId,
  timestamp: Timestamp,
  /** Of one node. */
  requirements: UnitsSchema,
  /** Nodes that have so much, at once; 1 unless told. */
  count: z.int().min(1).max(64).optional(),
})
export const ResourceStatusAnswer = z.object({
  request_id: RequestId,
  timestamp: Timestamp,
  /** That `count` nodes have it free now. */
  available: z.boolean(),
  resources: z
    .array(
      z.object({
        resource_id: z.string().min(1).max(256),
        owner: PeerId,
        capacity: z.int().nonnegative(),
        used: z.int().nonnegative(),
      }),
    )
    .max(8_192),
})
export type AnsweredResource = z.output<typeof ResourceStatusAnswer>['resources'][number]

export const MetricsUpdate = z.object({ timestamp: Timestamp, source_agent: PeerId, metrics: Metrics })
export const PerformanceReport = z.object({
  report_id: RequestId,
  timestamp: Timestamp,
  goal_id: PlanId,
  from: Timestamp,
  to: Timestamp,
  outcome: z.enum(['completed', 'failed', 'canceled']),
  metrics: Metrics,
  agents: z.array(AgentMetrics).max(MAX_LISTED),
})
export type PerformanceReportData = z.output<typeof PerformanceReport>
