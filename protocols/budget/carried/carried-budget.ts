/**
 * What of a budget travels with a request, a message or a task: amounts, and limits as whoever gets it sees them. Pure.
 *
 * A deadline travels as the time that is left, so that no clock has to agree with another.
 */
import * as z from 'zod'
import { type Amounts, AmountsSchema, isLimited, type Limits, less, MAX_DEPTH } from '../amounts.ts'
import { Slice } from '../slice.ts'

/** A month: whoever gets it is bound by more than that. */
const MAX_LEFT_MS = 31 * 86_400_000

export const CarriedBudgetSchema = z.object({
  amounts: AmountsSchema,
  /** How often it may be passed on. */
  depth: z.int().min(0).max(MAX_DEPTH).optional(),
  /** Milliseconds until its deadline, when it was written. */
  leftMs: z.int().min(0).max(MAX_LEFT_MS).optional(),
})
export interface CarriedBudget {
  readonly amounts: Amounts
  readonly depth?: number | undefined
  readonly leftMs?: number | undefined
}

/** @param amounts what is left @param nowMs milliseconds since 1970 */
export const carriedOf = (amounts: Amounts, { depth, deadlineAt }: Limits, nowMs: number): CarriedBudget => ({
  amounts,
  ...(depth !== undefined && { depth }),
  ...(deadlineAt !== undefined && { leftMs: Math.max(0, Math.min(MAX_LEFT_MS, Math.floor(deadlineAt - nowMs))) }),
})

/** Its limits, and nothing of what it limits: for what may be done more than once. */
export const withoutAmounts = ({ amounts, ...limits }: CarriedBudget): CarriedBudget => ({
  ...limits,
  amounts: less(amounts, amounts),
})

/**
 * When it was written, of what may have waited on its way: as who wrote it says, but not after it came. Clocks of peers differ by
 * a minute at most, or they refuse each other.
 * @param saidMs milliseconds since 1970, by the clock of who wrote it
 * @param cameMs milliseconds since 1970, by ours
 */
export const writtenAt = (saidMs: number, cameMs: number): number => Math.max(0, Math.min(saidMs, cameMs))

/** As it is spent here. @param nowMs milliseconds since 1970 when it came, or was written */
export const sliceOf = ({ amounts, depth, leftMs }: CarriedBudget, nowMs: number): Slice =>
  new Slice({
    amounts,
    limits: {
      ...(depth !== undefined && { depth: Math.min(depth, MAX_DEPTH) }),
      ...(leftMs !== undefined && { deadlineAt: Math.floor(nowMs + Math.min(leftMs, MAX_LEFT_MS)) }),
    },
  })

/** As an envelope shows it. */
export const EnvelopeBudget = z.object({
  ...AmountsSchema.shape,
  depth: z.int().nonnegative().optional(),
  /** Milliseconds left for all of it. */
  deadline: z.int().nonnegative().optional(),
})

export const envelopeBudget = ({ amounts, depth, leftMs }: CarriedBudget): z.output<typeof EnvelopeBudget> => ({
  ...(isLimited(amounts, 'tokens') && { tokens: amounts.tokens }),
  ...(isLimited(amounts, 'cost') && { cost: amounts.cost }),
  ...(isLimited(amounts, 'fanOut') && { fanOut: amounts.fanOut }),
  ...(depth !== undefined && { depth }),
  ...(leftMs !== undefined && { deadline: leftMs }),
})
