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
  for (let seed = first; seed <= last; seed += stride) {
    try {
      totals = sum(totals, await found.run({ seed, steps, trace }))
    } catch (error) {
      return { totals, failed: { seed, message: error instanceof Error ? error.message : String(error) } }
    }
  }
  return { totals }
}
