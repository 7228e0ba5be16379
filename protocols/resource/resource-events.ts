/** What is told of resources by events, as seeds 000 and 001 have it: `resources.request`, `resources.status.<resource_id>`. */
import * as z from 'zod'
import { defineEvent } from '../events/define-event.ts'
import { AllocationId, Priority } from './resource-record.ts'
import { UnitsSchema } from './units.ts'

export const resourceTopic = (resourceId: string): string => `resources.status.${resourceId}`

/** Somebody asked for an allocation. */
export const resourceRequestEvent = defineEvent({
  topic: 'resources.request',
  version: '1.0.0',
  schema: z.object({
    /** Id of the allocation. */
    request_id: AllocationId,
    task_id: AllocationId.optional(),
    /** Of all its parts together, in whole units. */
    requirements: z.object({ resources: UnitsSchema }),
    /** 0 low to 3 critical. */
    priority: Priority,
    /** Milliseconds since 1970, by the journal's clock. */
    timestamp: z.number(),
  }),
})

export const resourceStatusEvent = defineEvent({
  topic: 'resources.status.#',
  version: '1.0.0',
  schema: z.object({
    /** `<name>@<peer>`. */
    resource_id: z.string().min(1).max(256),
    status: z.enum(['available', 'full', 'draining', 'lost']),
    capacity: z.number().nonnegative(),
    used: z.number().nonnegative(),
    /** Milliseconds since 1970, by the clock of its sender. */
    timestamp: z.number(),
  }),
})
export type ResourceStatusData = z.output<typeof resourceStatusEvent.schema>
