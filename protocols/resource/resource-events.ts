/**
 * What is told of resources by events, as seeds 000 and 001 have it: `resources.request`, `resources.status.<resource_id>`.
 *
 * Any member may publish to any topic: who listens compares the source of an event with whoever coordinates.
 */
import * as z from 'zod'
import { defineEvent } from '../events/define-event.ts'
import { checkTopic } from '../events/topic.ts'
import { AllocationId, MAX_PARTS, Priority, RESOURCE_STATUSES } from './resource-record.ts'
import { MAX_NAMES, ResourceName } from './units.ts'

/** Somebody asked for an allocation. */
export const resourceRequestEvent = defineEvent({
  topic: 'resources.request',
  version: '1.0.0',
  schema: z.object({
    /** Id of the allocation. */
    request_id: AllocationId,
    task_id: AllocationId.optional(),
    requirements: z.object({
      /** Of all its parts together, in whole units: more than one amount of an allocation may be. */
      resources: z
        .record(ResourceName, z.number().nonnegative())
        .refine((units) => Object.keys(units).length <= MAX_PARTS * MAX_NAMES, 'too many resources')
        .meta({ maxProperties: MAX_PARTS * MAX_NAMES }),
    }),
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
    status: z.enum(RESOURCE_STATUSES),
    capacity: z.number().nonnegative(),
    used: z.number().nonnegative(),
    /** Milliseconds since 1970, by the clock of its sender. */
    timestamp: z.number(),
  }),
})
export type ResourceStatusData = z.output<typeof resourceStatusEvent.schema>

/** Where the dots of a name cannot stand in a topic, as in `gpu..a`, they are `_` there: its data has the name. */
export const resourceTopic = (resourceId: string): string => {
  const topic = `resources.status.${resourceId}`
  try {
    checkTopic(topic)
    return topic
  } catch {
    return `resources.status.${resourceId.replaceAll('.', '_')}`
  }
}
