/**
 * libp2p's own figures in the registry of a mesh, where `metrics.libp2p` asks for them: a factory for libp2p's option.
 *
 * It stands in for @libp2p/prometheus-metrics 5, which keeps the metrics of all nodes of a process in one map beside
 * the registry that it is given: of two nodes the second one's registry stays empty and the first one counts for both,
 * unless the map is emptied, which empties prom-client's global registry too, the embedding application's metrics
 * included. Names and labels are those of that package, so that dashboards made for js-libp2p fit.
 *
 * State: the figures of gauges. Guarantees: label values are bounded like all others (metric-series.ts).
 * Source: the Metrics interface of @libp2p/interface 3.
 */
import type {
  CalculateMetric,
  CounterGroup,
  HistogramGroup,
  HistogramOptions,
  Counter as Libp2pCounter,
  Histogram as Libp2pHistogram,
  Metrics as Libp2pMetrics,
  MessageStream,
  Metric,
  MetricGroup,
  MetricOptions,
  MultiaddrConnection,
  Stream,
} from '@libp2p/interface'
import { MAX_LABEL_VALUES } from './metric-series.ts'
import type { NamedMetrics } from './metrics.ts'

/** A TCP listener adds one reader for each of its addresses, all under one name. Beyond it the oldest is left out. */
const MAX_READERS = 64

type Rows = Record<string, number>
type Source = () => Rows | Promise<Rows>
interface Calculated<T> {
  calculate?: CalculateMetric<T>
}

const clean = (name: string): string => name.replace(/[^a-zA-Z0-9]+/g, '_')
const amount = (figure: number | true | undefined): number => (typeof figure === 'number' ? figure : 1)

/** Calls `done` with the seconds that passed. */
const stopwatch = (done: (seconds: number) => void) => {
  const from = performance.now()
  return () => done((performance.now() - from) / 1000)
}

/** What libp2p sets, and what it lets calculate, under one name of a gauge. */
const createFigures = () => {
  const set = new Map<string, number>()
  const sources = new Set<Source>()
  return {
    set(key: string, figure: number): void {
      // One more than the bound, so that the gauge sees that there are too many and says so.
      if (set.has(key) || set.size <= MAX_LABEL_VALUES) set.set(key, figure)
    },
    add(key: string, by: number): void {
      this.set(key, (set.get(key) ?? 0) + by)
    },
    clear: () => set.clear(),
    calculate(source: Source): void {
      const [oldest] = sources
      if (sources.size >= MAX_READERS && oldest !== undefined) sources.delete(oldest)
      sources.add(source)
    },
    async rows(): Promise<[string, number][]> {
      const calculated = await Promise.all([...sources].map((source) => source()))
      return [...set, ...calculated.flatMap((rows) => Object.entries(rows))]
    },
  }
}

const nothing = (): void => {}
/** A counter is never set back: whoever scrapes it would take that for a restart. */
const reset = nothing

/** What libp2p registers, as metrics of this node. */
class MeshLibp2pMetrics implements Libp2pMetrics {
  readonly #metrics: NamedMetrics
  readonly #gauges = new Map<string, ReturnType<typeof createFigures>>()
  readonly #bytes: ReturnType<NamedMetrics['counter']>

  constructor(metrics: NamedMetrics) {
    this.#metrics = metrics
    this.#bytes = this.#metrics.counter('libp2p_data_transfer_bytes_total', 'Bytes by protocol and direction', [
      'protocol',
    ])
  }

  #figuresOf(name: string, help: string, label: string | undefined) {
    const found = this.#gauges.get(name)
    if (found !== undefined) return found
    const figures = createFigures()
    this.#gauges.set(name, figures)
    if (label !== undefined) this.#metrics.gauges(name, help, label, figures.rows)
    else
      this.#metrics.gauge(name, help, async () => (await figures.rows()).reduce((sum, [, figure]) => sum + figure, 0))
    return figures
  }

  registerMetric(name: string, options: MetricOptions & Calculated<number> = {}): Metric {
    const figures = this.#figuresOf(clean(name), options.help ?? name, undefined)
    const { calculate } = options
    if (calculate !== undefined) figures.calculate(async () => ({ '': await calculate() }))
    return {
      update: (value) => figures.set('', value),
      increment: (value = 1) => figures.add('', value),
      decrement: (value = 1) => figures.add('', -value),
      reset: figures.clear,
      timer: () => stopwatch((seconds) => figures.set('', seconds)),
    }
  }

  registerMetricGroup(name: string, options: MetricOptions & Calculated<Rows> = {}): MetricGroup {
    const figures = this.#figuresOf(clean(name), options.help ?? name, clean(options.label ?? name))
    if (options.calculate !== undefined) figures.calculate(options.calculate)
    const each = (values: Partial<Record<string, number | true>>, fn: (key: string, figure: number) => void): void => {
      for (const [key, figure] of Object.entries(values)) fn(key, amount(figure))
    }
    return {
      update: (values) => each(values, (key, figure) => figures.set(key, figure)),
      increment: (values) => each(values, (key, figure) => figures.add(key, figure)),
      decrement: (values) => each(values, (key, figure) => figures.add(key, -figure)),
      reset: figures.clear,
      timer: (key) => stopwatch((seconds) => figures.set(key, seconds)),
    }
  }

  registerCounter(name: string, options: MetricOptions & Calculated<number> = {}): Libp2pCounter {
    if (options.calculate !== undefined) {
      this.#metrics.total(clean(name), options.help ?? name, options.calculate)
      return { increment: nothing, reset }
    }
    const add = this.#metrics.counter(clean(name), options.help ?? name).with({})
    return { increment: add, reset }
  }

  registerCounterGroup(name: string, options: MetricOptions & Calculated<Rows> = {}): CounterGroup {
    if (options.calculate !== undefined) return this.registerMetricGroup(name, options)
    const label = clean(options.label ?? name)
    const count = this.#metrics.counter(clean(name), options.help ?? name, [label])
    return {
      increment: (values) => {
        for (const [key, figure] of Object.entries(values)) count({ [label]: key }, amount(figure))
      },
      reset,
    }
  }

  /** A calculated one is read as a gauge: one figure per scrape has no distribution. */
  registerHistogram(name: string, options: HistogramOptions & Calculated<number> = {}): Libp2pHistogram {
    if (options.calculate !== undefined) {
      const { update, timer } = this.registerMetric(name, options)
      return { observe: update, reset, timer }
    }
    const observe = this.#metrics.histogram(clean(name), options.help ?? name, [], options.buckets).with({})
    return { observe, reset, timer: () => stopwatch(observe) }
  }

  registerHistogramGroup(name: string, options: HistogramOptions & Calculated<Rows> = {}): HistogramGroup {
    if (options.calculate !== undefined) {
      const { update, timer } = this.registerMetricGroup(name, options)
      return { observe: update, reset, timer }
    }
    const label = clean(options.label ?? name)
    const observe = this.#metrics.histogram(clean(name), options.help ?? name, [label], options.buckets)
    return {
      observe: (values) => {
        for (const [key, value] of Object.entries(values)) observe(amount(value), { [label]: key })
      },
      reset,
      timer: (key) => stopwatch((seconds) => observe(seconds, { [label]: key })),
    }
  }

  /**
   * Counts what passes without listening: a `message` listener would make the stream hand out its first bytes before
   * the protocol is there to take them.
   */
  #track(stream: MessageStream, protocol: string): void {
    const sent = this.#bytes.with({ protocol: `${protocol} sent` })
    const received = this.#bytes.with({ protocol: `${protocol} received` })
    const send = stream.send.bind(stream)
    stream.send = (data) => {
      sent(data.byteLength)
      return send(data)
    }
    const dispatch = stream.dispatchEvent.bind(stream)
    stream.dispatchEvent = (event) => {
      if (event.type === 'message' && 'data' in event) {
        const { data } = event
        if (data instanceof Object && 'byteLength' in data && typeof data.byteLength === 'number') {
          received(data.byteLength)
        }
      }
      return dispatch(event)
    }
  }

  trackMultiaddrConnection(connection: MultiaddrConnection): void {
    this.#track(connection, 'global')
  }

  trackProtocolStream(stream: Stream): void {
    if (stream.protocol) this.#track(stream, stream.protocol)
  }

  // Quantiles of several nodes cannot be put together, buckets can; no part of libp2p 3 registers a summary.
  registerSummary(name: string, options: HistogramOptions & Calculated<number> = {}): Libp2pHistogram {
    return this.registerHistogram(name, options)
  }

  registerSummaryGroup(name: string, options: HistogramOptions & Calculated<Rows> = {}): HistogramGroup {
    return this.registerHistogramGroup(name, options)
  }

  // Tracing comes by OpenTelemetry at the level of messages, not of libp2p's functions.
  traceFunction<F>(_name: string, fn: F): F {
    return fn
  }

  createTrace(): undefined {
    return undefined
  }
}

export const libp2pMetrics = (metrics: NamedMetrics) => (): Libp2pMetrics => new MeshLibp2pMetrics(metrics)
