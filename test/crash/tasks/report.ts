/** What the crash runs of tasks say at their end: what each scenario found, what is wrong, and a last line. Pure. */
import { figuresOf } from '../messages/report.ts'
import { type Result, verdictOf } from '../report.ts'

export const tasksSummary = (results: readonly Result[], seed: number): string => {
  const failed = results.filter(({ violations }) => violations.length > 0)
  const total = (figure: string): number => results.reduce((sum, { figures }) => sum + (figures[figure] ?? 0), 0)
  const facts = [
    `${results.length} scenarios`,
    `${total('tasks')} tasks`,
    `${total('completed')} completed`,
    `${total('runs')} effects ran`,
    `${total('without duplicates')} without duplicates`,
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
