/** What the control socket takes and gives for `parley bench`: calls, as many as can be made, for some time. */
import * as z from 'zod'
import { CallSchema } from './control-schemas.ts'

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
