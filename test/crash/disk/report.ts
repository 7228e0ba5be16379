/** What the runs on the virtual disk say at their end: what was done to each store, what is wrong, and a last line. Pure. */
import { figuresOf } from '../messages/report.ts'
import { type Result, verdictOf } from '../report.ts'

export const diskSummary = (results: readonly Result[], seed: number): string => {
  const failed = results.filter(({ violations }) => violations.length > 0)
  const total = (figure: string): number => results.reduce((sum, { figures }) => sum + (figures[figure] ?? 0), 0)
  const facts = `${total('cuts')} power cuts at ${total('operations')} operations, ${total('flips')} bytes changed of which ${total('told')} were told`
  return [
    ...results.map(
      (result) => `${result.name} (${result.seconds.toFixed(1)} s, ${verdictOf(result)}): ${figuresOf(result)}`,
    ),
    ...failed.flatMap(({ name, violations }) => violations.map((what) => `WRONG in ${name}: ${what}`)),
    `${failed.length === 0 ? 'ok' : 'FAILED'}, ${facts}, seed ${seed}`,
  ].join('\n')
}
