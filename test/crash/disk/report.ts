/** What the runs on the virtual disk say at their end: what was done to each store, what is wrong, and a last line. Pure. */
import type { Result } from '../report.ts'
import { reportLines, total } from '../report-lines.ts'

export const diskSummary = (results: readonly Result[], seed: number): string =>
  reportLines(results, [
    `${total(results, 'cuts')} power cuts at ${total(results, 'operations')} operations`,
    `${total(results, 'flips')} bytes changed of which ${total(results, 'told')} were told`,
    `seed ${seed}`,
  ])
