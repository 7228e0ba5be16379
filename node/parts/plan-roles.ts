/**
 * Services of plans on a node: its own, which it tells in the directory where it has the role, and those that it asks. State: that of
 * the monitor, and of what is told (protocols/coordination/services/).
 */
import type { Directory } from '../../discovery/directory/directory.ts'
import { describe } from '../../discovery/directory/record/describe-protocol.ts'
import { performanceMonitorProtocol, resourceManagerProtocol } from '../../protocols/coordination/contract.ts'
import type { MetricValues } from '../../protocols/coordination/messages.ts'
import type { ServiceRole } from '../../protocols/coordination/options.ts'
import type { PlanResources, PlanServices } from '../../protocols/coordination/plan-needs.ts'
import { PerformanceMonitor } from '../../protocols/coordination/services/performance-monitor.ts'
import { MeshServices } from '../../protocols/coordination/services/plan-services.ts'
import { resourceManager } from '../../protocols/coordination/services/resource-manager.ts'
import type { CoordinatorFeature } from '../../protocols/coordinator/api.ts'
import { wireId } from '../../protocols/define.ts'
import { type Answers, answers, type TableData } from '../../protocols/part.ts'
import type { Port } from '../../protocols/port.ts'
import type { Startup } from '../lifecycle/startup.ts'
import type { Advertiser } from './advertise.ts'

export interface StartedServices {
  readonly used: PlanServices
  readonly handlers: readonly Answers[]
  /** What agents measured, as this node was told, for people. */
  table(): TableData
  stop(): void
}

interface ServiceContext extends Port {
  readonly startup: Pick<Startup, 'metrics'>
  readonly directory: Pick<Directory, 'offers'>
  readonly advertise: Advertiser['advertise']
  readonly coordinator: Pick<CoordinatorFeature, 'status'>
  readonly resources: Pick<PlanResources, 'status'>
}

const ROLES = { performance_monitor: performanceMonitorProtocol, resource_manager: resourceManagerProtocol } as const

/** @param report what this agent measures; undefined: it does no tasks */
export const startServices = async (
  { startup, directory, advertise, coordinator, resources, ...port }: ServiceContext,
  roles: readonly ServiceRole[],
  report: () => MetricValues | undefined,
): Promise<StartedServices> => {
  const monitor = new PerformanceMonitor({ port, coordinator })
  const own = new Set(roles.map((role) => ROLES[role].name))
  // Names as the seeds have them.
  const { asNamed } = startup.metrics
  const took = asNamed.histogram('directive_completion_time', 'Seconds until a directive was answered, by its action', [
    'directive_type',
  ])
  const services = new MeshServices({
    ...{ port, coordinator, report },
    serviceOf(protocol) {
      const offers = directory.offers(protocol, 1).filter(({ state }) => state === 'alive')
      const peers = offers.map(({ peer }) => peer)
      return [...peers, ...(own.has(protocol) ? [port.self.id] : [])].sort()[0]
    },
    took: (seconds, action) => took(seconds, { directive_type: action }),
  })
  asNamed.gauges(
    'coordination_success_rate',
    'Share of the newest coordinations of this coordinator that succeeded',
    'coordinator_id',
    () => [[port.self.name, services.successRate()]],
  )
  for (const role of roles) await advertise(wireId(ROLES[role]), describe(ROLES[role]))
  return {
    used: services,
    handlers: [
      answers(performanceMonitorProtocol, monitor.handlers),
      answers(resourceManagerProtocol, resourceManager({ port, status: (options) => resources.status(options) })),
    ],
    table: () => monitor.table(),
    stop: () => services.stop(),
  }
}
