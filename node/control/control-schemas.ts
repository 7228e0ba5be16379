/**
 * What travels over the control socket: HTTP/1.1 with JSON, and streams as NDJSON, one object a line. The views and dead
 * letters have the same paths and shapes as on the debug endpoint (debug-schemas.ts, message-schemas.ts).
 *
 * | Path | |
 * |---|---|
 * | GET `/api/self`, `/api/peers`, `/api/agents`, `/api/topics`, `/api/graph`, `/api/breakers`, `/api/coordinator`, `/api/parts`, `/api/parts/view`, `/api/readiness` | as on the debug endpoint |
 * | `/api/delivery`, `/api/dlq…`, `/api/conversations…`, `/api/inbox` | the same, without a key |
 * | GET `/api/process`, `/api/top` | the process; all that a live table shows |
 * | POST `/api/stop` | the node stops in order; the answer comes before |
 * | POST `/api/call`, `/api/subscribe` | streams |
 * | POST `/api/publish`, `/api/send` | |
 * | POST `/api/outbox`, `/api/describe` | |
 * | POST `/api/bench` | a stream |
 * | `/api/journal/…` | journal-schemas.ts |
 * | `/api/tasks/…` | task-schemas.ts |
 * | `/api/plans/…` | plan-schemas.ts |
 * | `/api/coalitions/…` | coalition-schemas.ts |
 * | `/api/resources/…` | resource-schemas.ts |
 * | `/api/budgets/…` | budget-schemas.ts |
 * | `/api/bench` | bench-schemas.ts |
 * | POST `/api/coordinator/transfer`, `/api/seat/give-up`, `/api/seat/take` | |
 */
import * as z from 'zod'
import { WAITS_FOR } from '../../protocols/delivery/send/outbox-list.ts'
import type { ErrorReason } from '../../protocols/error-reasons.ts'
import { CODES, type Code, isParleyError, ParleyError, toFault } from '../../protocols/errors.ts'
import {
  AgentDetailsSchema,
  AgentSchema,
  PeerSchema,
  ReadinessSchema,
  SelfSchema,
  TopicSchema,
} from '../observe/debug/debug-schemas.ts'

/** Bytes of a request's body. */
export const MAX_BODY_BYTES = 16 * 1024 * 1024
/** Characters of one line of a stream. */
export const MAX_LINE_CHARS = 128 * 1024 * 1024
/** Events in one request to publish. */
export const MAX_BATCH = 256

export const TimeoutSchema = z
  .int()
  .min(1)
  .max(2 ** 31 - 1)

export const FaultSchema = z.object({
  code: z.string(),
  message: z.string(),
  hint: z.string().optional(),
  details: z.record(z.string(), z.unknown()).optional(),
  /** It was made by a peer, and only passed on by this node. */
  remote: z.boolean().optional(),
})
export type ControlFault = z.output<typeof FaultSchema>

export const faultOf = (error: unknown): ControlFault => ({
  ...toFault(error),
  ...(isParleyError(error) && error.remote && { remote: true }),
})

/** `details.reason` where nobody here has that name: the node says so itself, and no peer does. */
export const NO_AGENT = 'no-agent' satisfies ErrorReason<'STA001'>

const isCode = (code: string): code is Code => Object.hasOwn(CODES, code)

export const errorOf = ({ code, message, hint, details, remote = false }: ControlFault): ParleyError =>
  new ParleyError(isCode(code) ? code : 'APP001', message, {
    remote,
    ...(hint !== undefined && { hint }),
    ...(details !== undefined && { details }),
  })

export const ProcessSchema = z.object({
  pid: z.number(),
  /** As in process-identity.ts. */
  birth: z.string(),
  debugUrl: z.string().optional(),
})

export const CallSchema = z.strictObject({
  /** `PROTOCOL.METHOD` or `PROTOCOL@MAJOR.METHOD` */
  target: z.string().max(256),
  input: z.unknown(),
  /** Name or id; the best of those that offer it unless told. */
  to: z.string().max(256).optional(),
  /** All that offer it. */
  all: z.boolean().optional(),
  timeoutMs: TimeoutSchema.optional(),
})
export type CallRequest = z.output<typeof CallSchema>

/** What comes of a call: `value` once, `item` for each of a stream, `reply` for each that was asked by `all`. */
export const CallLineSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('progress'), fraction: z.number().optional(), note: z.string().optional() }),
  z.object({ type: z.literal('value'), value: z.unknown() }),
  z.object({ type: z.literal('item'), value: z.unknown() }),
  z.object({
    type: z.literal('reply'),
    peer: z.string(),
    name: z.string(),
    value: z.unknown().optional(),
    error: FaultSchema.optional(),
  }),
])
export type CallLine = z.output<typeof CallLineSchema>

export const SubscribeSchema = z.strictObject({
  patterns: z.array(z.string().max(256)).min(1).max(32),
  from: z
    .union([
      z.enum(['earliest', 'latest']),
      z.strictObject({ last: z.int().min(1).max(1_000_000) }),
      z.strictObject({ since: z.number().min(0) }),
    ])
    .default('latest'),
})

export const SubscribeLineSchema = z.discriminatedUnion('type', [
  /** What is published from now on comes. */
  z.object({ type: z.literal('ready'), confirmed: z.number(), unconfirmed: z.number() }),
  z.object({
    type: z.literal('event'),
    id: z.string(),
    topic: z.string(),
    data: z.unknown(),
    source: z.string(),
    /** Empty where the publisher is not known. */
    name: z.string(),
    timestamp: z.number(),
    epoch: z.number(),
    sequence: z.number(),
    eventType: z.string().optional(),
    conversationId: z.string().optional(),
    correlationId: z.string().optional(),
    headers: z.record(z.string(), z.string()).optional(),
    priority: z.string(),
  }),
  /** Events that did not come and will not; `overflow`: this reader was too slow. */
  z.object({
    type: z.literal('missed'),
    publisher: z.string(),
    word: z.string(),
    reason: z.enum(['gap', 'overflow']),
    count: z.number(),
  }),
])
export type SubscribeLine = z.output<typeof SubscribeLineSchema>

export const PublishSchema = z.strictObject({
  topic: z.string().max(256),
  /** Each is one event. */
  events: z.array(z.unknown()).min(1).max(MAX_BATCH),
  type: z.string().max(128).optional(),
  headers: z.record(z.string(), z.string()).optional(),
  ttlMs: TimeoutSchema.optional(),
})
export const PublishedSchema = z.object({
  published: z.number(),
  /** Of the last one. */
  id: z.string(),
  /** Neighbours that it went to directly. */
  recipients: z.number(),
})

export const SendSchema = z.strictObject({
  type: z.string().max(64),
  data: z.unknown(),
  /** Names or ids. */
  to: z.array(z.string().max(256)).min(1).max(64).optional(),
  /** Who receives this type, or serves a protocol of this name. */
  capability: z.string().max(64).optional(),
  version: z.string().max(32).default('1.0.0'),
  guarantee: z.enum(['AT_MOST_ONCE', 'AT_LEAST_ONCE', 'EXACTLY_ONCE']).optional(),
  rebind: z.literal('allowed').optional(),
  conversationId: z.string().max(128).optional(),
  headers: z.record(z.string(), z.string()).optional(),
  ttlMs: TimeoutSchema.optional(),
  /** Milliseconds that the answer waits until all have processed it. */
  waitMs: TimeoutSchema.optional(),
  /** Also where nobody receives this type now. */
  keep: z.boolean().optional(),
})
export const SentSchema = z.object({
  id: z.string(),
  destinations: z.array(z.string()),
  /** All have processed it; only where it was waited for. */
  delivered: z.boolean().optional(),
  /** Names of those peers that were asked for and do not say that they receive this type. */
  notReceiving: z.array(z.string()).optional(),
})

export const TransferSchema = z.strictObject({ to: z.string().max(256).optional(), timeoutMs: TimeoutSchema })
export const TransferredSchema = z.object({
  epoch: z.number(),
  leader: z.string(),
  before: z.string(),
  leaderName: z.string(),
  beforeName: z.string(),
})
export const RaftMemberSchema = z.strictObject({ timeoutMs: TimeoutSchema })
export const RaftMemberWithdrawnSchema = z.object({ voters: z.number().optional() })

export const TopSchema = z.object({
  /** Milliseconds since 1970, and of a clock that never jumps, for rates. */
  at: z.number(),
  monotonicMs: z.number(),
  self: SelfSchema,
  readiness: ReadinessSchema,
  peers: z.array(PeerSchema),
  agents: z.array(AgentSchema),
  /** The busiest, at most 100, with all events that were ever published or received here. */
  topics: z.array(TopicSchema.extend({ published: z.number(), received: z.number() })),
  coordinator: z.object({
    id: z.string().optional(),
    name: z.string().optional(),
    epoch: z.number(),
    quorum: z.boolean(),
    voters: z.number(),
    seat: z.string(),
  }),
  frames: z.object({ in: z.number(), out: z.number(), bytesIn: z.number(), bytesOut: z.number() }),
  requests: z.object({ active: z.number(), queued: z.number() }),
  delivery: z.object({ outbox: z.number(), held: z.number(), inbox: z.number(), deadLetters: z.number() }),
})
export type TopView = z.output<typeof TopSchema>

export const OutboxQuerySchema = z.strictObject({
  limit: z.int().min(1).max(1_000).default(100),
  /** The last one of the page before. */
  after: z.string().max(512).optional(),
})

export const OutboxSchema = z.object({
  /** Of all. */
  messages: z.number(),
  bytes: z.number(),
  entries: z.array(
    z.object({
      key: z.string(),
      messageId: z.string(),
      type: z.string(),
      /** A peer id, or `capability:<name>`. */
      destination: z.string(),
      /** Of the peer; empty where it is not known. */
      name: z.string(),
      guarantee: z.string(),
      conversationId: z.string().optional(),
      /** Milliseconds since 1970. */
      sentAt: z.number(),
      expiresAt: z.number().optional(),
      waitsFor: z.enum(WAITS_FOR),
      attempts: z.number(),
      code: z.string().optional(),
      reason: z.string().optional(),
      bytes: z.number(),
    }),
  ),
})
export type OutboxView = z.output<typeof OutboxSchema>

export const DescribeQuerySchema = z.strictObject({
  /** Name or id of an agent, or name of a protocol. */
  what: z.string().min(1).max(256),
})
export const DescribedSchema = z.object({
  kind: z.enum(['agent', 'protocol']),
  /** The agent, or all that offer the protocol, with nothing else of what they offer. */
  agents: z.array(AgentDetailsSchema),
})
export type Described = z.output<typeof DescribedSchema>
