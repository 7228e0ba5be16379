/** `npm run sim`: runs the consensus core under faults, seed after seed; prints the seed of what fails, and what happened. */

import { UsageError } from '../support/usage.ts'
import { parseSimArguments } from './arguments.ts'
import { runMutants } from './mutants.ts'
import { noTotals, runWorld, type Totals } from './raft/world.ts'

/** In many runs each of these must have happened, or the runs prove nothing. */
const LEAST_SHARE = 0.05
const COUNTED = [
  'elections',
  'snapshots',
  'restores',
  'crashes',
  'lostDisks',
  'changes',
  'partitions',
  'freezes',
  'transfers',
  'acknowledged',
  'retried',
  'reads',
] as const satisfies readonly (keyof Totals)[]
const ENOUGH_SEEDS = 100

const run = (args: readonly string[]): number => {
  const { first, seeds, steps, trace, mutants } = parseSimArguments(args)
  if (mutants) return runMutants()
  const totals = noTotals()
  const startedAt = performance.now()
  for (let seed = first; seed < first + seeds; seed += 1) {
    try {
      const one = runWorld({ seed, steps, trace: trace ? (line) => console.log(line) : undefined })
      for (const name of ['steps', ...COUNTED] as const) totals[name] += one[name]
    } catch (error) {
      console.error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`)
      console.error(`see it step by step: npm run sim -- --seed ${seed} --steps ${steps} --trace`)
      return 1
    }
  }
  for (const name of ['steps', ...COUNTED] as const) console.log(`${name.padEnd(13)} ${totals[name]}`)
  const missing = seeds < ENOUGH_SEEDS ? [] : COUNTED.filter((name) => totals[name] < LEAST_SHARE * seeds)
  if (missing.length > 0) {
    console.error(`sim: FAILED, too few: ${missing.join(', ')}`)
    return 1
  }
  console.log(`sim: ok, ${seeds} seeds from ${first}, ${((performance.now() - startedAt) / 1_000).toFixed(1)} s`)
  return 0
}

try {
  process.exitCode = run(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  console.error(error.message)
  process.exitCode = 2
}
