/** `npm run sim`: groups under faults, seed after seed; readable scripts; deliberate bugs. Says which seed fails, and why. */
import { availableParallelism } from 'node:os'
import { UsageError } from '../support/usage.ts'
import { parseSimArguments, type SimArguments } from './arguments.ts'
import { runShared } from './jobs.ts'
import { runMembership } from './membership.ts'
import { runMutants } from './mutants.ts'
import { runSeeds } from './run-seeds.ts'
import { SCENARIOS, type Scenario, type Totals } from './scenarios.ts'
import { runScripts } from './script/run-all.ts'

/** In many runs each of these must have happened, or the runs prove nothing. */
const LEAST_SHARE = 0.05
const ENOUGH_SEEDS = 100
/** Below it threads cost more than they save. */
const SEEDS_FOR_THREADS = 100
/** Threads unless told. */
const DEFAULT_JOBS = Math.min(2, availableParallelism())

const KNOWN: readonly (readonly [string, string])[] = [
  ...Object.entries(SCENARIOS).map(([name, { about }]) => [name, about] as const),
  ['membership', 'many members who watch each other: messages, detection of deaths, newcomers (--members N)'],
]

/** Totals as people read them. */
const wordsOf = (name: string): string =>
  name === 'changes' ? 'membership changes' : name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)

/** @returns the exit code */
const conclude = (totals: Totals, { needed }: Scenario, seeds: number): number => {
  for (const [name, count] of Object.entries(totals)) console.log(`${wordsOf(name).padEnd(20)} ${count}`)
  if (seeds < ENOUGH_SEEDS) return 0
  const least = LEAST_SHARE * seeds
  const missing = needed.filter((name) => (totals[name] ?? 0) < least)
  if (missing.length === 0) return 0
  console.error(`sim: FAILED, fewer than ${least}: ${missing.map(wordsOf).join(', ')}`)
  return 1
}

const runScenario = async (args: Extract<SimArguments, { mode: 'scenario' }>): Promise<number> => {
  const { scenario: name, first, seeds, trace, members } = args
  if (name === 'membership') return runMembership({ members, first, seeds, trace })
  const scenario = SCENARIOS[name]
  if (scenario === undefined) throw new Error(`no scenario ${name}`)
  const steps = args.steps ?? scenario.steps
  const jobs = args.jobs ?? (seeds < SEEDS_FOR_THREADS ? 1 : DEFAULT_JOBS)
  const share = { scenario: name, first, last: first + seeds - 1, steps }
  const startedAt = performance.now()
  const result =
    jobs > 1
      ? await runShared(share, jobs)
      : await runSeeds({ ...share, stride: 1 }, trace ? (line) => console.log(line) : undefined)
  if ('failed' in result) {
    const { seed, message } = result.failed
    console.error(`seed ${seed}: ${message}`)
    console.error(`see it step by step: npm run sim -- --scenario ${name} --seed ${seed} --steps ${steps} --trace`)
    return 1
  }
  const code = conclude(result.totals, scenario, seeds)
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1)
  if (code === 0) console.log(`sim: ok, ${name}, ${seeds} seeds from ${first}, ${steps} steps each, ${seconds} s`)
  return code
}

const run = (args: SimArguments): Promise<number> => {
  if (args.mode === 'scripts') return runScripts(args)
  if (args.mode === 'mutants') return runMutants({ only: args.only, jobs: args.jobs ?? DEFAULT_JOBS })
  return runScenario(args)
}

try {
  process.exitCode = await run(parseSimArguments(process.argv.slice(2), KNOWN))
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  console.error(error.message)
  process.exitCode = 2
}
