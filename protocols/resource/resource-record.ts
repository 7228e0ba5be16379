/**
 * Nodes with what they have, and what of it is allocated, as the journal has them. Pure.
 *
 * `used` of a node is the sum over all allocations that are granted at it; no decision makes it more than its `capacity`.
 */
import { toString as encodeText } from 'uint8arrays/to-string'
import * as z from 'zod'
import { FenceSchema } from '../journal/fencing/fence.ts'
import { partPrefix } from '../part.ts'
import type { Port } from '../port.ts'
import { PRIORITIES } from '../wire/envelope.ts'
import { amountOf, UnitsSchema } from './units.ts'

export const RESOURCES_PART = 'resources'
const PREFIX = partPrefix(RESOURCES_PART)
export const NODE_PREFIX = `${PREFIX}n/`
export const ALLOCATION_PREFIX = `${PREFIX}a/`
const USAGE_PREFIX = `${PREFIX}u/`
export const nodeKey = (peer: string): string => NODE_PREFIX + peer
export const allocationKey = (id: string): string => ALLOCATION_PREFIX + id
export const usageKey = (peer: string): string => USAGE_PREFIX + peer

/** Milliseconds that one may wait: a day. */
export const MAX_WAIT_MS = 86_400_000
/** Units at several nodes that are had together, or not at all. */
export const MAX_PARTS = 64

export const AllocationId = z
  .string()
  .max(128)
  .regex(/^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/, 'use 1 to 128 letters, digits, _ and -, with single dots between them')
const ID_BYTES = 12
export const newAllocationId = ({ random }: Pick<Port, 'random'>): string => encodeText(random(ID_BYTES), 'base64url')
export const PeerId = z.string().min(1).max(128)
const Count = z.int().nonnegative()
const Millis = z.number().nonnegative().max(Number.MAX_SAFE_INTEGER)

export const NodeRecordSchema = z.object({
  /** Index of the entry that it was registered by: another one is another life of the node. */
  registration: Count,
  /** Tells lives of the node apart: the later one is higher. */
  incarnation: z.number(),
  /** Milliseconds since 1970 by the journal's clock. */
  renewedAt: Millis,
  capacity: UnitsSchema,
  used: UnitsSchema,
  /** Allocations that it holds: waiting or granted. */
  holds: Count,
  /** Parts of allocations that are granted at it. */
  gives: Count,
  /** It gives nothing more. */
  draining: z.boolean().optional(),
  /** It is not renewed any more: all that it holds and gives ends, then it goes. */
  isOver: z.boolean().optional(),
})
export type NodeRecord = z.output<typeof NodeRecordSchema>

export const RESOURCE_STATUSES = ['available', 'full', 'draining', 'lost'] as const
/** Of one resource of a node, for those who look at it. */
export const resourceStatus = (node: NodeRecord, name: string): (typeof RESOURCE_STATUSES)[number] => {
  if (node.isOver === true) return 'lost'
  if (node.draining === true) return 'draining'
  return amountOf(node.used, name) < amountOf(node.capacity, name) ? 'available' : 'full'
}

/** `waiting` and `allocated` are open; the others are final, and kept for a while so that the holder reads them. */
export const ALLOCATION_STATUSES = ['waiting', 'allocated', 'denied', 'expired', 'preempted'] as const
export type AllocationStatus = (typeof ALLOCATION_STATUSES)[number]

const PartSchema = z.object({
  units: UnitsSchema,
  /** Peer id of the node that has to give it; any node unless told. */
  owner: PeerId.optional(),
})

export const PlaceSchema = z.object({ owner: PeerId, registration: Count })
/** Where one part is: the node, in that life of it. */
export type AllocationPlace = z.output<typeof PlaceSchema>

export const PRIORITY_LEVELS = PRIORITIES.length
export const Priority = z
  .int()
  .min(0)
  .max(PRIORITY_LEVELS - 1)
export const Reason = z.string().max(256)
export const Parts = z.array(PartSchema).min(1).max(MAX_PARTS)
export const Places = z.array(PlaceSchema).min(1).max(MAX_PARTS)

/** What somebody asks for. */
export const AskSchema = z.object({
  /** For which task. */
  task: AllocationId.optional(),
  priority: Priority,
  /** Had together, or not at all. */
  parts: Parts,
  /** Each part at a node of its own. */
  spread: z.boolean().optional(),
  /** It may be ended for one of a higher priority. */
  preemptible: z.boolean().optional(),
  /** Others of a lower priority that may be ended are ended for it where it does not fit otherwise. */
  preempts: z.boolean().optional(),
  /** Milliseconds from when it was asked for, by the journal's clock: denied where it was not granted by then. */
  waitMs: z.int().min(0).max(MAX_WAIT_MS).optional(),
})
export type Ask = z.output<typeof AskSchema>

export const AllocationSchema = AskSchema.extend({
  status: z.enum(ALLOCATION_STATUSES),
  /** Peer id of who has it. */
  holder: PeerId,
  /** The life of the holder that asked. */
  registration: Count,
  askedAt: Millis,
  changedAt: Millis,
  /** One for each part, once it is granted; where they were, once it has ended. */
  places: Places.optional(),
  /** The coordinator granted it for the task, in the name of the node that works on it. */
  isAssigned: z.boolean().optional(),
  /** Of the decision that granted it; absent: it is not granted. */
  fence: FenceSchema.optional(),
  reason: Reason.optional(),
  /** How much room its holder answers for, bytes. */
  size: Count,
})
export type Allocation = z.output<typeof AllocationSchema>

export const isOpen = ({ status }: Pick<Allocation, 'status'>): boolean =>
  status === 'waiting' || status === 'allocated'
