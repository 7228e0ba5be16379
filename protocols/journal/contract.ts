/** How nodes ask the members of a journal. Wire id `/parley/journal/1`. */
import * as z from 'zod'
import { defineProtocol } from '../define.ts'
import { FenceSchema } from './fencing/fence.ts'
import { JsonSchema } from './state/built-in-kinds.ts'
import { MAX_KEY } from './state/record-transaction.ts'

const Count = z.int().nonnegative()
const MeshId = z.string().min(1).max(64)
const Key = z.string().max(MAX_KEY)
/** Bytes of records in one answer, about. */
export const PAGE_BYTES = 131_072
export const PAGE_RECORDS = 1_000

const RecordSchema = z.object({ key: Key, version: Count, term: Count, value: JsonSchema })
export type WireRecord = z.output<typeof RecordSchema>

const RowsSchema = z.object({
  version: Count,
  rows: z.array(z.object({ key: Key, value: JsonSchema })),
  more: z.boolean(),
})
export type RowsRead = z.output<typeof RowsSchema>

const ChangeSchema = z.object({
  key: Key,
  fence: FenceSchema,
  at: z.number(),
  /** Absent: it was deleted. */
  value: JsonSchema.optional(),
})

/** The error that a command was answered with, as `toFault` makes it. */
const FaultSchema = z.object({
  code: z.string().max(16),
  message: z.string(),
  hint: z.string().optional(),
  details: z.record(z.string(), z.unknown()).optional(),
})

export const CommandAnswerSchema = z.discriminatedUnion('ok', [
  z.object({ ok: z.literal(true), version: Count, term: Count, result: JsonSchema }),
  z.object({ ok: z.literal(false), version: Count, term: Count, fault: FaultSchema }),
])
export type WireAnswer = z.output<typeof CommandAnswerSchema>

export const journalProtocol = defineProtocol({
  name: 'journal',
  version: '1.0.0',
  methods: {
    submit: {
      description: 'Decide a command; the leader takes it, others say who leads',
      request: z.object({
        meshId: MeshId,
        kind: z.string().min(1).max(64),
        session: Count,
        serial: Count,
        acked: Count,
        input: JsonSchema,
      }),
      response: CommandAnswerSchema,
      priority: 'high',
      timeoutMs: 10_000,
    },
    read: {
      description: 'Records as of now, or as this member has them',
      request: z.object({
        meshId: MeshId,
        /** One key, or all that begin with `prefix`, after `after`. */
        key: Key.optional(),
        prefix: Key.optional(),
        after: Key.optional(),
        most: z.int().positive().max(PAGE_RECORDS).optional(),
        consistency: z.enum(['linearizable', 'local']),
      }),
      response: z.object({ version: Count, records: z.array(RecordSchema), more: z.boolean() }),
      idempotent: true,
      priority: 'high',
      timeoutMs: 10_000,
    },
    rows: {
      description: 'Rows of a collection as of now, or as this member has them',
      request: z.object({
        meshId: MeshId,
        collection: Key.min(1),
        /** This row alone; what is older does not know this field, and tells a page. */
        key: Key.optional(),
        /** Rows behind this key. */
        after: Key.optional(),
        most: z.int().positive().max(PAGE_RECORDS).optional(),
        consistency: z.enum(['linearizable', 'local']),
      }),
      response: RowsSchema,
      idempotent: true,
      priority: 'high',
      timeoutMs: 10_000,
    },
    follow: {
      description: 'Changes after a version, as they are decided',
      request: z.object({ meshId: MeshId, prefix: Key, from: Count.optional() }),
      stream: z.discriminatedUnion('type', [
        /** Everything there is, in one or more parts: what came before is not needed any more. */
        z.object({
          type: z.literal('records'),
          version: Count,
          records: z.array(RecordSchema),
          /** The first part, and the last one. */
          first: z.boolean(),
          last: z.boolean(),
        }),
        z.object({ type: z.literal('changes'), version: Count, changes: z.array(ChangeSchema) }),
      ]),
      priority: 'high',
      // It is followed for as long as both are there; the follower begins again after that.
      timeoutMs: 86_400_000,
    },
  },
})
