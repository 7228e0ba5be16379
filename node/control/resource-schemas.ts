/** What travels over the control socket for `parley resources`: POST `/api/resources/status`, `/api/resources/allocations`. */
import * as z from 'zod'
import { ALLOCATION_STATUSES } from '../../protocols/resource/resource-record.ts'
import { PRIORITIES } from '../../protocols/wire/envelope.ts'
import { TimeoutSchema } from './control-schemas.ts'

export const ResourcesQuerySchema = z.strictObject({ timeoutMs: TimeoutSchema })

export const ResourcesShownSchema = z.object({
  resources: z.array(
    z.object({
      resource_id: z.string(),
      name: z.string(),
      owner: z.string(),
      status: z.enum(['available', 'full', 'draining', 'lost']),
      capacity: z.number(),
      used: z.number(),
      timestamp: z.string(),
    }),
  ),
})

export const AllocationsShownSchema = z.object({
  allocations: z.array(
    z.object({
      id: z.string(),
      status: z.enum(ALLOCATION_STATUSES),
      holder: z.string(),
      task: z.string().optional(),
      priority: z.enum(PRIORITIES),
      parts: z.array(z.object({ units: z.record(z.string(), z.number()), owner: z.string().optional() })),
      askedAt: z.number(),
      changedAt: z.number(),
      reason: z.string().optional(),
    }),
  ),
})
