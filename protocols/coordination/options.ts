/** Options of plans. */
import * as z from 'zod'
import { AgentStatusResponse } from './messages.ts'

/** Roles of seed 003 that a node takes on by saying so; `performance_monitor` as a role is ours. */
export const ServiceRole = z.enum(['resource_manager', 'performance_monitor'])
export type ServiceRole = z.output<typeof ServiceRole>

export const PlanOptions = z.strictObject({
  roles: z
    .array(ServiceRole)
    .max(2)
    .default([])
    .describe(
      'Services of the mesh that this node is: agents find them in the directory. Where nobody is one, the node that coordinates is both.',
    ),
  price: AgentStatusResponse.shape.price.describe(
    'What one task costs at this agent, in millionths of what the mesh counts in: plans prefer cheaper agents.',
  ),
  zone: AgentStatusResponse.shape.zone.describe(
    'Where this agent runs, by a name that the mesh has agreed on: plans that name a zone prefer its agents.',
  ),
})
