/** A line for each scenario of a crash run, what is wrong, and a last line of facts. Pure. */
import { type Result, verdictOf } from './report.ts'

const NUMBERS = new Intl.NumberFormat('en', { maximumFractionDigits: 1 })

export const total = (results: readonly Result[], figure: string): string =>
  NUMBERS.format(results.reduce((sum, { figures }) => sum + (figures[figure] ?? 0), 0))

const figuresOf = ({ figures, skipped }: Result): string =>
  skipped ??
  Object.entries(figures)
    .map(([name, value]) => `${name} ${NUMBERS.format(value)}`)
    .join('; ')

export const reportLines = (results: readonly Result[], facts: readonly string[]): string => {
  const failed = results.filter(({ violations }) => violations.length > 0)
  return [
    ...results.map(
      (result) => `${result.name} (${result.seconds.toFixed(1)} s, ${verdictOf(result)}): ${figuresOf(result)}`,
    ),
    ...failed.flatMap(({ name, violations }) => violations.map((what) => `WRONG in ${name}: ${what}`)),
    `${failed.length === 0 ? 'ok' : 'FAILED'}, ${facts.join(', ')}`,
  ].join('\n')
}
