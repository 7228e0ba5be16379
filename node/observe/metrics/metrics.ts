/**
 * The metrics of one mesh. Any number of meshes live in one process, each with its own.
 *
 * State: the cells of each metric. Guarantees: names begin with the prefix of the registry, but for those that come from
 * elsewhere (`asNamed`); label values and series are bounded (metric-series.ts) and what overflows is counted in
 * `metrics_overflow_total`; asking twice for a name gives the same metric; counting is an addition to a plain number, and
 * everything else is done when the metrics are scraped.
 */
import { ParleyError } from '../../../protocols/errors.ts'
import type { Labels, Metrics } from '../../../protocols/port.ts'
import { CONTENT_TYPE, Exposition, type MetricSample, type MetricShape } from './exposition.ts'
import { createBoundedValues, createMetricSeries, type MetricSeries, OTHER_VALUE } from './metric-series.ts'

/** Of all metrics of a mesh, but for those whose names come from elsewhere. */
export const PREFIX = 'parley_'

/** Seconds: from a call on loopback to the longest default timeout. */
export const SECONDS_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/** Adds `by`, 1 unless told. A negative or non-finite amount is dropped and counted. */
export type AddToCounter = (by?: number) => void
export type ObserveValue = (value: number) => void

export interface CounterMetric {
  (labels?: Labels, by?: number): void
  /** Looks the labels up once; what it returns is for the hot path. */
  with(labels: Labels): AddToCounter
  /** Something else keeps the figure of these labels, which never goes down; it is read at the scrape. */
  follow(labels: Labels, read: () => number): void
}

export interface HistogramMetric {
  (value: number, labels?: Labels): void
  with(labels: Labels): ObserveValue
}

export type GaugeRows = Iterable<readonly [value: string, figure: number]>

export interface NamedMetrics extends Metrics {
  counter(name: string, help: string, labels?: readonly string[]): CounterMetric
  /** `buckets`: upper bounds, ascending; SECONDS unless told. */
  histogram(name: string, help: string, labels?: readonly string[], buckets?: number[]): HistogramMetric
  /** Asking again replaces `read`: a part that was stopped and started again is read, not its predecessor. */
  gauge(name: string, help: string, read: () => number | Promise<number>): void
  /** A counter that something else keeps; it is read at the scrape. */
  total(name: string, help: string, read: () => number | Promise<number>): void
  /** One gauge per row. Of more than 50 rows the first 50 are shown and the rest is summed up as `other`. */
  gauges(name: string, help: string, label: string, read: () => GaugeRows | Promise<GaugeRows>): void
}

export interface NodeMetrics extends NamedMetrics {
  /** The same registry for names that are given as they are: those of the seeds, of Node, of libp2p and of programs. */
  readonly asNamed: NamedMetrics
  /** Everything in Prometheus' text format; it is of type `contentType`. */
  exposition(): Promise<string>
  readonly contentType: string
}

interface Bins {
  /** One per upper bound and one above the last; not cumulative. */
  readonly counts: number[]
  sum: number
  count: number
}

const binSamples = (name: string, buckets: readonly number[], series: MetricSeries<Bins>): MetricSample[] =>
  series.cells().flatMap(({ labels, cell }) => {
    let below = 0
    const bins = buckets.map((le, i): MetricSample => {
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
const boundRows = (label: string, rows: GaugeRows, onOverflow: () => void): MetricSample[] => {
  const admit = createBoundedValues()
  const sums = new Map<string, number>()
  for (const [value, figure] of rows) {
    const key = admit(value)
    if (key === OTHER_VALUE && value !== OTHER_VALUE) onOverflow()
    sums.set(key, (sums.get(key) ?? 0) + figure)
  }
  return [...sums].map(([value, figure]) => ({ labels: { [label]: value }, value: figure }))
}

/** What overflowed. The names are those that the code gives, so there are as many as there are metrics. */
const createSpills = () => {
  const counts = {
    value: new Map<string, number>(),
    series: new Map<string, number>(),
    sample: new Map<string, number>(),
  }
  return {
    count(why: keyof typeof counts, metric: string): void {
      counts[why].set(metric, (counts[why].get(metric) ?? 0) + 1)
    },
    samples: (): MetricSample[] =>
      Object.entries(counts).flatMap(([why, by]) =>
        [...by].map(([metric, value]) => ({ labels: { metric, why }, value })),
      ),
  }
}
type Spills = ReturnType<typeof createSpills>

const seriesOf = <C>(
  metric: string,
  labelNames: readonly string[],
  fresh: () => C,
  spills: Spills,
): MetricSeries<C> => {
  const series = createMetricSeries({ metric, labelNames, fresh, onOverflow: (why) => spills.count(why, metric) })
  // Without labels there is one series, which is 0 until something is counted.
  if (labelNames.length === 0) series.of(undefined)
  return series
}

interface CounterCell {
  value: number
  read: (() => number) | undefined
}

const makeCounter = (shape: MetricShape, exposition: Exposition, spills: Spills): CounterMetric => {
  const { name, labelNames } = shape
  const series = seriesOf(name, labelNames, (): CounterCell => ({ value: 0, read: undefined }), spills)
  exposition.expose(shape, () =>
    series.cells().map(({ labels, cell }) => ({ labels, value: cell.value + (cell.read?.() ?? 0) })),
  )
  const add = (cell: CounterCell, by: number): void => {
    if (by >= 0 && by < Number.POSITIVE_INFINITY) cell.value += by
    else spills.count('sample', name)
  }
  return Object.assign((labels?: Labels, by = 1) => add(series.of(labels), by), {
    with(labels: Labels) {
      const cell = series.of(labels)
      return (by = 1) => add(cell, by)
    },
    follow(labels: Labels, read: () => number) {
      series.of(labels).read = read
    },
  })
}

const makeHistogram = (
  shape: MetricShape,
  buckets: number[],
  exposition: Exposition,
  spills: Spills,
): HistogramMetric => {
  const { name, labelNames } = shape
  const fresh = (): Bins => ({ counts: new Array<number>(buckets.length + 1).fill(0), sum: 0, count: 0 })
  const series = seriesOf(name, labelNames, fresh, spills)
  exposition.expose(shape, () => binSamples(name, buckets, series), buckets)
  const observe = (bins: Bins, value: number): void => {
    if (!Number.isFinite(value)) {
      spills.count('sample', name)
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
const makeReading = (shape: MetricShape, exposition: Exposition, spills: Spills) => {
  const { name } = shape
  const [label] = shape.labelNames
  const reader: { read: () => GaugeRows | Promise<GaugeRows> } = { read: () => [] }
  exposition.expose(shape, async () => {
    try {
      const all = [...(await reader.read())]
      const rows = all.filter(([, figure]) => Number.isFinite(figure))
      if (rows.length < all.length) spills.count('sample', name)
      if (label === undefined) return rows.map(([, value]) => ({ labels: {}, value }))
      return boundRows(label, rows, () => spills.count('value', name))
    } catch {
      spills.count('sample', name)
      return []
    }
  })
  return reader
}

/** The metric of a name; it is made when it is asked for the first time. */
const createKnown = () => {
  const known = new Map<string, { shape: string; metric: unknown }>()
  return <T>(name: string, shape: string, make: () => T): T => {
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
}

/** @param prefix of all names but those of `asNamed` */
export const createMetrics = (prefix = ''): NodeMetrics => {
  const exposition = new Exposition()
  const spills = createSpills()
  const once = createKnown()

  const named = (first: string): NamedMetrics => ({
    counter(own, help, labels = []) {
      const shape: MetricShape = { kind: 'counter', name: first + own, help, labelNames: [...labels] }
      return once(shape.name, `counter{${labels}}`, () => makeCounter(shape, exposition, spills))
    },
    histogram(own, help, labels = [], buckets = SECONDS_BUCKETS) {
      const shape: MetricShape = { kind: 'histogram', name: first + own, help, labelNames: [...labels] }
      const text = `histogram{${labels}}[${buckets}]`
      return once(shape.name, text, () => makeHistogram(shape, [...buckets], exposition, spills))
    },
    gauge(own, help, read) {
      const shape: MetricShape = { kind: 'gauge', name: first + own, help, labelNames: [] }
      once(shape.name, 'gauge{}', () => makeReading(shape, exposition, spills)).read = async () => [['', await read()]]
    },
    total(own, help, read) {
      const shape: MetricShape = { kind: 'counter', name: first + own, help, labelNames: [] }
      once(shape.name, 'total{}', () => makeReading(shape, exposition, spills)).read = async () => [['', await read()]]
    },
    gauges(own, help, label, read) {
      const shape: MetricShape = { kind: 'gauge', name: first + own, help, labelNames: [label] }
      once(shape.name, `gauge{${label}}`, () => makeReading(shape, exposition, spills)).read = read
    },
  })

  exposition.expose(
    {
      kind: 'counter',
      name: `${prefix}metrics_overflow_total`,
      help: 'Counted under "other" (why = value, series) or not at all (why = sample), by metric',
      labelNames: ['metric', 'why'],
    },
    spills.samples,
  )
  return {
    ...named(prefix),
    asNamed: named(''),
    contentType: CONTENT_TYPE,
    exposition: () => exposition.text(),
  }
}
