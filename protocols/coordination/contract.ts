/**
 * How the coordinator directs agents, and what it asks of those that know more: seed 003's protocol over calls.
 * Wire ids `/parley/coordination/1`, `/parley/performance-monitor/1`, `/parley/resource-manager/1`.
 */
import * as z from 'zod'
import { defineProtocol } from '../define.ts'
import { defineEvent } from '../events/define-event.ts'
import {
  AgentStatusRequest,
  AgentStatusResponse,
  CoordinationDirective,
  DirectiveAck,
  MetricsRequest,
  MetricsUpdate,
  PerformanceReport,
  ProgressUpdate,
  ResourceQuery,
  ResourceStatusAnswer,
  SystemMetrics,
  TaskCompletion,
} from './messages.ts'

/** Milliseconds that an agent has for an answer. */
export const ANSWER_MS = 1_000

export const coordinationProtocol = defineProtocol({
  name: 'coordination',
  version: '1.0.0',
  methods: {
    agent_status: {
      description: 'How busy the agent is, and what it can do',
      request: AgentStatusRequest,
      response: AgentStatusResponse,
      idempotent: true,
      priority: 'high',
      timeoutMs: ANSWER_MS,
    },
    coordination_directive: {
      description:
        'Directs the agent: of the coordinator alone; the same directive again is answered as the first time',
      request: CoordinationDirective,
      response: DirectiveAck,
      idempotent: true,
      priority: 'high',
      timeoutMs: ANSWER_MS,
    },
    task_completion: {
      description: 'Tells the coordinator what a task took; that it ended stands in the journal',
      request: TaskCompletion,
      response: z.object({}),
      idempotent: true,
      timeoutMs: ANSWER_MS,
    },
  },
})

export const performanceMonitorProtocol = defineProtocol({
  name: 'performance-monitor',
  version: '1.0.0',
  methods: {
    metrics_request: {
      description: 'What agents measured lately',
      request: MetricsRequest,
      response: SystemMetrics,
      idempotent: true,
      timeoutMs: ANSWER_MS,
    },
    metrics_update: {
      description: 'What an agent, or a plan, measures now',
      request: MetricsUpdate,
      response: z.object({}),
      idempotent: true,
      timeoutMs: ANSWER_MS,
    },
    performance_report: {
      description: 'How a plan went; kept for a while',
      request: PerformanceReport,
      response: z.object({}),
      idempotent: true,
      timeoutMs: ANSWER_MS,
    },
  },
})

export const resourceManagerProtocol = defineProtocol({
  name: 'resource-manager',
  version: '1.0.0',
  methods: {
    resource_query: {
      description: 'Whether nodes have so much free, and what each has',
      request: ResourceQuery,
      response: ResourceStatusAnswer,
      idempotent: true,
      timeoutMs: ANSWER_MS,
    },
  },
})

/** Who was directed to do what: a notification, the directive itself is a call. */
export const directiveEvent = defineEvent({
  topic: 'coordination.directive',
  version: '1.0.0',
  schema: CoordinationDirective,
})
/** An agent that says unasked how busy it is. */
export const agentStatusEvent = defineEvent({
  topic: 'coordination.status.*',
  version: '1.0.0',
  schema: AgentStatusResponse.omit({ request_id: true }),
})
export const progressEvent = defineEvent({
  topic: 'coordination.progress',
  version: '1.0.0',
  schema: ProgressUpdate,
})
