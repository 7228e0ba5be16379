/**
 * The performance monitor of seed 003: keeps what agents measure, says what they measured lately, and keeps how plans went.
 * Wire id `/parley/performance-monitor/1`.
 *
 * Each agent reports of itself alone, which the connection proves; how a plan went is reported by who coordinates. No sample makes
 * an answer unusable: sums that leave the range of numbers end at its edge.
 * State: the newest samples of each agent, the newest reports (bounded by number and by values; what is dropped is counted).
 */
import type { CoordinatorStatus } from '../../coordinator/coordinator-status.ts'
import type { Handlers } from '../../define.ts'
import { ParleyError } from '../../errors.ts'
import { createFairShares } from '../../limits/fair-shares.ts'
import type { TableData } from '../../part.ts'
import type { Port } from '../../port.ts'
import type { performanceMonitorProtocol } from '../contract.ts'
import { isoTime, type MetricValues, type PerformanceReportData, type SystemMetricsData } from '../messages.ts'

/** Agents; who was heard of longest ago goes. */
export const MAX_MONITORED = 1_024
/** Samples of one agent. */
export const MAX_SAMPLES = 64
/** Values of all samples together; each agent has a share of them. */
export const MAX_VALUES = 262_144
export const MAX_REPORTS = 256
/** Values in one answer: it has to stay below what a message may have. */
export const MAX_ANSWERED = 16_384
/** Names in the totals of an answer. */
const MAX_TOTALS = 64

export interface MetricSummary {
  readonly min: number
  readonly max: number
  readonly mean: number
  /** The newest. */
  readonly current: number
}

/** Names of one answer about an agent, as its schema has it: samples may each have others. */
const MAX_SUMMARIES = 64
const MAX = Number.MAX_VALUE
/** At the edge of what numbers can be, where it is beyond. */
const bounded = (value: number): number => Math.max(-MAX, Math.min(MAX, value))

const summaryOf = (values: readonly number[]): MetricSummary => ({
  min: values.reduce((a, b) => Math.min(a, b)),
  max: values.reduce((a, b) => Math.max(a, b)),
  // Each divided first: their sum may be more than a number can be.
  mean: bounded(values.reduce((sum, value) => sum + value / values.length, 0)),
  current: values.at(-1) ?? 0,
})

/** Names beyond 64 are left out. @param samples in their order @param names those that are of interest; all unless told */
const summariesOf = (
  samples: readonly MetricValues[],
  names?: readonly string[],
): ReadonlyMap<string, MetricSummary> => {
  const wanted = names && new Set(names)
  const values = new Map<string, number[]>()
  for (const metrics of samples)
    for (const [name, value] of Object.entries(metrics)) {
      if (wanted?.has(name) === false) continue
      const known = values.get(name)
      if (known !== undefined) known.push(value)
      else if (values.size < MAX_SUMMARIES) values.set(name, [value])
    }
  return new Map([...values].map(([name, of]) => [name, summaryOf(of)]))
}

interface Sample {
  /** By this node's monotonic clock. */
  readonly at: number
  readonly metrics: MetricValues
  readonly size: number
}

export interface MonitorDeps {
  readonly port: Pick<Port, 'clock'>
  readonly coordinator: { status(): Pick<CoordinatorStatus, 'leader'> }
}

export interface MonitorCounts {
  readonly agents: number
  readonly values: number
  readonly reports: number
  /** Agents, samples and reports that had to go for newer ones, samples that were not kept, and agents that an answer left out. */
  readonly dropped: number
}

type MetricsAsked = Parameters<Handlers<typeof performanceMonitorProtocol>['metrics_request']>[0]

/** Of the names that most agents have: nobody crowds out those of others by names of its own. */
const totalsOf = (agents: SystemMetricsData['agents']): MetricValues => {
  const totals = new Map<string, { sum: number; agents: number }>()
  for (const { metrics } of agents)
    for (const [name, value] of Object.entries(metrics)) {
      const before = totals.get(name) ?? { sum: 0, agents: 0 }
      totals.set(name, { sum: bounded(before.sum + value), agents: before.agents + 1 })
    }
  const first = [...totals].sort(([, a], [, b]) => b.agents - a.agents).slice(0, MAX_TOTALS)
  return Object.fromEntries(first.map(([name, { sum }]) => [name, sum]))
}

export class PerformanceMonitor {
  readonly handlers: Handlers<typeof performanceMonitorProtocol>
  readonly #deps: MonitorDeps
  /** The one that was heard of last stands last. */
  readonly #samples = new Map<string, Sample[]>()
  readonly #reports = new Map<string, PerformanceReportData>()
  readonly #values = createFairShares(MAX_VALUES)
  #dropped = 0

  constructor(deps: MonitorDeps) {
    this.#deps = deps
    this.handlers = {
      metrics_request: (asked) => this.system(asked),
      metrics_update: ({ source_agent, metrics }, { peer }) => {
        if (source_agent !== peer)
          throw new ParleyError('SEC002', `${peer} tells what ${source_agent} measures`, {
            hint: 'each agent tells what it measures itself, under its own id',
          })
        this.#note(peer, metrics)
        return {}
      },
      performance_report: (report, { peer }) => {
        if (deps.coordinator.status().leader !== peer)
          throw new ParleyError('SEC002', `${peer} does not coordinate, and reports how a plan went`, {
            hint: 'only who coordinates reports of plans; where it is a new one, report again in a moment',
          })
        this.#keep(report)
        return {}
      },
    }
  }

  /** Of each agent the mean of each metric in the window, who was heard of last first; totals: the sums over these agents. */
  system({ request_id, window_ms, names }: MetricsAsked): SystemMetricsData {
    const agents: SystemMetricsData['agents'] = []
    let values = 0
    for (const [agent_id, summaries] of this.#summaries(window_ms, names)) {
      values += summaries.size
      if (values <= MAX_ANSWERED)
        agents.push({ agent_id, metrics: Object.fromEntries([...summaries].map(([name, { mean }]) => [name, mean])) })
      else this.#dropped += 1
    }
    const timestamp = isoTime(this.#deps.port.clock.now())
    return { request_id, timestamp, window_ms, agents, totals: totalsOf(agents) }
  }

  /** Of each metric of one agent, over all that is kept of it. */
  summary(agent: string): ReadonlyMap<string, MetricSummary> {
    return summariesOf((this.#samples.get(agent) ?? []).map(({ metrics }) => metrics))
  }

  /** How plans went, the newest last. */
  reports(): PerformanceReportData[] {
    return [...this.#reports.values()]
  }

  /** Of all that is kept, for people. */
  table(): TableData {
    const rows = [...this.#samples.keys()].flatMap((agent) =>
      [...this.summary(agent)].map(([name, { min, max, mean, current }]) => [agent, name, min, max, mean, current]),
    )
    return { columns: ['agent', 'metric', 'min', 'max', 'mean', 'current'], rows: rows.slice(0, MAX_ANSWERED) }
  }

  counts(): MonitorCounts {
    const [agents, values, reports] = [this.#samples.size, this.#values.total(), this.#reports.size]
    return { agents, values, reports, dropped: this.#dropped }
  }

  /** Only those that measured something of it. */
  *#summaries(
    windowMs: number,
    names: readonly string[] | undefined,
  ): Generator<[agent: string, summaries: ReadonlyMap<string, MetricSummary>]> {
    const from = this.#deps.port.clock.monotonic() - windowMs
    for (const [agent, samples] of [...this.#samples].toReversed()) {
      const inWindow = samples.filter(({ at }) => at >= from)
      const summaries = summariesOf(
        inWindow.map(({ metrics }) => metrics),
        names,
      )
      if (summaries.size > 0) yield [agent, summaries]
    }
  }

  #note(agent: string, metrics: MetricValues): void {
    const size = Object.keys(metrics).length
    const samples = this.#samples.get(agent) ?? []
    if (samples.length >= MAX_SAMPLES) this.#dropOldest(agent, samples)
    // Where its share is full, the newest counts more than its older ones.
    while (!this.#values.allows(agent, size) && samples.length > 0) this.#dropOldest(agent, samples)
    // What is empty says that it is there.
    if (size > 0 && !this.#values.take(agent, size)) this.#dropped += 1
    else samples.push({ at: this.#deps.port.clock.monotonic(), metrics, size })
    this.#samples.delete(agent)
    this.#samples.set(agent, samples)
    const [oldest] = this.#samples
    if (this.#samples.size <= MAX_MONITORED || oldest === undefined) return
    this.#samples.delete(oldest[0])
    for (const sample of oldest[1]) this.#values.give(oldest[0], sample.size)
    this.#dropped += 1
  }

  #dropOldest(agent: string, samples: Sample[]): void {
    const oldest = samples.shift()
    if (oldest === undefined) return
    this.#values.give(agent, oldest.size)
    this.#dropped += 1
  }

  #keep(report: PerformanceReportData): void {
    this.#reports.delete(report.report_id)
    this.#reports.set(report.report_id, report)
    const [oldest] = this.#reports.keys()
    if (this.#reports.size <= MAX_REPORTS || oldest === undefined) return
    this.#reports.delete(oldest)
    this.#dropped += 1
  }
}
