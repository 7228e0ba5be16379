/**
 * What travels over the control socket for `parley outbox`, `describe`, `journal` and `bench`; the rest is in control-schemas.ts.
 *
 * | Path | |
 * |---|---|
 * | POST `/api/outbox`, `/api/describe` | |
 * | POST `/api/journal/get`, `/api/journal/list`, `/api/journal/put`, `/api/journal/delete` | |
 * | POST `/api/journal/watch`, `/api/bench` | streams |
 */
import * as z from 'zod'
import { WAITS_FOR } from '../../protocols/delivery/send/outbox-list.ts'
import { AgentDetailsSchema } from '../observe/debug/debug-schemas.ts'
import { CallSchema, TimeoutSchema } from './control-schemas.ts'

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

const Key = z.string().min(1).max(512)

export const RecordSchema = z.object({
  key: z.string(),
  value: z.unknown(),
  /** Index of the entry that wrote it last. */
  version: z.number(),
})
export const JournalGetSchema = z.strictObject({ key: Key, timeoutMs: TimeoutSchema })
export const JournalListSchema = z.strictObject({ prefix: z.string().max(512), timeoutMs: TimeoutSchema })
export const JournalPutSchema = z.strictObject({
  key: Key,
  value: z.unknown(),
  /** 0: only where there is none. */
  ifVersion: z.int().min(0).optional(),
  timeoutMs: TimeoutSchema,
})
export const JournalDeleteSchema = JournalPutSchema.omit({ value: true })
export const JournalWatchSchema = z.strictObject({ prefix: z.string().max(512), from: z.int().min(0).optional() })

/** Absent: there is none. */
export const JournalFoundSchema = z.object({ record: RecordSchema.optional() })
export const JournalListedSchema = z.object({ version: z.number(), records: z.array(RecordSchema) })
export const JournalWrittenSchema = z.object({ version: z.number(), existed: z.boolean().optional() })

export const JournalLineSchema = z.discriminatedUnion('type', [
  /** All that there is; what came before is void. */
  z.object({ type: z.literal('records'), version: z.number(), records: z.array(RecordSchema) }),
  z.object({
    type: z.literal('change'),
    version: z.number(),
    key: z.string(),
    at: z.number(),
    isDeleted: z.boolean(),
    value: z.unknown(),
  }),
])
export type JournalLine = z.output<typeof JournalLineSchema>

export const BenchSchema = CallSchema.omit({ all: true }).extend({
  /** Milliseconds that it goes on. */
  forMs: z.int().min(100).max(600_000),
  /** Calls at a time. */
  concurrency: z.int().min(1).max(256),
})
export type BenchRequest = z.output<typeof BenchSchema>

const BenchFigures = z.object({
  seconds: z.number(),
  calls: z.number(),
  /** By code. */
  errors: z.record(z.string(), z.number()),
  perSecond: z.number(),
  /** Milliseconds of the calls that were answered; absent where none was. */
  p50Ms: z.number().optional(),
  p95Ms: z.number().optional(),
  p99Ms: z.number().optional(),
  maxMs: z.number().optional(),
})
export type BenchFigures = z.output<typeof BenchFigures>

/** `figures` each second, of all so far; `result` once, at the end. */
export const BenchLineSchema = z.discriminatedUnion('type', [
  BenchFigures.extend({ type: z.literal('figures') }),
  BenchFigures.extend({ type: z.literal('result'), lastError: z.string().optional() }),
])
export type BenchLine = z.output<typeof BenchLineSchema>
