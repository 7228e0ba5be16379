/** What is decided about plans: each change is let through or refused by itself. Pure. */
import * as z from 'zod'
import {
  ADJUSTMENTS,
  Assignments,
  GoalSchema,
  MAX_OFFLINE,
  OfflineSchema,
  OUTCOMES,
  PlanId,
  PlanReason,
} from '../plan-record.ts'

export const MAX_CHANGES_AT_ONCE = 64
const MAX_FORGOTTEN = 256

const Count = z.int().nonnegative()
/** Of the coordinator of this epoch alone. */
const coordinating = { epoch: Count }
/** As of this version of the plan: index of the decision that it was read with. */
const ofPlan = { ...coordinating, id: PlanId, as: Count }

/** Agents that are marked offline by it. */
const marked = { offline: z.array(OfflineSchema).max(MAX_OFFLINE).optional() }

export const PlanChangeSchema = z.discriminatedUnion('do', [
  /** Of whoever has a goal. The same again is the same plan. */
  z.object({ do: z.literal('propose'), id: PlanId, goal: GoalSchema }),
  /** Of its owner. */
  z.object({ do: z.literal('cancel'), id: PlanId, reason: PlanReason.optional() }),

  z.object({ do: z.literal('system_state_change'), ...ofPlan, reason: PlanReason.optional() }),
  z.object({
    do: z.literal('plan_ready'),
    ...ofPlan,
    assignments: Assignments,
    ...marked,
    reason: PlanReason.optional(),
  }),
  z.object({ do: z.literal('coordination_failure'), ...ofPlan, reason: PlanReason, ...marked }),
  z.object({ do: z.literal('execution_started'), ...ofPlan }),
  z.object({
    do: z.literal('adjustment_needed'),
    ...ofPlan,
    adjustment: z.enum(ADJUSTMENTS),
    ...marked,
    reason: PlanReason.optional(),
  }),
  z.object({ do: z.literal('completion'), ...ofPlan, outcome: z.enum(OUTCOMES), reason: PlanReason.optional() }),
  z.object({ do: z.literal('retry_coordination'), ...ofPlan }),
  /** It is given up: what had been begun was rolled back. */
  z.object({ do: z.literal('recovery_complete'), ...ofPlan, reason: PlanReason }),

  /** Plans that were over a while ago. */
  z.object({ do: z.literal('forget'), ...coordinating, ids: z.array(PlanId).max(MAX_FORGOTTEN) }),
])
export type PlanChange = z.output<typeof PlanChangeSchema>
export type PlanChangeOf<D extends PlanChange['do']> = Extract<PlanChange, { do: D }>
/** What moves a plan, of its coordinator. */
export type PlanMoveChange = Exclude<PlanChange, { do: 'propose' | 'cancel' | 'forget' }>
