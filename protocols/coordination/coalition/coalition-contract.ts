/** What nodes ask the coordinator about coalitions; how it directs their members is `/parley/coordination/1`. Wire id `/parley/coalition/1`. */
import * as z from 'zod'
import { defineProtocol } from '../../define.ts'
import { PlanReason } from '../plan-record.ts'
import { CoalitionId } from './coalition-record.ts'

export const DissolveSchema = z.object({ id: CoalitionId, reason: PlanReason.optional() })

export const coalitionProtocol = defineProtocol({
  name: 'coalition',
  version: '1.0.0',
  methods: {
    dissolve: {
      description: 'Dissolves a coalition of somebody else; for holders of the capability coordinate',
      request: DissolveSchema,
      response: z.object({}),
      capability: 'coordinate',
      priority: 'high',
      timeoutMs: 10_000,
    },
  },
})
