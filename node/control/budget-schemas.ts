/** What travels over the control socket for `parley budget`: POST `/api/budgets/list`, `/api/budgets/tree`. */
import * as z from 'zod'
import { AmountsSchema, LimitsSchema } from '../../protocols/budget/amounts.ts'
import { BUDGET_STATUSES, BudgetId } from '../../protocols/budget/budget-record.ts'
import { TimeoutSchema } from './control-schemas.ts'

export const BudgetsQuerySchema = z.strictObject({ timeoutMs: TimeoutSchema })
export const BudgetTreeQuerySchema = z.strictObject({ timeoutMs: TimeoutSchema, id: BudgetId })

export const BudgetShownSchema = z.object({
  id: z.string(),
  status: z.enum(BUDGET_STATUSES),
  holder: z.string(),
  lender: z.string().optional(),
  parent: z.string().optional(),
  amounts: AmountsSchema,
  limits: LimitsSchema,
  spent: AmountsSchema,
  drawn: AmountsSchema,
  lent: AmountsSchema,
  free: AmountsSchema,
  overspent: AmountsSchema,
  openedAt: z.number(),
  changedAt: z.number(),
  reason: z.string().optional(),
})
export type BudgetShown = z.output<typeof BudgetShownSchema>

export const BudgetsShownSchema = z.object({ budgets: z.array(BudgetShownSchema) })
/** Of a tree: each one before what was lent of it, with how deep it stands below the one that was asked for. */
export const BudgetTreeShownSchema = z.object({
  budgets: z.array(BudgetShownSchema.extend({ depth: z.int().nonnegative() })),
})
