/** What travels over the control socket for `parley coalition`: POST `/api/coalitions/list`, `form`, `leave` and `dissolve`. */
import * as z from 'zod'
import {
  COALITION_STATES,
  CoalitionId,
  MAX_TTL_MS,
  MemberSchema,
} from '../../protocols/coordination/coalition/coalition-record.ts'
import { MAX_MEMBERS } from '../../protocols/coordination/messages.ts'
import { PlanReason, PlanText } from '../../protocols/coordination/plan-record.ts'
import { TimeoutSchema } from './control-schemas.ts'

/** Name or peer id. */
const Agent = z.string().min(1).max(128)

export const CoalitionsQuerySchema = z.strictObject({ timeoutMs: TimeoutSchema })
export const FormCoalitionSchema = z.strictObject({
  id: CoalitionId.optional(),
  goal: PlanText,
  members: z.array(Agent).min(1).max(MAX_MEMBERS),
  leader: Agent.optional(),
  minMembers: z.int().min(1).max(MAX_MEMBERS).optional(),
  ttlMs: z.int().min(1).max(MAX_TTL_MS),
  timeoutMs: TimeoutSchema,
})
export const LeaveCoalitionSchema = z.strictObject({ id: CoalitionId })
export const DissolveCoalitionSchema = LeaveCoalitionSchema.extend({ reason: PlanReason.optional() })

export const CoalitionShownSchema = z.object({
  id: z.string(),
  goal: z.string(),
  owner: z.string(),
  leader: z.string(),
  members: z.array(MemberSchema),
  state: z.enum(COALITION_STATES),
  reason: z.string().optional(),
  until: z.number(),
  madeAt: z.number(),
  changedAt: z.number(),
})
export const CoalitionsShownSchema = z.object({ coalitions: z.array(CoalitionShownSchema) })
/** It is left, or dissolved. */
export const CoalitionEndedSchema = z.object({ id: z.string() })
