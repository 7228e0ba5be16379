/** How nodes that use resources talk to the coordinator. Wire id `/parley/resource/1`. */
import * as z from 'zod'
import { defineProtocol } from '../define.ts'
import type { FedRecords } from '../journal/feed/open-feed.ts'
import { ALLOCATION_PREFIX, type Allocation, AllocationId, AllocationSchema, allocationKey } from './resource-record.ts'

const Version = z.int().nonnegative()

/** One allocation as of a version. */
export const FedAllocationSchema = z.object({
  id: AllocationId,
  version: Version,
  /** Absent: it was released, or has ended a while ago. */
  allocation: AllocationSchema.optional(),
})
export type FedAllocation = z.output<typeof FedAllocationSchema>

export const resourceProtocol = defineProtocol({
  name: 'resource',
  version: '1.0.0',
  methods: {
    feed: {
      description: 'Changes of the allocations that the caller holds or gives a part of',
      request: z.object({
        meshId: z.string().min(1).max(64),
        /** Changes after this version; absent: all there is, first. */
        from: Version.optional(),
      }),
      stream: z.object({
        version: Version,
        /** All there is: an allocation that is not among them, up to `last`, is over or not the caller's. */
        reset: z.boolean().optional(),
        last: z.boolean(),
        allocations: z.array(FedAllocationSchema),
      }),
      priority: 'high',
      // It is followed for as long as both are there; the follower begins again after that.
      timeoutMs: 86_400_000,
    },
  },
})

/** Whom the coordinator tells of which allocation, and how. */
export const FED_ALLOCATIONS: FedRecords<Allocation, FedAllocation> = {
  of: 'resources',
  prefix: ALLOCATION_PREFIX,
  peersOf: ({ holder, places = [] }) => [holder, ...places.map(({ owner }) => owner)],
  read({ machine: { records } }, _peer, id, version) {
    const found = records.get(allocationKey(id))
    // This part wrote it.
    return found === undefined ? { id, version } : { id, version: found.version, allocation: found.value as Allocation }
  },
  bytesOf: ({ allocation }) => 64 + (allocation?.size ?? 0),
}
