/** What the crash runs of messages say at their end: what each scenario found, what is wrong, and a last line. Pure. */
import { type Result, verdictOf } from '../report.ts'

const NUMBERS = new Intl.NumberFormat('en', { maximumFractionDigits: 1 })

export const figuresOf = ({ figures, skipped }: Result): string =>
  skipped ??
  Object.entries(figures)
    .map(([name, value]) => `${name} ${NUMBERS.format(value)}`)
    .join('; ')

const sumOf = (results: readonly Result[], figure: string): number =>
  results.reduce((sum, { figures }) => sum + (figures[figure] ?? 0), 0)

export const messagesSummary = (results: readonly Result[], seed: number): string => {
  const failed = results.filter(({ violations }) => violations.length > 0)
  const skipped = results.filter((result) => result.skipped !== undefined)
  const total = (figure: string): string => NUMBERS.format(sumOf(results, figure))
  const facts = [
    `${results.length - skipped.length} scenarios`,
    `${total('rounds')} rounds`,
    `${total('messages')} messages`,
    `${total('lost')} lost`,
    `${total('twice')} EXACTLY_ONCE counted twice`,
    `${total('again')} AT_LEAST_ONCE ran again`,
    `${total('outOfOrder')} out of order`,
    ...(skipped.length > 0 ? [`skipped ${skipped.map(({ name }) => name).join(', ')}`] : []),
    `seed ${seed}`,
  ]
  return [
    ...results.map(
      (result) => `${result.name} (${result.seconds.toFixed(1)} s, ${verdictOf(result)}): ${figuresOf(result)}`,
    ),
    ...failed.flatMap(({ name, violations }) => violations.map((what) => `WRONG in ${name}: ${what}`)),
    `${failed.length === 0 ? 'ok' : 'FAILED'}, ${facts.join(', ')}`,
  ].join('\n')
}
