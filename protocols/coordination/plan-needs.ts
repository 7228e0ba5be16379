/** What plans use of resources, and of the services of the mesh. */
import type { ResourceStatus, ResourceWaitOptions } from '../resource/api.ts'
import type { Units } from '../resource/units.ts'
import type { Directive, DirectiveAnswer, MetricValues, TaskCompletionData } from './messages.ts'
import type { PlanRecord } from './plan-record.ts'
import type { PlanInput } from './planner/generator.ts'
import type { NodeUnits } from './runner/plan-facts.ts'

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
  /** What the resource manager says that nodes have, by peer id; undefined where none answers. */
  verify(needs: Units, signal: AbortSignal): Promise<ReadonlyMap<string, NodeUnits> | undefined>
  /** What the performance monitor says of agents. */
  metrics(signal: AbortSignal): Promise<PlanInput['metrics']>
  directed(directive: Directive, answer: DirectiveAnswer, seconds: number): void
  /** What an agent says that a task of a plan took. */
  completed(message: TaskCompletionData): void
  coordinated(isSuccess: boolean): void
  /** A plan is over. */
  reported(id: string, plan: PlanRecord, signal: AbortSignal): void
}

/** Where a mesh has no such services: what this node's copy of the journal says counts. */
export const NO_SERVICES: PlanServices = {
  verify: async () => undefined,
  metrics: async () => new Map(),
  directed() {},
  completed() {},
  coordinated() {},
  reported() {},
}
