/** The parts of every node that direct agents: plans, and coalitions, whose directives go the same way. */
import { coalitionProtocol } from '../../protocols/coordination/coalition/coalition-contract.ts'
import { COALITION_FIGURES } from '../../protocols/coordination/coalition/coalition-figures.ts'
import { COALITIONS_PART } from '../../protocols/coordination/coalition/coalition-record.ts'
import type { CoalitionsFeature } from '../../protocols/coordination/coalition/coalitions.ts'
import {
  coordinationProtocol,
  performanceMonitorProtocol,
  resourceManagerProtocol,
} from '../../protocols/coordination/contract.ts'
import { coalitionJournal } from '../../protocols/coordination/journal/coalition-kinds.ts'
import { planJournal } from '../../protocols/coordination/journal/plan-kinds.ts'
import { PlanOptions } from '../../protocols/coordination/options.ts'
import { PLAN_FIGURES } from '../../protocols/coordination/plan-figures.ts'
import { PLANS_PART } from '../../protocols/coordination/plan-record.ts'
import type { PlansFeature } from '../../protocols/coordination/plans.ts'
import { definePart } from '../../protocols/define-part.ts'
import { answers, implementPart, type Loading } from '../../protocols/part.ts'
import { tokens } from '../../protocols/tokens.ts'
import { detectedBy } from './detected.ts'
import { directivesForCoalitions, journalMember, nodeTokens, resourcesForPlans, tasksForPlans } from './node-tokens.ts'

const { startup, directory, ownEvents, presence, advertise } = nodeTokens

export const plans = definePart({
  name: PLANS_PART,
  description: 'Goals whose tasks go to agents that the elected coordinator chooses and directs.',
  needs: {
    ...{ journal: tokens.journal, coordinator: tokens.coordinator, fences: tokens.fences, events: ownEvents },
    ...{ startup, directory, advertise, presence, journalMember },
    ...{ tasks: tasksForPlans, resources: resourcesForPlans },
  },
  provides: { forCoalitions: directivesForCoalitions },
  options: PlanOptions,
  protocols: [coordinationProtocol, performanceMonitorProtocol, resourceManagerProtocol],
  journal: planJournal,
  figures: PLAN_FIGURES,
  views: {
    plans: { title: 'Plans', form: 'table' },
    plan: { title: 'Plan', form: 'timeline', of: 'plan' },
    performance: { title: 'Performance', form: 'table' },
  },
  activate: 'start',
  load: async (): Loading<PlansFeature> => {
    const [{ createPlans }, { startServices }] = await Promise.all([
      import('../../protocols/coordination/plans.ts'),
      import('./plan-roles.ts'),
    ])
    return {
      default: implementPart<typeof plans>({
        async start(ctx, { roles, price, zone }) {
          const { journal, coordinator, fences, events, presence, journalMember, tasks, resources, ...port } = ctx
          const services = await startServices(ctx, roles, () => api.report())
          const api = createPlans({
            ...{ port, journal, coordinator, fences, events, tasks, resources, member: journalMember },
            ...detectedBy(presence),
            services: services.used,
          })
          api.describe({ ...(price !== undefined && { price }), ...(zone !== undefined && { zone }) })
          return {
            api,
            handlers: [answers(coordinationProtocol, api.handlers), ...services.handlers],
            figures: () => api.figures(),
            views: { plans: () => api.table(), plan: (id) => api.timeline(id), performance: () => services.table() },
            async stop() {
              services.stop()
              await api.stop()
            },
          }
        },
      }),
    }
  },
})

export const coalitions = definePart({
  name: COALITIONS_PART,
  description: 'Agents that pursue one goal together for a while, and who leads them.',
  needs: {
    ...{ journal: tokens.journal, coordinator: tokens.coordinator, fences: tokens.fences },
    ...{ directory, presence, journalMember, directives: directivesForCoalitions },
  },
  protocols: [coalitionProtocol],
  journal: coalitionJournal,
  figures: COALITION_FIGURES,
  views: { coalitions: { title: 'Coalitions', form: 'table' } },
  activate: 'start',
  load: async (): Loading<CoalitionsFeature> => {
    const { createCoalitions } = await import('../../protocols/coordination/coalition/coalitions.ts')
    return {
      default: implementPart<typeof coalitions>({
        start({ journal, coordinator, fences, directory, presence, journalMember, directives, ...port }) {
          const api = createCoalitions({
            ...{ port, journal, coordinator, fences, directives, member: journalMember },
            isKnown: (peer) => peer === port.self.id || directory.get(peer) !== undefined,
            ...detectedBy(presence),
          })
          return {
            api,
            handlers: [answers(coalitionProtocol, api.handlers)],
            figures: () => api.figures(),
            views: { coalitions: () => api.table() },
            stop: () => api.stop(),
          }
        },
      }),
    }
  },
})
