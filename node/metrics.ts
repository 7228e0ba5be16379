/**
 * The metrics of one mesh, on a prom-client registry of its own: any number of meshes live in one process, and the
 * process's global registry is left alone.
 *
 * State: the cells of each metric, and the registry once it was asked for: prom-client is loaded then. Guarantees: label values and series are bounded (metric-series.ts)
 * and what overflows is counted in `metrics_overflow_total`; asking twice for a name gives the same metric; counting is
 * an addition to a plain number, and everything else is done when the metrics are scraped. prom-client's own counters
 * sort and join the labels at each call, which at 100,000 messages per second would be a good part of a core.
 * Source: Prometheus exposition format 0.0.4.
 */
import type { Registry } from 'prom-client'
import { ParleyError } from '../protocols/errors.ts'
import type { Labels, Metrics } from '../protocols/port.ts'
import { createBoundedValues, createSeries, OTHER, type Series } from './metric-series.ts'

/** Seconds: from a call on loopback to the longest default timeout. */
export const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/** Adds `by`, 1 unless told. A negative or non-finite amount is dropped and counted. */
export type Add = (by?: number) => void
export type Observe = (value: number) => void

export interface CounterMetric {
  (labels?: Labels, by?: number): void
  /** Looks the labels up once; what it returns is for the hot path. */
  with(labels: Labels): Add
}

export interface HistogramMetric {
  (value: number, labels?: Labels): void
  with(labels: Labels): Observe
}

export type GaugeRows = Iterable<readonly [value: string, figure: number]>

export interface NodeMetrics extends Metrics {
  counter(name: string, help: string, labels?: readonly string[]): CounterMetric
  /** `buckets`: upper bounds, ascending; SECONDS unless told. */
  histogram(name: string, help: string, labels?: readonly string[], buckets?: number[]): HistogramMetric
  /** Asking again replaces `read`: a part that was stopped and started again is read, not its predecessor. */
  gauge(name: string, help: string, read: () => number | Promise<number>): void
  /** A counter that something else keeps; it is read at the scrape. */
  total(name: string, help: string, read: () => number | Promise<number>): void
  /** One gauge per row. Of more than 50 rows the first 50 are shown and the rest is summed up as `other`. */
  gauges(name: string, help: string, label: string, read: () => GaugeRows | Promise<GaugeRows>): void
  /** Everything in Prometheus' text format; it is of type `contentType`. */
  exposition(): Promise<string>
  readonly contentType: string
  /** For an embedder that merges it with its own: `Registry.merge([...])`. */
  registry(): Promise<Registry>
}

interface Sample {
  labels: Record<string, string | number>
  value: number
  metricName?: string
}

interface Bins {
  /** One per upper bound and one above the last; not cumulative. */
  readonly counts: number[]
  sum: number
  count: number
}

interface Shape {
  kind: 'counter' | 'gauge' | 'histogram'
  name: string
  help: string
  labelNames: readonly string[]
  buckets?: number[]
}

interface Exposed {
  readonly shape: Shape
  readonly samples: () => Sample[] | Promise<Sample[]>
}

/** As the exposition format has them; `le` is what a histogram tells its buckets apart by. */
const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
const LABEL_NAME = /^(?!le$)[a-zA-Z_][a-zA-Z0-9_]*$/
export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

const checkShape = ({ name, help, labelNames, buckets = [] }: Shape): void => {
  if (!METRIC_NAME.test(name)) throw new Error(`${JSON.stringify(name)} is no name of a metric`)
  if (help === '') throw new Error('there is no help text')
  const label = labelNames.find((one) => !LABEL_NAME.test(one))
  if (label !== undefined) throw new Error(`${JSON.stringify(label)} is no name of a label`)
  if (buckets.some((bound, i) => !(bound > (buckets[i - 1] ?? Number.NEGATIVE_INFINITY))))
    throw new Error('its buckets do not ascend')
}

/** A registry of metrics whose samples are ours. prom-client asks `getForPromString` for its text, where that exists. */
const createRegistry = async () => {
  const { Counter, Gauge, Histogram, Registry } = await import('prom-client')
  const kinds = { counter: Counter, gauge: Gauge, histogram: Histogram }
  const registry = new Registry()
  const add = ({ shape, samples }: Exposed): void => {
    const { kind, ...config } = shape
    const metric = new kinds[kind]({ ...config, registers: [registry] })
    const get = async () => ({
      name: shape.name,
      help: shape.help,
      type: kind,
      aggregator: 'sum',
      values: await samples(),
    })
    Object.assign(metric, { get, getForPromString: get })
  }
  return { registry, add }
}

const binSamples = (name: string, buckets: readonly number[], series: Series<Bins>): Sample[] =>
  series.cells().flatMap(({ labels, cell }) => {
    let below = 0
    const bins = buckets.map((le, i): Sample => {
      below += cell.counts[i] ?? 0
      return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: below }
    })
    return [
      ...bins,
      { metricName: `${name}_bucket`, labels: { le: '+Inf', ...labels }, value: cell.count },
      { metricName: `${name}_sum`, labels, value: cell.sum },
      { metricName: `${name}_count`, labels, value: cell.count },
    ]
  })

/** The rows of a gauge at this moment, within the bound. */
const boundRows = (label: string, rows: GaugeRows, onOverflow: () => void): Sample[] => {
  const admit = createBoundedValues()
  const sums = new Map<string, number>()
  for (const [value, figure] of rows) {
    const key = admit(value)
    if (key === OTHER && value !== OTHER) onOverflow()
    sums.set(key, (sums.get(key) ?? 0) + figure)
  }
  return [...sums].map(([value, figure]) => ({ labels: { [label]: value }, value: figure }))
}

export const createMetrics = (): NodeMetrics => {
  const exposed: Exposed[] = []
  let loading: ReturnType<typeof createRegistry> | undefined
  let added = 0
  const expose = (shape: Shape, samples: Exposed['samples']): void => {
    checkShape(shape)
    exposed.push({ shape, samples })
  }
  /** With all that is exposed by now. */
  const registry = async (): Promise<Registry> => {
    loading ??= createRegistry()
    const { registry, add } = await loading
    for (; added < exposed.length; added += 1) {
      const next = exposed[added]
      if (next !== undefined) add(next)
    }
    return registry
  }
  const known = new Map<string, { shape: string; metric: unknown }>()

  /** The metric of this name; `make` only runs when it is asked for the first time. */
  const once = <T>(name: string, shape: string, make: () => T): T => {
    const found = known.get(name)
    if (found === undefined) {
      try {
        const metric = make()
        known.set(name, { shape, metric })
        return metric
      } catch (cause) {
        const hint = 'use letters, digits and _ in names of metrics and labels, and give a help text'
        throw new ParleyError('MSG001', `metric ${name} cannot be made from ${shape}`, { hint, cause })
      }
    }
    if (found.shape !== shape) {
      throw new ParleyError('STA003', `metric ${name} is a ${found.shape} and was asked for as a ${shape}`, {
        hint: 'use another name; kind, labels and buckets of a metric are fixed when it is made',
        details: { reason: 'in-use' },
      })
    }
    // The shape starts with the kind, so what was stored under it is of the type that is asked for.
    return found.metric as T
  }

  /** Per metric name; the names are those that the code gives, so there are as many as there are metrics. */
  const spilled = {
    value: new Map<string, number>(),
    series: new Map<string, number>(),
    sample: new Map<string, number>(),
  }
  const spill = (why: keyof typeof spilled, metric: string): void => {
    spilled[why].set(metric, (spilled[why].get(metric) ?? 0) + 1)
  }
  const seriesOf = <C>(metric: string, labelNames: readonly string[], fresh: () => C): Series<C> =>
    createSeries({ metric, labelNames, fresh, onOverflow: (why) => spill(why, metric) })

  const makeCounter = (name: string, help: string, labelNames: readonly string[]): CounterMetric => {
    const series = seriesOf(name, labelNames, () => ({ value: 0 }))
    if (labelNames.length === 0) series.of(undefined)
    expose({ kind: 'counter', name, help, labelNames }, () =>
      series.cells().map(({ labels, cell }) => ({ labels, value: cell.value })),
    )
    const add = (cell: { value: number }, by: number): void => {
      if (by >= 0 && by < Number.POSITIVE_INFINITY) cell.value += by
      else spill('sample', name)
    }
    return Object.assign((labels?: Labels, by = 1) => add(series.of(labels), by), {
      with(labels: Labels) {
        const cell = series.of(labels)
        return (by = 1) => add(cell, by)
      },
    })
  }

  const makeHistogram = (
    name: string,
    help: string,
    labelNames: readonly string[],
    buckets: number[],
  ): HistogramMetric => {
    const fresh = (): Bins => ({ counts: new Array<number>(buckets.length + 1).fill(0), sum: 0, count: 0 })
    const series = seriesOf(name, labelNames, fresh)
    if (labelNames.length === 0) series.of(undefined)
    expose({ kind: 'histogram', name, help, labelNames, buckets }, () => binSamples(name, buckets, series))
    const observe = (bins: Bins, value: number): void => {
      if (!Number.isFinite(value)) {
        spill('sample', name)
        return
      }
      let bin = 0
      while (bin < buckets.length && value > (buckets[bin] ?? 0)) bin += 1
      bins.counts[bin] = (bins.counts[bin] ?? 0) + 1
      bins.sum += value
      bins.count += 1
    }
    return Object.assign((value: number, labels?: Labels) => observe(series.of(labels), value), {
      with(labels: Labels) {
        const bins = series.of(labels)
        return (value: number) => observe(bins, value)
      },
    })
  }

  /** A reading that fails leaves its gauge out of this scrape, and is counted; the other metrics are not held up. */
  const makeReading = (kind: 'counter' | 'gauge', name: string, help: string, label?: string) => {
    const reader: { read: () => GaugeRows | Promise<GaugeRows> } = { read: () => [] }
    const labelNames = label === undefined ? [] : [label]
    expose({ kind, name, help, labelNames }, async () => {
      try {
        const all = [...(await reader.read())]
        const rows = all.filter(([, figure]) => Number.isFinite(figure))
        if (rows.length < all.length) spill('sample', name)
        if (label === undefined) return rows.map(([, value]) => ({ labels: {}, value }))
        return boundRows(label, rows, () => spill('value', name))
      } catch {
        spill('sample', name)
        return []
      }
    })
    return reader
  }

  expose(
    {
      kind: 'counter',
      name: 'metrics_overflow_total',
      help: 'Counted under "other" (why = value, series) or not at all (why = sample), by metric',
      labelNames: ['metric', 'why'],
    },
    () =>
      Object.entries(spilled).flatMap(([why, by]) =>
        [...by].map(([metric, value]) => ({ labels: { metric, why }, value })),
      ),
  )

  return {
    registry,
    contentType: CONTENT_TYPE,
    counter: (name, help, labels = []) => once(name, `counter{${labels}}`, () => makeCounter(name, help, [...labels])),
    histogram: (name, help, labels = [], buckets = SECONDS) =>
      once(name, `histogram{${labels}}[${buckets}]`, () => makeHistogram(name, help, [...labels], [...buckets])),
    gauge(name, help, read) {
      once(name, 'gauge{}', () => makeReading('gauge', name, help)).read = async () => [['', await read()]]
    },
    total(name, help, read) {
      once(name, 'total{}', () => makeReading('counter', name, help)).read = async () => [['', await read()]]
    },
    gauges(name, help, label, read) {
      once(name, `gauge{${label}}`, () => makeReading('gauge', name, help, label)).read = read
    },
    exposition: async () => (await registry()).metrics(),
  }
}
