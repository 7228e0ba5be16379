/** What is decided about resources: each change is let through or refused by itself. Pure. */
import * as z from 'zod'
import { FenceSchema } from '../../journal/fencing/fence.ts'
import { AllocationId, AskSchema, PeerId, Places, Priority, Reason } from '../resource-record.ts'
import { UnitsSchema } from '../units.ts'

export const MAX_CHANGES_AT_ONCE = 256
/** Allocations that are ended for one other. */
export const MAX_VICTIMS = 64
const MAX_FORGOTTEN = 256

const Count = z.int().nonnegative()
/** Of the coordinator of this epoch alone. */
const coordinating = { epoch: Count }
/** In that life of it. */
const ofNode = { registration: Count }

/** As they are at all levels. */
const CHANGES = [
  /** A node says that it is there, and what it has to give. */
  z.object({
    do: z.literal('register'),
    incarnation: z.number(),
    capacity: UnitsSchema,
    draining: z.boolean().optional(),
  }),
  z.object({ do: z.literal('renew'), ...ofNode }),
  z.object({ do: z.literal('withdraw'), ...ofNode }),

  z.object({ do: z.literal('allocate'), ...ofNode, id: AllocationId, ask: AskSchema }),
  z.object({ do: z.literal('release'), id: AllocationId }),

  z.object({
    do: z.literal('grant'),
    ...coordinating,
    id: AllocationId,
    places: Places,
    /** Ended for it, in the same decision. */
    victims: z
      .array(z.object({ id: AllocationId, fence: FenceSchema }))
      .max(MAX_VICTIMS)
      .optional(),
  }),
  z.object({ do: z.literal('deny'), ...coordinating, id: AllocationId, reason: Reason }),
  /** Its holder, or who gives a part of it, is over. */
  z.object({ do: z.literal('expire'), ...coordinating, id: AllocationId, reason: Reason }),
  /** It was not renewed for as long as it may. */
  z.object({ do: z.literal('dismiss'), ...coordinating, peer: PeerId, ...ofNode }),
  /** What was kept for its holder to read. */
  z.object({ do: z.literal('forget'), ...coordinating, ids: z.array(AllocationId).max(MAX_FORGOTTEN) }),
] as const

/** Of level 2 alone: of the coordinator, for tasks that it places. */
const ASSIGNMENTS = [
  /** Granted at once, or refused: units of this node for a task that it is to work on. */
  z.object({
    do: z.literal('assign'),
    ...coordinating,
    id: AllocationId,
    task: AllocationId,
    /** Who gives it and has it. */
    peer: PeerId,
    ...ofNode,
    priority: Priority,
    units: UnitsSchema,
  }),
  /** The attempt that it was assigned for is over. */
  z.object({ do: z.literal('unassign'), ...coordinating, id: AllocationId }),
] as const

export const FirstChangeSchema = z.discriminatedUnion('do', CHANGES)
export const AssignmentSchema = z.discriminatedUnion('do', ASSIGNMENTS)
export const ResourceChangeSchema = z.discriminatedUnion('do', [...CHANGES, ...ASSIGNMENTS])
export type ResourceChange = z.output<typeof ResourceChangeSchema>
export type ResourceChangeOf<D extends ResourceChange['do']> = Extract<ResourceChange, { do: D }>

const OF_TASKS: ReadonlySet<string> = new Set(ASSIGNMENTS.map(({ shape }) => shape.do.value))

/** The level of the part that all voters have to have for it. */
export const levelOfChange = (change: ResourceChange): 1 | 2 => (OF_TASKS.has(change.do) ? 2 : 1)
