/** Seeds of a scenario, one after another, until one fails. */
import { type Result, type Share, sum } from './jobs.ts'
import { SCENARIOS, type Totals } from './scenarios.ts'

export const runSeeds = async (
  { scenario, first, last, stride, steps }: Share,
  trace?: (line: string) => void,
): Promise<Result> => {
  const found = SCENARIOS[scenario]
  if (found === undefined) throw new Error(`no scenario ${scenario}`)
  let totals: Totals = {}
  const { stackTraceLimit } = Error
  // Faults make errors by the thousand; nobody reads where each of them comes from.
  if (trace === undefined) Error.stackTraceLimit = 0
  try {
    for (let seed = first; seed <= last; seed += stride) {
      try {
        totals = sum(totals, await found.run({ seed, steps, trace }))
      } catch (error) {
        return { totals, failed: { seed, message: error instanceof Error ? error.message : String(error) } }
      }
    }
    return { totals }
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}
