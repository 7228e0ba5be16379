/** What the crash runs of messages say at their end: what each scenario found, what is wrong, and a last line. Pure. */
import type { Result } from '../report.ts'
import { reportLines, total } from '../report-lines.ts'

export const messagesSummary = (results: readonly Result[], seed: number): string => {
  const skipped = results.filter((result) => result.skipped !== undefined)
  return reportLines(results, [
    `${results.length - skipped.length} scenarios`,
    `${total(results, 'rounds')} rounds`,
    `${total(results, 'messages')} messages`,
    `${total(results, 'lost')} lost`,
    `${total(results, 'twice')} EXACTLY_ONCE counted twice`,
    `${total(results, 'again')} AT_LEAST_ONCE ran again`,
    `${total(results, 'outOfOrder')} out of order`,
    ...(skipped.length > 0 ? [`skipped ${skipped.map(({ name }) => name).join(', ')}`] : []),
    `seed ${seed}`,
  ])
}
