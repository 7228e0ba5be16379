/**
 * What an agent tells unasked, as the status reporter and progress monitor of seed 003: how busy it is, how far it is with what it
 * was directed to do, and what that took. Events go where somebody listens; that a task has ended stands in the journal. Keeps no
 * state.
 */
import type { CoordinatorFeature } from '../../coordinator/api.ts'
import type { Events } from '../../events/api.ts'
import type { EventTeller } from '../../events/event-teller.ts'
import type { Port } from '../../port.ts'
import type { AttemptNews } from '../../task/tasks-for-plans.ts'
import { uuid7 } from '../../wire/message-id.ts'
import { agentStatusEvent, coordinationProtocol, progressEvent } from '../contract.ts'
import { type AgentStatus, isoTime, type MetricValues } from '../messages.ts'
import type { PlanResources } from '../plan-needs.ts'

export interface ReportsDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'random' | 'to'>
  readonly events: Pick<Events, 'publish' | 'hasAudience'>
  readonly coordinator: Pick<CoordinatorFeature, 'status'>
  readonly resources: Pick<PlanResources, 'utilization'>
  readonly teller: EventTeller
}

export class AgentReports {
  readonly #deps: ReportsDeps

  constructor(deps: ReportsDeps) {
    this.#deps = deps
  }

  /** @returns what it measures; undefined: it does no tasks */
  report(status: Omit<AgentStatus, 'request_id'>): MetricValues | undefined {
    const { events, teller, port } = this.#deps
    if (status.capabilities.length === 0) return undefined
    if (events.hasAudience(agentStatusEvent.topic)) {
      const topic = agentStatusEvent.topic.replace('*', port.self.id)
      teller.tell(() => events.publish(agentStatusEvent, status, { topic }))
    }
    const { load, queue_length, task_ids } = status
    return { load, queue_length, tasks: task_ids.length, resource_utilization: this.#utilization() }
  }

  /** @param seconds since the agent was directed to do it */
  progressed({ task, status, fraction }: AttemptNews, seconds: number): void {
    const { events, port, teller, coordinator } = this.#deps
    const [timestamp, source_agent] = [isoTime(port.clock.now()), port.self.id]
    if (events.hasAudience(progressEvent.topic)) {
      const metrics = { completion_percentage: 100 * fraction, resource_utilization: this.#utilization() }
      const event_id = uuid7(port.clock.now(), port.random(10))
      const update = { event_id, timestamp, source_agent, status, metrics, task_id: task }
      teller.tell(() => events.publish(progressEvent, update))
    }
    const { leader } = coordinator.status()
    if (status === 'in_progress' || leader === undefined) return
    const message = { task_id: task, timestamp, source_agent, status, metrics: { duration_seconds: seconds } }
    port
      .to(leader, coordinationProtocol)
      .task_completion(message)
      // A report of the plan lacks it then.
      .catch(() => {})
  }

  /** Of what this node has to give: the most that is used of any. */
  #utilization(): number {
    return Math.max(0, ...Object.values(this.#deps.resources.utilization()))
  }
}
