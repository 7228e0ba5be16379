/** The budget of a task, as it was submitted and as its record has it. Pure. */
import * as z from 'zod'
import { AmountsSchema, MAX_DEPTH } from '../budget/amounts.ts'

/** What a task may use up, as it was submitted; level 5. */
export const TaskBudgetSchema = z.object({
  amounts: AmountsSchema,
  /** How often what it has may be passed on. */
  depth: z.int().min(0).max(MAX_DEPTH).optional(),
})
export const TaskBudgetStateSchema = TaskBudgetSchema.extend({
  /** All that counts as spent: what attempts drew and did not give back. */
  used: AmountsSchema,
  /** Of that, what the attempt in work has drawn. */
  open: AmountsSchema.optional(),
  /** Draws of the attempt in work. */
  draws: z.int().nonnegative().optional(),
  /** When its parent was submitted, to which what it leaves comes back; absent: to nobody, or to who submitted it. Level 6. */
  returnsTo: z.number().optional(),
})
