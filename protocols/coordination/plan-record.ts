/**
 * A plan as the journal has it: a goal, the tasks that reach it, who was chosen for each, and how far that is. Pure.
 *
 * There is one plan for each goal. Its tasks are tasks like others (protocols/task/), held for the plan: they go to the agent
 * that the plan says. A plan that is over has an outcome: in `idle`, or where it was when it was canceled.
 */
import * as z from 'zod'
import { AmountsSchema } from '../budget/amounts.ts'
import { FenceSchema } from '../journal/fencing/fence.ts'
import { partPrefix } from '../part.ts'
import { AllocationId, PeerId } from '../resource/resource-record.ts'
import { TaskId } from '../task/task-record.ts'
import { PLAN_STATES, PLAN_TRIGGERS } from './plan-states.ts'

export const PLANS_PART = 'plans'
const PREFIX = partPrefix(PLANS_PART)
export const PLAN_PREFIX = `${PREFIX}p/`
const USAGE_PREFIX = `${PREFIX}u/`
export const PLAN_BUDGET_PREFIX = `${PREFIX}b/`
export const planKey = (id: string): string => PLAN_PREFIX + id
export const planUsageKey = (peer: string): string => USAGE_PREFIX + peer
/** What is used of the budget of a plan that is not over. */
export const planBudgetKey = (id: string): string => PLAN_BUDGET_PREFIX + id

/** Tasks of one plan. */
export const MAX_PLAN_TASKS = 128
/** Agents that a plan has marked offline. */
export const MAX_OFFLINE = 32
/** Moves that are kept: the newest. */
export const MAX_MOVES = 16
const MAX_TEXT = 1_024

export const PlanId = AllocationId
export const DirectiveId = z.uuid()
export const GeneratorName = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,47}$/, 'use 1 to 48 small letters, digits and -, beginning with a letter')
const Count = z.int().nonnegative()
const Millis = z.number().nonnegative().max(Number.MAX_SAFE_INTEGER)
export const PlanText = z.string().min(1).max(MAX_TEXT)
/** Characters of why something is so. */
export const MAX_REASON = 160
export const PlanReason = z.string().max(MAX_REASON)
export const cutReason = (text: string): string => text.slice(0, MAX_REASON)
/** Others say why. What JSON writes longer than it is is said otherwise: an owner answers for so many bytes of each plan. */
export const planReason = (text: string): string =>
  cutReason(text)
    .toWellFormed()
    .replace(/\p{Cc}/gu, ' ')
    .replaceAll('"', "'")
    .replaceAll('\\', '/')
/** Why a plan ended that is made anew by the same again: it never had its tasks. */
export const NOT_SUBMITTED = 'its tasks were not submitted'
/** Why one ended that is not made anew: some of its tasks were submitted, and have ended with it. */
export const PARTLY_SUBMITTED = 'some of its tasks were not submitted'
/** How much each counts when an agent is chosen: 0 to 1,000. */
const Weight = z.number().min(0).max(1_000)

export const WeightsSchema = z.object({
  load: Weight.optional(),
  price: Weight.optional(),
  locality: Weight.optional(),
})
export type Weights = z.output<typeof WeightsSchema>

export const GoalSchema = z.object({
  /** For people. */
  goal: PlanText,
  tasks: z.array(TaskId).min(1).max(MAX_PLAN_TASKS),
  /** Who chooses the agents: one that nodes that may coordinate have registered; `default` unless told. */
  generator: GeneratorName.optional(),
  weights: WeightsSchema.optional(),
  /** Agents of this zone are preferred. */
  zone: z.string().min(1).max(64).optional(),
  /** Coordinations that may fail one after another before the plan is given up. */
  maxFailures: z.int().min(0).max(1_000),
})
export type Goal = z.output<typeof GoalSchema>

export const AssignmentSchema = z.object({
  task: TaskId,
  /** Peer id. */
  agent: PeerId,
  directive: DirectiveId,
})
/** One task at one agent, by one directive. */
export type Assignment = z.output<typeof AssignmentSchema>
export const Assignments = z.array(AssignmentSchema).max(MAX_PLAN_TASKS)

export const OfflineSchema = z.object({
  agent: PeerId,
  /** Of the worker, in that life of it: another one is there again. */
  registration: Count,
})
export type OfflineAgent = z.output<typeof OfflineSchema>

/** Why a plan is made anew: the errors of seed 003, a move of work for the sake of speed, and a new coordinator. */
export const ADJUSTMENTS = ['agent_unavailable', 'resource_conflict', 'directive_failed', 'imbalance'] as const
export type Adjustment = (typeof ADJUSTMENTS)[number]

const MoveSchema = z.object({
  at: Millis,
  trigger: z.enum(PLAN_TRIGGERS),
  state: z.enum(PLAN_STATES),
  epoch: Count,
  reason: PlanReason.optional(),
})
export type PlanMove = z.output<typeof MoveSchema>

/** What the attempt in work at one of its tasks has drawn of its budget. */
const TaskDrawsSchema = z.object({
  task: TaskId,
  /** Of the attempt: another one has drawn nothing yet. */
  fence: FenceSchema,
  draws: Count,
  open: AmountsSchema,
})
export const PlanBudgetSchema = z.object({
  /** All that counts as spent: what attempts drew and did not give back. */
  used: AmountsSchema,
  tasks: z.array(TaskDrawsSchema).max(MAX_PLAN_TASKS),
})
/** Beside the plan: nobody who follows the plan is told of each draw. */
export type PlanBudget = z.output<typeof PlanBudgetSchema>

export const OUTCOMES = ['completed', 'failed', 'canceled'] as const
export type PlanOutcome = (typeof OUTCOMES)[number]

export const PlanRecordSchema = GoalSchema.extend({
  /** Peer id of who made it. */
  owner: PeerId,
  state: z.enum(PLAN_STATES),
  /** Plans that were made for the goal. */
  revision: Count,
  assignments: Assignments,
  offline: z.array(OfflineSchema).max(MAX_OFFLINE),
  /** Coordinations that failed since the last one that did not. */
  failures: Count,
  outcome: z.enum(OUTCOMES).optional(),
  /** What all its tasks draw of, and once it is over what they used of that; level 3. Absent: nothing of it is limited. */
  budget: z.object({ amounts: AmountsSchema, used: AmountsSchema.optional() }).optional(),
  reason: PlanReason.optional(),
  madeAt: Millis,
  changedAt: Millis,
  /** Of the decision that it is as of: directives carry it. */
  fence: FenceSchema,
  moves: z.array(MoveSchema).max(MAX_MOVES),
  /** What its owner answers for, bytes; nothing once it is over. */
  size: Count,
})
export type PlanRecord = z.output<typeof PlanRecordSchema>

/** Of a record that this part wrote. */
export const readPlan = (value: unknown): PlanRecord | undefined => value as PlanRecord | undefined
export const readPlanBudget = (value: unknown): PlanBudget | undefined => value as PlanBudget | undefined
/** Its tasks were not submitted, and it was never planned. */
export const isUnbegun = ({ revision, reason }: Pick<PlanRecord, 'revision' | 'reason'>): boolean =>
  revision === 0 && reason === NOT_SUBMITTED
export const isOver = ({ outcome }: Pick<PlanRecord, 'outcome'>): boolean => outcome !== undefined
