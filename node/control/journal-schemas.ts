/**
 * What travels over the control socket for `parley journal`.
 *
 * | Path | |
 * |---|---|
 * | POST `/api/journal/get`, `/api/journal/list`, `/api/journal/put`, `/api/journal/delete` | |
 * | POST `/api/journal/watch` | a stream |
 */
import * as z from 'zod'
import { TimeoutSchema } from './control-schemas.ts'

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
