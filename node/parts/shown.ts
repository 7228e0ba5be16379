/** The figures of parts among the metrics: read from those that run when somebody looks. */
import type { FigureValue } from '../../protocols/part.ts'
import type { NamedMetrics, NodeMetrics } from '../observe/metrics/metrics.ts'
import type { PartRunner } from './runner.ts'

/** `acme_tally_counted_total`; those of the mesh itself have its prefix. */
export const metricName = (part: string, figure: string): string => `${part.replaceAll(/[/-]/g, '_')}_${figure}`

const rowsOf = (value: FigureValue): Iterable<readonly [string, number]> =>
  typeof value === 'number' ? [['', value]] : value
const sumOf = (value: FigureValue): number =>
  typeof value === 'number' ? value : [...value].reduce((sum, [, figure]) => sum + figure, 0)

export const exposeParts = (metrics: NodeMetrics, parts: Pick<PartRunner, 'facts'>): void => {
  for (const { part } of parts.facts()) {
    const registry: NamedMetrics = part.name.includes('/') ? metrics.asNamed : metrics
    /** 0 until it runs. */
    const read = (figure: string): FigureValue => {
      const { started } = parts.facts().find((one) => one.part === part) ?? {}
      const figures: Readonly<Record<string, FigureValue>> = started?.figures?.() ?? {}
      return figures[figure] ?? 0
    }
    for (const [figure, { kind, help, label }] of Object.entries(part.figures ?? {})) {
      const name = metricName(part.name, figure)
      if (label !== undefined) registry.gauges(name, help, label, () => rowsOf(read(figure)))
      else if (kind === 'counter') registry.total(name, help, () => sumOf(read(figure)))
      else registry.gauge(name, help, () => sumOf(read(figure)))
    }
  }
}
