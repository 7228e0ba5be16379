/** What is decided about budgets: each change is let through or refused by itself. Pure. */
import * as z from 'zod'
import { AmountsSchema, LimitsSchema } from '../amounts.ts'
import { BudgetId, DrawId, HolderId } from '../budget-record.ts'

export const MAX_CHANGES = 256
const MAX_FORGOTTEN = 256

const Count = z.int().nonnegative()
/** Of the coordinator of this epoch alone. */
const coordinating = { epoch: Count }
/** In that life of who asks. */
const ofHolder = { registration: Count }

export const BudgetChangeSchema = z.discriminatedUnion('do', [
  /** A node says that it is there: what it holds ends with it. */
  z.object({ do: z.literal('register'), incarnation: z.number() }),
  z.object({ do: z.literal('renew'), ...ofHolder }),
  z.object({ do: z.literal('withdraw'), ...ofHolder }),

  /** A root. */
  z.object({ do: z.literal('open'), ...ofHolder, id: BudgetId, amounts: AmountsSchema, limits: LimitsSchema }),
  /** A part of one for another node. */
  z.object({
    do: z.literal('lend'),
    ...ofHolder,
    id: BudgetId,
    parent: BudgetId,
    to: HolderId,
    amounts: AmountsSchema,
    limits: LimitsSchema,
  }),
  /** By the node that it was lent to: from here on it ends with that node's life. */
  z.object({ do: z.literal('take'), ...ofHolder, id: BudgetId }),
  z.object({
    do: z.literal('draw'),
    ...ofHolder,
    id: BudgetId,
    draw: DrawId,
    amounts: AmountsSchema,
    /** As much as there is, but not less than this; all of it unless told. */
    least: AmountsSchema.optional(),
  }),
  /** What became of a draw. */
  z.object({ do: z.literal('receipt'), ...ofHolder, id: BudgetId, draw: DrawId, spent: AmountsSchema }),
  z.object({ do: z.literal('close'), id: BudgetId }),

  /** Its holder is over, nobody took it, or its deadline has passed. */
  z.object({ do: z.literal('expire'), ...coordinating, id: BudgetId, reason: z.string().max(256) }),
  /** It was not renewed for as long as it may. */
  z.object({ do: z.literal('dismiss'), ...coordinating, peer: HolderId, ...ofHolder }),
  /** What was kept to be read. */
  z.object({ do: z.literal('forget'), ...coordinating, ids: z.array(BudgetId).max(MAX_FORGOTTEN) }),
])
export type BudgetChange = z.output<typeof BudgetChangeSchema>
export type BudgetChangeOf<D extends BudgetChange['do']> = Extract<BudgetChange, { do: D }>
