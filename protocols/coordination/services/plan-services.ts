/**
 * What a node asks and tells the services of the mesh: agents report to the performance monitor what they measure, and whoever
 * coordinates asks it, and the resource manager, before it plans. Which node is one the directory says; where nobody is, it is the
 * node that coordinates. State: how the coordinations of this node went, what is on its way.
 */
import type { CoordinatorFeature } from '../../coordinator/api.ts'
import type { Port, Stop } from '../../port.ts'
import { amountOf, type OwnedAmount, sumsByOwner, type Units } from '../../resource/units.ts'
import { uuid7 } from '../../wire/message-id.ts'
import { performanceMonitorProtocol, resourceManagerProtocol } from '../contract.ts'
import {
  type AnsweredResource,
  type Directive,
  type DirectiveAnswer,
  isoTime,
  type MetricValues,
  type PerformanceReportData,
  type TaskCompletionData,
} from '../messages.ts'
import type { PlanServices } from '../plan-needs.ts'
import type { PlanRecord } from '../plan-record.ts'
import type { PlanInput } from '../planner/generator.ts'

/** Milliseconds between two reports of an agent. */
const REPORT_EACH_MS = 5_000
const ASK_MS = 300
/** What agents measured in that time is of interest for a plan. */
const WINDOW_MS = 60_000
/** What tasks took that is kept for the reports of their plans. */
const MOST_COMPLETIONS = 8_192
/** Of how many coordinations the share that succeeded is told. */
const MOST_COORDINATIONS = 256
const MAX_LISTED = 128

/** Of one task: a century. */
const MOST_SECONDS = 3_155_760_000
/** No id has a space. */
const completionKey = (task: string, agent: string): string => `${task} ${agent}`

/** What these peers have of what is needed. Any member can be the manager: whatever else it names is left out. */
const capacitiesOf = (
  resources: readonly AnsweredResource[],
  needs: Units,
  peers: readonly string[],
): ReadonlyMap<string, Units> => {
  const asked = new Set(peers)
  const amounts = resources.flatMap(({ resource_id, owner, capacity }): OwnedAmount[] => {
    const name = resource_id.slice(0, resource_id.lastIndexOf('@'))
    return asked.has(owner) && amountOf(needs, name) > 0 ? [{ owner, name, amount: capacity }] : []
  })
  return sumsByOwner(amounts)
}

export interface ServicesDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'random' | 'to'>
  readonly coordinator: Pick<CoordinatorFeature, 'status'>
  /** Peer id of who is one, by the directory. */
  serviceOf(protocol: string): string | undefined
  /** What this agent measures; undefined: nothing that is worth telling. */
  report(): MetricValues | undefined
  /** A directive was answered. */
  took(seconds: number, action: Directive['action']): void
}

export class MeshServices implements PlanServices {
  readonly #deps: ServicesDeps
  readonly #stop: Stop
  /** What tasks took, by task and who says so: seconds. */
  readonly #completions = new Map<string, number>()
  /** Of the newest coordinations whether they succeeded. */
  readonly #outcomes: boolean[] = []
  #isReporting = false
  #unreported = 0

  constructor(deps: ServicesDeps) {
    this.#deps = deps
    const { timers } = deps.port
    this.#stop = timers.every(REPORT_EACH_MS, () => void this.#report())
  }

  /** 0 to 1; 1 where there was none. */
  successRate(): number {
    if (this.#outcomes.length === 0) return 1
    return this.#outcomes.filter((isSuccess) => isSuccess).length / this.#outcomes.length
  }

  /** Reports that could not be sent. */
  unreported(): number {
    return this.#unreported
  }

  stop(): void {
    this.#stop()
  }

  verify: PlanServices['verify'] = async (needs, peers, signal) => {
    const { port } = this.#deps
    const manager = this.#nodeOf(resourceManagerProtocol.name)
    if (manager === undefined) return undefined
    const request = { request_id: this.#newId(), timestamp: isoTime(port.clock.now()), requirements: needs }
    try {
      const { resources } = await port
        .to(manager, resourceManagerProtocol)
        .resource_query(request, { signal, timeoutMs: ASK_MS })
      return capacitiesOf(resources, needs, peers)
    } catch {
      // What this node's own copy of the journal says counts then.
      signal.throwIfAborted()
      return undefined
    }
  }

  metrics = async (signal: AbortSignal): Promise<PlanInput['metrics']> => {
    const { port } = this.#deps
    const monitor = this.#nodeOf(performanceMonitorProtocol.name)
    if (monitor === undefined) return new Map()
    const request = { request_id: this.#newId(), timestamp: isoTime(port.clock.now()), window_ms: WINDOW_MS }
    try {
      const { agents } = await port
        .to(monitor, performanceMonitorProtocol)
        .metrics_request(request, { signal, timeoutMs: ASK_MS })
      return new Map(agents.map(({ agent_id, metrics }) => [agent_id, metrics]))
    } catch {
      // A plan is made without them.
      signal.throwIfAborted()
      return new Map()
    }
  }

  directed(directive: Directive, _answer: DirectiveAnswer, seconds: number): void {
    this.#deps.took(seconds, directive.action)
  }

  completed({ task_id, source_agent, metrics }: TaskCompletionData): void {
    const key = completionKey(task_id, source_agent)
    this.#completions.delete(key)
    this.#completions.set(key, Math.min(MOST_SECONDS, Math.max(0, metrics.duration_seconds ?? 0)))
    const [oldest] = this.#completions.keys()
    if (this.#completions.size > MOST_COMPLETIONS && oldest !== undefined) this.#completions.delete(oldest)
  }

  coordinated(isSuccess: boolean): void {
    this.#outcomes.push(isSuccess)
    if (this.#outcomes.length > MOST_COORDINATIONS) this.#outcomes.shift()
  }

  reported(id: string, plan: PlanRecord): void {
    const { port } = this.#deps
    const monitor = this.#nodeOf(performanceMonitorProtocol.name)
    if (monitor === undefined || plan.outcome === undefined) return
    const report = {
      report_id: this.#newId(),
      ...{ timestamp: isoTime(port.clock.now()), from: isoTime(plan.madeAt), to: isoTime(plan.changedAt) },
      ...{ goal_id: id, outcome: plan.outcome },
      metrics: {
        ...{ tasks: plan.tasks.length, revisions: plan.revision, failures: plan.failures },
        duration_seconds: Math.max(0, plan.changedAt - plan.madeAt) / 1_000,
      },
      agents: this.#agentsOf(plan),
    }
    port
      .to(monitor, performanceMonitorProtocol)
      .performance_report(report, { timeoutMs: ASK_MS })
      .catch(() => {
        this.#unreported += 1
      })
  }

  /** How many tasks each has by the newest plan, and what those took of which it told. */
  #agentsOf({ assignments }: PlanRecord): PerformanceReportData['agents'] {
    const found = new Map<string, { tasks: number; seconds: number }>()
    for (const { task, agent } of assignments) {
      const { tasks = 0, seconds = 0 } = found.get(agent) ?? {}
      const key = completionKey(task, agent)
      // Of the agent that had the task alone, whoever else says so.
      found.set(agent, { tasks: tasks + 1, seconds: seconds + (this.#completions.get(key) ?? 0) })
      this.#completions.delete(key)
    }
    return [...found].slice(0, MAX_LISTED).map(([agent_id, metrics]) => ({ agent_id, metrics }))
  }

  /** What this agent measures, where it measures anything: one that is late is not sent again. */
  async #report(): Promise<void> {
    const { port, report } = this.#deps
    const monitor = this.#nodeOf(performanceMonitorProtocol.name)
    const metrics = monitor === undefined || this.#isReporting ? undefined : report()
    if (monitor === undefined || metrics === undefined) return
    this.#isReporting = true
    const update = { timestamp: isoTime(port.clock.now()), source_agent: port.self.id, metrics }
    try {
      await port.to(monitor, performanceMonitorProtocol).metrics_update(update, { timeoutMs: ASK_MS })
    } catch {
      this.#unreported += 1
    } finally {
      this.#isReporting = false
    }
  }

  #nodeOf(protocol: string): string | undefined {
    return this.#deps.serviceOf(protocol) ?? this.#deps.coordinator.status().leader
  }

  #newId(): string {
    const { clock, random } = this.#deps.port
    return uuid7(clock.now(), random(10))
  }
}
