/**
 * Rates and levels over time from the counters at `/metrics`; of calls and answers those of agents, not the mesh's own. Pure: a sample and the one before give a point.
 * Source: Prometheus exposition format 0.0.4; quantiles of histograms as `histogram_quantile` takes them.
 */

/** Points that are kept: ten minutes at one each two seconds. */
export const MAX_POINTS = 300

export interface MetricsReading {
  readonly atMs: number
  readonly calls: number
  readonly answers: number
  /** Calls of the mesh itself, made and answered. */
  readonly own: number
  readonly published: number
  readonly received: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly cpuSeconds: number
  readonly memory: number
  readonly heap: number
  readonly lagSeconds: number
  /** Cumulative counts by upper bound in seconds, of calls that this node made. */
  readonly latency: ReadonlyMap<number, number>
}

export interface MetricPoint {
  readonly at: number
  readonly calls: number
  readonly answers: number
  /** Calls of the mesh itself, made and answered. */
  readonly own: number
  readonly published: number
  readonly received: number
  readonly bytesIn: number
  readonly bytesOut: number
  /** Share of one core, 0 to 1 and more. */
  readonly cpu: number
  readonly memory: number
  readonly heap: number
  readonly lagMs: number
  /** Undefined where there was no call in between. */
  readonly p50Ms: number | undefined
  readonly p99Ms: number | undefined
}

/** Of the mesh itself, as topic-views.ts has it: its events are not those of programs. */
const OWN_TOPIC = /(?:^|,)topic="coordination"/

export const METRIC_LINE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)/

export const labelValue = (labels: string, name: string): string | undefined =>
  new RegExp(`(?:^|,)${name}="([^"]*)"`).exec(labels)?.[1]

export const readMetrics = (text: string, atMs: number): MetricsReading => {
  const sums = new Map<string, number>()
  const latency = new Map<number, number>()
  for (const line of text.split('\n')) {
    const [, name, labels = '', figure] = METRIC_LINE.exec(line) ?? []
    if (name === undefined || OWN_TOPIC.test(labels)) continue
    const value = Number(figure)
    if (!Number.isFinite(value)) continue
    if (name === 'parley_call_seconds_bucket') {
      const le = labelValue(labels, 'le') ?? ''
      const bound = le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le)
      latency.set(bound, (latency.get(bound) ?? 0) + value)
      continue
    }
    const key = name === 'nodejs_eventloop_lag_seconds' ? `${name} ${labelValue(labels, 'quantile') ?? ''}` : name
    sums.set(key, (sums.get(key) ?? 0) + value)
  }
  const of = (key: string): number => sums.get(key) ?? 0
  return {
    atMs,
    latency,
    calls: of('parley_call_seconds_count'),
    answers: of('parley_request_seconds_count'),
    own: of('parley_mesh_calls_total') + of('parley_mesh_requests_total'),
    published: of('parley_events_published_total'),
    received: of('parley_events_received_total'),
    bytesIn: of('parley_link_received_bytes_total'),
    bytesOut: of('parley_link_sent_bytes_total'),
    cpuSeconds: of('process_cpu_user_seconds_total') + of('process_cpu_system_seconds_total'),
    memory: of('process_resident_memory_bytes'),
    heap: of('nodejs_heap_size_used_bytes'),
    lagSeconds: of('nodejs_eventloop_lag_seconds 0.99'),
  }
}

/** @returns milliseconds, undefined where nothing was counted */
export const quantile = (
  share: number,
  before: ReadonlyMap<number, number>,
  after: ReadonlyMap<number, number>,
): number | undefined => {
  const bins = [...after].map(([bound, total]) => [bound, total - (before.get(bound) ?? 0)] as const)
  bins.sort(([a], [b]) => a - b)
  const all = bins.at(-1)?.[1] ?? 0
  if (all <= 0) return undefined
  const rank = share * all
  let lower = 0
  let below = 0
  for (const [bound, total] of bins) {
    if (total >= rank) {
      if (bound === Number.POSITIVE_INFINITY) return lower * 1_000
      return (lower + (bound - lower) * (total === below ? 1 : (rank - below) / (total - below))) * 1_000
    }
    lower = bound
    below = total
  }
  return lower * 1_000
}

/** @returns undefined where the counters began anew in between: the node was started again */
export const pointOf = (before: MetricsReading, after: MetricsReading): MetricPoint | undefined => {
  const seconds = (after.atMs - before.atMs) / 1_000
  if (seconds <= 0 || after.cpuSeconds < before.cpuSeconds || after.calls < before.calls) return undefined
  const rate = (
    key: 'calls' | 'answers' | 'own' | 'published' | 'received' | 'bytesIn' | 'bytesOut' | 'cpuSeconds',
  ): number => Math.max(0, after[key] - before[key]) / seconds
  return {
    at: after.atMs,
    calls: rate('calls'),
    answers: rate('answers'),
    own: rate('own'),
    published: rate('published'),
    received: rate('received'),
    bytesIn: rate('bytesIn'),
    bytesOut: rate('bytesOut'),
    cpu: rate('cpuSeconds'),
    memory: after.memory,
    heap: after.heap,
    lagMs: after.lagSeconds * 1_000,
    p50Ms: quantile(0.5, before.latency, after.latency),
    p99Ms: quantile(0.99, before.latency, after.latency),
  }
}

export const append = <T>(list: readonly T[], one: T, max: number): T[] => [...list.slice(-(max - 1)), one]
