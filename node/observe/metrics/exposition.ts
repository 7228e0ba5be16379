/**
 * Metrics as prom-client writes them, with samples of our own: a shape for each metric and a function that reads its samples
 * at the scrape.
 *
 * State: the shapes that are exposed, and the registry once it was asked for: prom-client is loaded then.
 * Source: Prometheus exposition format 0.0.4.
 */
import type { Registry } from 'prom-client'

export interface MetricSample {
  labels: Record<string, string | number>
  value: number
  metricName?: string
}

export interface MetricShape {
  kind: 'counter' | 'gauge' | 'histogram'
  name: string
  help: string
  labelNames: readonly string[]
  buckets?: number[]
}

export type ReadSamples = () => MetricSample[] | Promise<MetricSample[]>

export interface Exposition {
  /** @throws Error for a shape that the format does not allow */
  expose(shape: MetricShape, samples: ReadSamples): void
  /** With all that is exposed by now. */
  registry(): Promise<Registry>
}

/** As the exposition format has them; `le` is what a histogram tells its buckets apart by. */
const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
const LABEL_NAME = /^(?!le$)[a-zA-Z_][a-zA-Z0-9_]*$/
export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

const checkShape = ({ name, help, labelNames, buckets = [] }: MetricShape): void => {
  if (!METRIC_NAME.test(name)) throw new Error(`${JSON.stringify(name)} is no name of a metric`)
  if (help === '') throw new Error('there is no help text')
  const label = labelNames.find((one) => !LABEL_NAME.test(one))
  if (label !== undefined) throw new Error(`${JSON.stringify(label)} is no name of a label`)
  if (buckets.some((bound, i) => !(bound > (buckets[i - 1] ?? Number.NEGATIVE_INFINITY))))
    throw new Error('its buckets do not ascend')
}

/** prom-client asks `getForPromString` for its text, where that exists. */
const createRegistry = async () => {
  const { Counter, Gauge, Histogram, Registry } = await import('prom-client')
  const kinds = { counter: Counter, gauge: Gauge, histogram: Histogram }
  const registry = new Registry()
  const add = ({ kind, ...config }: MetricShape, samples: ReadSamples): void => {
    const metric = new kinds[kind]({ ...config, registers: [registry] })
    const get = async () => ({
      name: config.name,
      help: config.help,
      type: kind,
      aggregator: 'sum',
      values: await samples(),
    })
    Object.assign(metric, { get, getForPromString: get })
  }
  return { registry, add }
}

export const createExposition = (): Exposition => {
  const exposed: [MetricShape, ReadSamples][] = []
  let loading: ReturnType<typeof createRegistry> | undefined
  let added = 0
  return {
    expose(shape, samples) {
      checkShape(shape)
      exposed.push([shape, samples])
    },
    async registry() {
      loading ??= createRegistry()
      const { registry, add } = await loading
      for (; added < exposed.length; added += 1) {
        const next = exposed[added]
        if (next !== undefined) add(...next)
      }
      return registry
    },
  }
}
