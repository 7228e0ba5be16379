/**
 * What is decided about plans: each change is let through or refused by itself. Pure.
 *
 * `plans.decide` takes those of level 1, `plans.spend` also what level 3 of the part brought: the first has to stay as it is, as it
 * stands in logs.
 */
import * as z from 'zod'
import { AmountsSchema } from '../../budget/amounts.ts'
import { FenceSchema } from '../../journal/fencing/fence.ts'
import { TaskId } from '../../task/task-record.ts'
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

/** Of whoever has a goal. The same again is the same plan. */
const FirstProposeSchema = z.object({ do: z.literal('propose'), id: PlanId, goal: GoalSchema })
const ProposeSchema = FirstProposeSchema.extend({
  /** What all its tasks may use up together; level 3. */
  budget: AmountsSchema.optional(),
})

/** Of the attempt in work at a task of the plan, under its fence: draws of what the plan has; level 3. */
const DrawSchema = z.object({
  do: z.literal('draw'),
  id: PlanId,
  task: TaskId,
  fence: FenceSchema,
  /** Which draw of this attempt, from 1: the same one again changes nothing. */
  number: z.int().min(1),
  /** Counts as spent from here on, until some of it is given back. */
  amounts: AmountsSchema,
  /** Of what this attempt drew before, and did not spend. */
  back: AmountsSchema.optional(),
})

/** As they are at all levels. */
const CHANGES = [
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
] as const

export const FirstPlanChangeSchema = z.discriminatedUnion('do', [FirstProposeSchema, ...CHANGES])
export const PlanChangeSchema = z.discriminatedUnion('do', [ProposeSchema, DrawSchema, ...CHANGES])
export type PlanChange = z.output<typeof PlanChangeSchema>
export type PlanChangeOf<D extends PlanChange['do']> = Extract<PlanChange, { do: D }>
/** What moves a plan, of its coordinator. */
export type PlanMoveChange = Exclude<PlanChange, { do: 'propose' | 'cancel' | 'draw' | 'forget' }>

/** The level of the part that a voter has to have for it. */
export const levelOfPlanChange = (change: PlanChange): 1 | 3 =>
  change.do === 'draw' || (change.do === 'propose' && change.budget !== undefined) ? 3 : 1
