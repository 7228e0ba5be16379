/** What travels over the control socket for `parley plan`: POST `/api/plans/list`, `make`, `show` and `cancel`. */
import * as z from 'zod'
import { AmountsSchema } from '../../protocols/budget/amounts.ts'
import {
  AssignmentSchema,
  MAX_PLAN_TASKS,
  OUTCOMES,
  PlanId,
  PlanReason,
  PlanText,
} from '../../protocols/coordination/plan-record.ts'
import { PLAN_STATES, PLAN_TRIGGERS } from '../../protocols/coordination/plan-states.ts'
import { TimeoutSchema } from './control-schemas.ts'

export const PlansQuerySchema = z.strictObject({ timeoutMs: TimeoutSchema })
export const PlanQuerySchema = z.strictObject({ id: PlanId, timeoutMs: TimeoutSchema })
export const MakePlanSchema = z.strictObject({
  id: PlanId.optional(),
  goal: PlanText,
  /** Of its tasks. */
  type: z.string().min(1).max(64),
  /** One task for each. */
  inputs: z.array(z.unknown()).min(1).max(MAX_PLAN_TASKS),
  timeoutMs: TimeoutSchema,
})
export const CancelPlanSchema = PlanQuerySchema.extend({ reason: PlanReason.optional() })

export const PlanShownSchema = z.object({
  id: z.string(),
  goal: z.string(),
  owner: z.string(),
  state: z.enum(PLAN_STATES),
  outcome: z.enum(OUTCOMES).optional(),
  reason: z.string().optional(),
  revision: z.number(),
  tasks: z.array(z.string()),
  assignments: z.array(AssignmentSchema),
  offline: z.array(z.string()),
  failures: z.number(),
  budget: z.object({ amounts: AmountsSchema, used: AmountsSchema, left: AmountsSchema }).optional(),
  moves: z.array(
    z.object({
      at: z.number(),
      trigger: z.enum(PLAN_TRIGGERS),
      state: z.enum(PLAN_STATES),
      epoch: z.number(),
      reason: z.string().optional(),
    }),
  ),
  madeAt: z.number(),
  changedAt: z.number(),
})
export const PlansShownSchema = z.object({ plans: z.array(PlanShownSchema) })
