/** What the crash runs of tasks say at their end: what each scenario found, what is wrong, and a last line. Pure. */
import type { Result } from '../report.ts'
import { reportLines, total } from '../report-lines.ts'

export const tasksSummary = (results: readonly Result[], seed: number): string =>
  reportLines(results, [
    `${results.length} scenarios`,
    `${total(results, 'tasks')} tasks`,
    `${total(results, 'completed')} completed`,
    `${total(results, 'runs')} effects ran`,
    `${total(results, 'without duplicates')} without duplicates`,
    `seed ${seed}`,
  ])
