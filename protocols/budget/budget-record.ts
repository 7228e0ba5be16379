/**
 * Budgets and who holds them, as the journal has them. Pure.
 *
 * Of each amount that a budget limits, `spent + drawn + lent + returned <= amounts` at every index: `drawn` is the sum of its open
 * draws, `lent` what its open loans have not returned. A loan is a budget too, of its holder, and stands below its parent.
 */
import { toString as encodeText } from 'uint8arrays/to-string'
import * as z from 'zod'
import { partPrefix } from '../part.ts'
import type { Port } from '../port.ts'
import { type Amounts, AmountsSchema, LimitsSchema, less, MAX_DEPTH, NO_AMOUNTS, sum } from './amounts.ts'

export const BUDGETS_PART = 'budgets'
const PREFIX = partPrefix(BUDGETS_PART)
export const BUDGET_PREFIX = `${PREFIX}b/`
export const HOLDER_PREFIX = `${PREFIX}h/`
const DRAWS_PREFIX = `${PREFIX}d/`
const SHARE_PREFIX = `${PREFIX}s/`
export const budgetKey = (id: string): string => BUDGET_PREFIX + id
export const holderKey = (peer: string): string => HOLDER_PREFIX + peer
export const drawsKey = (id: string): string => DRAWS_PREFIX + id
export const shareKey = (peer: string): string => SHARE_PREFIX + peer

export const BudgetId = z
  .string()
  .max(128)
  .regex(/^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/, 'use 1 to 128 letters, digits, _ and -, with single dots between them')
export const DrawId = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/, 'use 1 to 32 letters, digits, _ and -, beginning with a letter or digit')
const ID_BYTES = 12
export const newBudgetId = ({ random }: Pick<Port, 'random'>): string => encodeText(random(ID_BYTES), 'base64url')
/** A peer id. */
export const HolderId = z.string().regex(/^[\x21-\x7e]{1,128}$/, 'use 1 to 128 letters and signs of ASCII')
const Count = z.int().nonnegative()
const Millis = z.number().nonnegative().max(Number.MAX_SAFE_INTEGER)

/** Why a budget ended whose deadline has passed. */
export const DEADLINE = 'deadline'

/** Milliseconds by the journal's clock that a loan waits to be taken. */
export const TAKE_MS = 30_000

export const HolderRecordSchema = z.object({
  /** Index of the entry that it was registered by: another one is another life of the node. */
  registration: Count,
  /** Tells lives of the node apart: the later one is higher. */
  incarnation: z.number(),
  /** Milliseconds since 1970 by the journal's clock. */
  renewedAt: Millis,
  /** Budgets that end with this life. */
  holds: Count,
  /** It is not renewed any more: all that it holds ends, then it goes. */
  isOver: z.boolean().optional(),
})
export type HolderRecord = z.output<typeof HolderRecordSchema>

/**
 * `offered`: a loan that its holder has not taken. `closing`: nothing more is drawn of it or lent, and what is open ends by
 * itself. `closed`: final, and kept for a while to be read.
 */
export const BUDGET_STATUSES = ['offered', 'open', 'closing', 'closed'] as const
export type BudgetStatus = (typeof BUDGET_STATUSES)[number]

export const BudgetRecordSchema = z.object({
  status: z.enum(BUDGET_STATUSES),
  /** Peer id of who draws from it and lends of it. */
  holder: HolderId,
  /** The life of the holder that it ends with; absent: it is not taken, or nothing of it is open that ends with a life. */
  registration: Count.optional(),
  /** The budget that it was lent of, and by whom; absent: it is a root. */
  parent: BudgetId.optional(),
  lender: HolderId.optional(),
  /** Budgets above it. */
  level: Count.max(MAX_DEPTH),
  amounts: AmountsSchema,
  limits: LimitsSchema,
  /** As receipts and closed loans say. */
  spent: AmountsSchema,
  drawn: AmountsSchema,
  lent: AmountsSchema,
  /** What its parent has again. */
  returned: AmountsSchema,
  /** What was spent above draws and loans. */
  overspent: AmountsSchema.optional(),
  /** And of that, what this budget had no room for: it was spent beside `spent`. */
  uncovered: AmountsSchema.optional(),
  /** Open ones. */
  draws: Count,
  loans: Count,
  /** Milliseconds since 1970 by the journal's clock. */
  openedAt: Millis,
  changedAt: Millis,
  /** Why it ended, where nobody closed it. */
  reason: z.string().max(256).optional(),
  /** How much room who made it answers for, bytes. */
  size: Count,
})
export type BudgetRecord = z.output<typeof BudgetRecordSchema>

/** By id: what each open draw may come to. */
export type OpenDraws = Readonly<Record<string, Amounts>>

/** Of what it limits: not spent, drawn, lent or returned. */
export const freeOf = ({ amounts, spent, drawn, lent, returned }: BudgetRecord): Amounts =>
  [spent, drawn, lent, returned].reduce<Amounts>(less, amounts)

/** All that was really spent of it, as far as it is known. */
export const spentOf = ({ spent, uncovered }: BudgetRecord): Amounts => sum(spent, uncovered ?? NO_AMOUNTS)
