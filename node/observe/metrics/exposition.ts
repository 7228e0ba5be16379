/**
 * Metrics as text: a shape for each metric, and a function that reads its samples when somebody asks for the text.
 *
 * State: the shapes that are exposed. Source: Prometheus exposition format 0.0.4.
 */
export interface MetricSample {
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
  /** Where it is not the name of the metric: the series of a histogram. */
  readonly metricName?: string
}

export interface MetricShape {
  readonly kind: 'counter' | 'gauge' | 'histogram'
  readonly name: string
  readonly help: string
  readonly labelNames: readonly string[]
}

export type ReadSamples = () => MetricSample[] | Promise<MetricSample[]>

/** As the exposition format has them; `le` is what a histogram tells its buckets apart by. */
const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
const LABEL_NAME = /^(?!le$)[a-zA-Z_][a-zA-Z0-9_]*$/
export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

const checkShape = ({ name, help, labelNames }: MetricShape, buckets: readonly number[]): void => {
  if (!METRIC_NAME.test(name)) throw new Error(`${JSON.stringify(name)} is no name of a metric`)
  if (help === '') throw new Error('there is no help text')
  const label = labelNames.find((one) => !LABEL_NAME.test(one))
  if (label !== undefined) throw new Error(`${JSON.stringify(label)} is no name of a label`)
  if (buckets.some((bound, i) => !(bound > (buckets[i - 1] ?? Number.NEGATIVE_INFINITY))))
    throw new Error('its buckets do not ascend')
}

const escaped = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')

/** `{a="x",b="y"}`; nothing where there are no labels. */
const written = (labels: MetricSample['labels']): string => {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(`${value}`).replaceAll('"', '\\"')}"`)
  return pairs.length === 0 ? '' : `{${pairs}}`
}

/** Its comments and its samples. All figures are finite: what is not was dropped where it was counted or read. */
const block = ({ kind, name, help }: MetricShape, samples: readonly MetricSample[]): string =>
  [
    `# HELP ${name} ${escaped(help)}`,
    `# TYPE ${name} ${kind}`,
    ...samples.map(({ metricName = name, labels, value }) => `${metricName}${written(labels)} ${value}`),
  ].join('\n')

/** What one node exposes, in the order in which it was added. */
export class Exposition {
  readonly #blocks: (() => Promise<string>)[] = []

  /**
   * @param buckets upper bounds of a histogram, ascending
   * @throws Error for a shape that the format does not allow
   */
  expose(shape: MetricShape, samples: ReadSamples, buckets: readonly number[] = []): void {
    checkShape(shape, buckets)
    this.#blocks.push(async () => block(shape, await samples()))
  }

  async text(): Promise<string> {
    const blocks = await Promise.all(this.#blocks.map((read) => read()))
    return `${blocks.join('\n\n')}\n`
  }
}
