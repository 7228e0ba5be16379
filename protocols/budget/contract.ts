/** How nodes that hold or lend budgets talk to the coordinator. Wire id `/parley/budget/1`. */
import * as z from 'zod'
import { defineProtocol } from '../define.ts'
import type { FedRecords } from '../journal/feed/open-feed.ts'
import { BUDGET_PREFIX, BudgetId, type BudgetRecord, BudgetRecordSchema, budgetKey } from './budget-record.ts'

const Version = z.int().nonnegative()

/** One budget as of a version. */
export const FedBudgetSchema = z.object({
  id: BudgetId,
  version: Version,
  /** Absent: it was closed a while ago. */
  budget: BudgetRecordSchema.optional(),
})
export type FedBudget = z.output<typeof FedBudgetSchema>

export const budgetProtocol = defineProtocol({
  name: 'budget',
  version: '1.0.0',
  methods: {
    feed: {
      description: 'Changes of the budgets that the caller holds or lent',
      request: z.object({
        meshId: z.string().min(1).max(64),
        /** Changes after this version; absent: all there is, first. */
        from: Version.optional(),
      }),
      stream: z.object({
        version: Version,
        /** All there is: a budget that is not among them, up to `last`, is over or not the caller's. */
        reset: z.boolean().optional(),
        last: z.boolean(),
        budgets: z.array(FedBudgetSchema),
      }),
      priority: 'high',
      // It is followed for as long as both are there; the follower begins again after that.
      timeoutMs: 86_400_000,
    },
  },
})

/** What the coordinator tells each node of: the budgets that it holds or lent. */
export const FED_BUDGETS: FedRecords<BudgetRecord, FedBudget> = {
  of: 'budgets',
  prefix: BUDGET_PREFIX,
  peersOf: ({ holder, lender }) => [holder, lender],
  read({ machine: { records } }, _peer, id, version) {
    const found = records.get(budgetKey(id))
    // This part wrote it.
    return found === undefined ? { id, version } : { id, version: found.version, budget: found.value as BudgetRecord }
  },
  bytesOf: ({ budget }) => 64 + (budget?.size ?? 0),
}
