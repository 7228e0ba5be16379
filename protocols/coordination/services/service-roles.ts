/**
 * The services of seed 003 that a node can be. The performance monitor keeps what agents measure, and how plans went: agents report
 * of themselves alone, and plans are reported by who coordinates. The resource manager says what nodes have free, from what the
 * journal says of them. State: the newest samples of each agent and the newest reports (bounded).
 */
import type { CoordinatorFeature } from '../../coordinator/api.ts'
import type { Handlers } from '../../define.ts'
import { ParleyError } from '../../errors.ts'
import type { TableData } from '../../part.ts'
import type { Port } from '../../port.ts'
import type { ResourceStatus } from '../../resource/api.ts'
import { amountOf, fits, NONE, plus, type Units } from '../../resource/units.ts'
import type { performanceMonitorProtocol, resourceManagerProtocol } from '../contract.ts'
import { isoTime, type MetricValues, type PerformanceReportData, type SystemMetricsData } from '../messages.ts'

/** Samples of one agent. */
export const MAX_SAMPLES = 64
/** Agents; who was heard of longest ago goes. */
export const MAX_MONITORED = 1_024
export const MAX_REPORTS = 256
const MAX_NAMES = 64

interface Sample {
  /** By this node's monotonic clock. */
  readonly at: number
  readonly metrics: MetricValues
}

/** Over some time: of one metric. */
interface MetricSummary {
  readonly min: number
  readonly max: number
  readonly mean: number
  readonly current: number
}

const summaryOf = (values: readonly number[]): MetricSummary => ({
  min: Math.min(...values),
  max: Math.max(...values),
  mean: values.reduce((sum, value) => sum + value, 0) / values.length,
  current: values.at(-1) ?? 0,
})

/** Of each name, in the order of the samples. */
const summariesOf = (samples: readonly Sample[], names?: readonly string[]): Map<string, MetricSummary> => {
  const values = new Map<string, number[]>()
  for (const { metrics } of samples)
    for (const [name, value] of Object.entries(metrics)) {
      if (names !== undefined && !names.includes(name)) continue
      const known = values.get(name) ?? []
      known.push(value)
      values.set(name, known)
    }
  return new Map([...values].slice(0, MAX_NAMES).map(([name, of]) => [name, summaryOf(of)]))
}

export interface MonitorDeps {
  readonly port: Pick<Port, 'clock'>
  readonly coordinator: Pick<CoordinatorFeature, 'status'>
}

export class PerformanceMonitor {
  readonly handlers: Handlers<typeof performanceMonitorProtocol>
  readonly #deps: MonitorDeps
  readonly #samples = new Map<string, Sample[]>()
  readonly #reports = new Map<string, PerformanceReportData>()
  #dropped = 0

  constructor(deps: MonitorDeps) {
    this.#deps = deps
    this.handlers = {
      metrics_request: (asked) => this.system(asked),
      metrics_update: ({ source_agent, metrics }, { peer }) => {
        if (source_agent !== peer)
          throw new ParleyError('SEC002', `${peer} tells what ${source_agent} measures`, {
            hint: 'each agent tells what it measures itself',
          })
        this.#note(peer, metrics)
        return {}
      },
      performance_report: (report, { peer }) => {
        if (deps.coordinator.status().leader !== peer)
          throw new ParleyError('SEC002', `${peer} does not coordinate, and reports of a plan`, {
            hint: 'only the coordinator reports how plans went',
          })
        this.#keep(report)
        return {}
      },
    }
  }

  /** Of each agent the means of that time; their sums as totals. */
  system({ request_id, window_ms, names }: MetricsAsked): SystemMetricsData {
    const { clock } = this.#deps.port
    const from = clock.monotonic() - window_ms
    const agents: SystemMetricsData['agents'] = []
    const totals = new Map<string, number>()
    for (const [agent_id, samples] of this.#samples) {
      const summaries = summariesOf(
        samples.filter(({ at }) => at >= from),
        names,
      )
      if (summaries.size === 0) continue
      const metrics = Object.fromEntries([...summaries].map(([name, { mean }]) => [name, mean]))
      agents.push({ agent_id, metrics })
      for (const [name, { mean }] of summaries) {
        if (totals.has(name) || totals.size < MAX_NAMES) totals.set(name, (totals.get(name) ?? 0) + mean)
      }
    }
    return { request_id, timestamp: isoTime(clock.now()), window_ms, agents, totals: Object.fromEntries(totals) }
  }

  /** Of all that is kept, for people. */
  table(): TableData {
    const rows = [...this.#samples].flatMap(([agent, samples]) =>
      [...summariesOf(samples)].map(([name, { min, max, mean, current }]) => [agent, name, min, max, mean, current]),
    )
    return { columns: ['agent', 'metric', 'min', 'max', 'mean', 'current'], rows }
  }

  /** How plans went, the newest last. */
  reports(): PerformanceReportData[] {
    return [...this.#reports.values()]
  }

  counts(): { readonly agents: number; readonly reports: number; readonly dropped: number } {
    return { agents: this.#samples.size, reports: this.#reports.size, dropped: this.#dropped }
  }

  #note(agent: string, metrics: MetricValues): void {
    const samples = this.#samples.get(agent) ?? []
    samples.push({ at: this.#deps.port.clock.monotonic(), metrics })
    if (samples.length > MAX_SAMPLES) samples.shift()
    this.#samples.delete(agent)
    this.#samples.set(agent, samples)
    const [oldest] = this.#samples.keys()
    if (this.#samples.size <= MAX_MONITORED || oldest === undefined) return
    this.#samples.delete(oldest)
    this.#dropped += 1
  }

  #keep(report: PerformanceReportData): void {
    this.#reports.delete(report.report_id)
    this.#reports.set(report.report_id, report)
    const [oldest] = this.#reports.keys()
    if (this.#reports.size > MAX_REPORTS && oldest !== undefined) this.#reports.delete(oldest)
  }
}

interface MetricsAsked {
  readonly request_id: string
  readonly window_ms: number
  readonly names?: readonly string[] | undefined
}

const READ_MS = 800
/** Resources that one answer names. */
const MAX_LISTED = 8_192

export interface ManagerDeps {
  readonly port: Pick<Port, 'clock'>
  /** Of all nodes. */
  status(options: { readonly timeoutMs: number; readonly signal: AbortSignal }): Promise<readonly ResourceStatus[]>
}

/** Nodes that have so much free, and give. */
const nodesWith = (all: readonly ResourceStatus[], requirements: Units): number => {
  const free = new Map<string, Units>()
  for (const { owner, name, status, capacity, used } of all) {
    if (status === 'lost' || status === 'draining') continue
    free.set(owner, plus(free.get(owner) ?? NONE, { [name]: capacity - used }))
  }
  return [...free.values()].filter((units) => fits(units, NONE, requirements)).length
}

export const resourceManager = ({ port, status }: ManagerDeps): Handlers<typeof resourceManagerProtocol> => ({
  async resource_query({ request_id, requirements, count = 1 }, { signal }) {
    const all = await status({ timeoutMs: READ_MS, signal })
    const asked = all.filter(({ name }) => amountOf(requirements, name) > 0)
    return {
      request_id,
      timestamp: isoTime(port.clock.now()),
      available: nodesWith(all, requirements) >= count,
      resources: asked
        .slice(0, MAX_LISTED)
        .map(({ resource_id, owner, capacity, used }) => ({ resource_id, owner, capacity, used })),
    }
  },
})
