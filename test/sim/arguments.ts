/** The command line of the simulator: `npm run sim -- --seeds N [--seed S] [--steps N] [--trace] [--mutants]`. Pure. */
import { readOptions, UsageError, whole } from '../support/usage.ts'

const DEFAULT_STEPS = 2_000
const MAX_SEED = 2 ** 31 - 1

export interface SimArguments {
  readonly first: number
  readonly seeds: number
  /** Steps under faults in each run. */
  readonly steps: number
  readonly trace: boolean
  readonly mutants: boolean
}

const OPTIONS = {
  seeds: { type: 'string' },
  seed: { type: 'string' },
  steps: { type: 'string' },
  trace: { type: 'boolean' },
  mutants: { type: 'boolean' },
} as const

const ACCEPTED = '--seeds N --seed S --steps N --trace --mutants'

/** @throws UsageError */
export const parseSimArguments = (args: readonly string[]): SimArguments => {
  const {
    seeds = '1',
    seed = '1',
    steps = String(DEFAULT_STEPS),
    trace = false,
    mutants = false,
  } = readOptions(args, OPTIONS, ACCEPTED).values
  const parsed = {
    first: whole('seed', seed, 1, MAX_SEED),
    seeds: whole('seeds', seeds, 1, 1_000_000),
    steps: whole('steps', steps, 100, 1_000_000),
  }
  if (trace && parsed.seeds > 1) throw new UsageError('--trace shows one run: give it a --seed, and no --seeds')
  return { ...parsed, trace, mutants }
}
