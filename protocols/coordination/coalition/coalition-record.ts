/**
 * A coalition as the journal has it: agents that pursue one goal together for a while, and who leads them (requirement C9). Pure.
 *
 * Its leader is always one of its members. It is `forming` until enough members have agreed, then `active`, and `dissolved` at
 * last; one that is dissolved is kept for a while, so that who had a part in it reads why.
 */
import * as z from 'zod'
import { FenceSchema } from '../../journal/fencing/fence.ts'
import { partPrefix } from '../../part.ts'
import { AllocationId, PeerId } from '../../resource/resource-record.ts'
import { MAX_MEMBERS } from '../messages.ts'
import { PlanReason, PlanText } from '../plan-record.ts'

export const COALITIONS_PART = 'coalitions'
const PREFIX = partPrefix(COALITIONS_PART)
export const COALITION_PREFIX = `${PREFIX}c/`
const USAGE_PREFIX = `${PREFIX}u/`
export const coalitionKey = (id: string): string => COALITION_PREFIX + id
export const coalitionUsageKey = (peer: string): string => USAGE_PREFIX + peer

/** Milliseconds: a day, as long as a directive can say. */
export const MAX_TTL_MS = 86_400_000
export const CoalitionId = AllocationId
/** What fences of its directives are about: a plan of the same id has another one. */
export const coalitionScope = (id: string): string => `coalition/${id}`

const Count = z.int().nonnegative()
const Millis = z.number().nonnegative().max(Number.MAX_SAFE_INTEGER)
const Members = z.array(PeerId).min(1).max(MAX_MEMBERS)

/** What somebody proposes. */
export const ProposedCoalitionSchema = z.object({
  /** For people. */
  goal: PlanText,
  leader: PeerId,
  members: Members,
  /** So many have to agree; the others are left out. */
  minMembers: z.int().min(1).max(MAX_MEMBERS),
  /** Milliseconds from when it was proposed, by the journal's clock. */
  ttlMs: z.int().min(1).max(MAX_TTL_MS),
})
export type ProposedCoalition = z.output<typeof ProposedCoalitionSchema>

export const COALITION_STATES = ['forming', 'active', 'dissolved'] as const

export const MemberSchema = z.object({ peer: PeerId, accepted: z.boolean() })

export const CoalitionRecordSchema = z.object({
  goal: PlanText,
  /** Peer id of who proposed it. */
  owner: PeerId,
  leader: PeerId,
  /** In the order of the proposal: where the leader is gone, the first one that is there leads. */
  members: z.array(MemberSchema).max(MAX_MEMBERS),
  minMembers: Count,
  /** As it was proposed: the same again is the same coalition, whoever left meanwhile. */
  proposed: z.object({ leader: PeerId, members: Members }),
  state: z.enum(COALITION_STATES),
  ttlMs: Count,
  /** Milliseconds since 1970 by the journal's clock. */
  until: Millis,
  madeAt: Millis,
  changedAt: Millis,
  reason: PlanReason.optional(),
  /** Of the decision that it is as of: directives carry it. */
  fence: FenceSchema,
  /** What its owner answers for, bytes. */
  size: Count,
})
export type CoalitionRecord = z.output<typeof CoalitionRecordSchema>
export type CoalitionMember = CoalitionRecord['members'][number]

/** Of a record that this part wrote. */
export const readCoalition = (value: unknown): CoalitionRecord | undefined => value as CoalitionRecord | undefined
export const peersOf = ({ members }: Pick<CoalitionRecord, 'members'>): string[] => members.map(({ peer }) => peer)
