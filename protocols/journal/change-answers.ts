/** Answers of a command that carries several changes: each is let through or refused by itself. Pure. */
import * as z from 'zod'
import { isParleyError, toFault } from '../errors.ts'
import { JsonSchema } from './state/built-in-kinds.ts'
import type { Json } from './state/command-kind.ts'

export const ChangeFaultSchema = z.object({
  code: z.string().max(16),
  message: z.string().max(1_024),
  hint: z.string().max(1_024).optional(),
  details: z.record(z.string(), JsonSchema).optional(),
})
export const ChangeAnswerSchema = z.union([z.object({ ok: JsonSchema }), z.object({ fault: ChangeFaultSchema })])
export type ChangeAnswer = z.output<typeof ChangeAnswerSchema>

/** @throws what is no refusal, and a refusal once something was written: all of the command has to fail with it then */
export const answerChange = (ledger: { readonly hasWritten: boolean }, apply: () => unknown): ChangeAnswer => {
  try {
    return { ok: (apply() ?? null) as Json }
  } catch (error) {
    if (!isParleyError(error) || ledger.hasWritten) throw error
    return { fault: toFault(error) as Extract<ChangeAnswer, { fault: unknown }>['fault'] }
  }
}

/** Codes of what was refused. */
export const refusalsOf = (answers: readonly ChangeAnswer[]): string[] =>
  answers.flatMap((one) => ('fault' in one ? [one.fault.code] : []))
