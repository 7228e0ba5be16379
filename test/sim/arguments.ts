/** The command line of the simulator: `npm run sim -- [--scenario NAME] --seeds N [...]`. Pure. */
import { readOptions, UsageError, whole } from '../support/usage.ts'

const MAX_SEED = 2 ** 31 - 1
export const MAX_JOBS = 16
/** Scenarios of many nodes have 25 and 60 unless told. */
const LEAST_STEPS = 10

/** What the program does: runs seeds of a scenario, readable scripts, or deliberate bugs. */
export type SimArguments =
  | {
      readonly mode: 'scenario'
      readonly scenario: string
      readonly first: number
      readonly seeds: number
      /** Steps under faults in each run; undefined: what the scenario has unless told. */
      readonly steps: number | undefined
      /** Of the scenario that asks for it. */
      readonly members: number | undefined
      readonly trace: boolean
      readonly jobs: number | undefined
    }
  | { readonly mode: 'scripts'; readonly rewrite: boolean; readonly only: string }
  | { readonly mode: 'mutants'; readonly only: string; readonly jobs: number | undefined }

const OPTIONS = {
  scenario: { type: 'string' },
  seeds: { type: 'string' },
  seed: { type: 'string' },
  steps: { type: 'string' },
  members: { type: 'string' },
  jobs: { type: 'string' },
  only: { type: 'string' },
  trace: { type: 'boolean' },
  scripts: { type: 'boolean' },
  rewrite: { type: 'boolean' },
  mutants: { type: 'boolean' },
} as const

const ACCEPTED = `--scenario NAME --seeds N --seed S --steps N --jobs N --members N --trace
          --scripts [--rewrite] [--only WORD]
          --mutants [--jobs N] [--only WORD]`

const refuse = (message: string): never => {
  throw new UsageError(`${message}\naccepted: ${ACCEPTED}`)
}

/**
 * @param known names of scenarios, each with what it shows
 * @throws UsageError
 */
export const parseSimArguments = (
  args: readonly string[],
  known: readonly (readonly [name: string, about: string])[],
): SimArguments => {
  const { values } = readOptions(args, OPTIONS, ACCEPTED)
  const { scripts = false, mutants = false, rewrite = false, trace = false, only = '', scenario = 'all' } = values
  if (scripts && mutants) return refuse('--scripts and --mutants: one at a time')
  if (rewrite && !scripts) return refuse('--rewrite is for --scripts')
  const isOther = scripts || mutants
  if (!isOther && values.only !== undefined) return refuse('--only is for --scripts and --mutants')
  for (const name of ['scenario', 'seeds', 'seed', 'steps', 'members', 'trace'] as const)
    if (isOther && values[name] !== undefined) return refuse(`--${name} is for a scenario`)
  const count = (name: 'steps' | 'members' | 'jobs', least: number, most: number): number | undefined => {
    const text = values[name]
    return text === undefined ? undefined : whole(name, text, least, most)
  }
  const jobs = count('jobs', 1, MAX_JOBS)
  if (scripts) return jobs === undefined ? { mode: 'scripts', rewrite, only } : refuse('--jobs is not for --scripts')
  if (mutants) return { mode: 'mutants', only, jobs }
  if (!known.some(([name]) => name === scenario)) {
    const list = known.map(([name, about]) => `  ${name.padEnd(12)} ${about}`).join('\n')
    throw new UsageError(`--scenario ${JSON.stringify(scenario)} is not known; there are:\n${list}`)
  }
  const first = whole('seed', values.seed ?? '1', 1, MAX_SEED)
  const seeds = whole('seeds', values.seeds ?? '1', 1, 1_000_000)
  if (trace && seeds > 1) return refuse('--trace shows one run: give it a --seed, and no --seeds')
  const members = count('members', 2, 100_000)
  if (members !== undefined && scenario !== 'membership') return refuse('--members is for --scenario membership')
  const steps = count('steps', LEAST_STEPS, 10_000_000)
  return { mode: 'scenario', scenario, first, seeds, steps, members, trace, jobs }
}
