/** What is decided about coalitions: each change is let through or refused by itself. Pure. */
import * as z from 'zod'
import { PeerId } from '../../resource/resource-record.ts'
import { CoalitionId, ProposedCoalitionSchema } from '../coalition/coalition-record.ts'
import { MAX_MEMBERS } from '../messages.ts'
import { PlanReason } from '../plan-record.ts'

const MAX_FORGOTTEN = 256

const Count = z.int().nonnegative()
/** Of the coordinator of this epoch alone. */
const coordinating = { epoch: Count }
/** As of this version of the coalition: index of the decision that it was read with. */
const ofCoalition = { ...coordinating, id: CoalitionId, as: Count }

export const CoalitionChangeSchema = z.discriminatedUnion('do', [
  /** Of anybody. The same again is the same coalition. */
  z.object({ do: z.literal('propose'), id: CoalitionId, coalition: ProposedCoalitionSchema }),
  /** Of a member. Where it leads, the next one does. */
  z.object({ do: z.literal('leave'), id: CoalitionId }),
  /** Of its owner, of its leader once it is active, or of the coordinator of this epoch. */
  z.object({
    do: z.literal('dissolve'),
    id: CoalitionId,
    epoch: Count.optional(),
    reason: PlanReason.optional(),
  }),

  /** These members acknowledged the directive. */
  z.object({
    do: z.literal('join'),
    ...coordinating,
    id: CoalitionId,
    peers: z.array(PeerId).min(1).max(MAX_MEMBERS),
  }),
  /** Enough have joined: the others are left out. */
  z.object({ do: z.literal('form'), ...ofCoalition }),
  /** Members that were directed and refused to go on: it is theirs no more. Where one of them leads, the next one does. */
  z.object({ do: z.literal('drop'), ...ofCoalition, peers: z.array(PeerId).min(1).max(MAX_MEMBERS) }),
  /** Another one leads. */
  z.object({ do: z.literal('lead'), ...ofCoalition, leader: PeerId }),
  /** Coalitions that were dissolved a while ago. */
  z.object({ do: z.literal('forget'), ...coordinating, ids: z.array(CoalitionId).max(MAX_FORGOTTEN) }),
])
export type CoalitionChange = z.output<typeof CoalitionChangeSchema>
export type CoalitionChangeOf<D extends CoalitionChange['do']> = Extract<CoalitionChange, { do: D }>
