/** What plans use of resources and of the services of the mesh, and what coalitions use of plans. */
import type { Fence } from '../journal/fencing/fence.ts'
import type { Registration } from '../registration.ts'
import type { ResourceStatus, ResourceWaitOptions } from '../resource/api.ts'
import type { Units } from '../resource/units.ts'
import type { DirectiveVerdict } from './api.ts'
import type { Coalition, Directive, DirectiveAnswer, MetricValues, TaskCompletionData } from './messages.ts'
import type { PlanRecord } from './plan-record.ts'
import type { PlanInput } from './planner/generator.ts'

/** What this node gives. */
export interface PlanResources {
  /** What of it is used, by name: 0 to 1. */
  utilization(): MetricValues
  /** Of all nodes, as the journal has them. @throws COM001 */
  status(options: ResourceWaitOptions): Promise<ResourceStatus[]>
  /** Gives so much more or less, up to what its program offered. @throws STA003 `in-use`, MSG001 */
  adjust(changes: ReadonlyMap<string, number>): Promise<void>
}

/** What the coordinator asks and tells the services of seed 003. */
export interface PlanServices {
  /**
   * What the resource manager says that these peers have, by peer id: of each resource that is needed its capacity. Undefined
   * where none answers.
   */
  verify(needs: Units, peers: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, Units> | undefined>
  /** What the performance monitor says of agents. */
  metrics(signal: AbortSignal): Promise<PlanInput['metrics']>
  directed(directive: Directive, answer: DirectiveAnswer, seconds: number): void
  /** What an agent says that a task of a plan took. */
  completed(message: TaskCompletionData): void
  coordinated(isSuccess: boolean): void
  /** A plan is over. */
  reported(id: string, plan: PlanRecord, signal: AbortSignal): void
}

/** What coalitions use of plans: directives go the same way, and come the same way. */
export interface CoalitionDirectives {
  /** As the coordinator: sent until it is acknowledged, a few times. @throws the signal's reason */
  direct(directive: Directive, signal: AbortSignal): Promise<DirectiveAnswer>
  /** What this agent does with those that it is given; it joins none without. @throws STA003 `in-use` */
  onCoalition(take: TakeCoalition): Registration
}
/** Of a directive whose sender was found to coordinate. @throws STA002 for an older fence than one that was taken */
export type TakeCoalition = (coalition: Coalition, fence: Fence) => Promise<DirectiveVerdict>

/** Where a mesh has no such services: what this node's copy of the journal says counts. */
export const NO_SERVICES: PlanServices = {
  verify: async () => undefined,
  metrics: async () => new Map(),
  directed() {},
  completed() {},
  coordinated() {},
  reported() {},
}
