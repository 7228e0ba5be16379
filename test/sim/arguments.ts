/** The command line of the simulator: `npm run sim -- --seeds N [--seed S] [--steps N] [--trace] [--mutants]`. Pure. */
import { parseArgs } from 'node:util'

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

/** A wrong command line; the message says what is accepted. The program ends with 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

const OPTIONS = {
  seeds: { type: 'string' },
  seed: { type: 'string' },
  steps: { type: 'string' },
  trace: { type: 'boolean' },
  mutants: { type: 'boolean' },
} as const

const read = (args: readonly string[]) => {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, strict: true }).values
  } catch (error) {
    throw new UsageError(
      `${error instanceof Error ? error.message : String(error)}\naccepted: --seeds N --seed S --steps N --trace --mutants`,
    )
  }
}

const whole = (name: string, text: string, least: number, most: number): number => {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN
  if (value >= least && value <= most) return value
  throw new UsageError(`--${name} ${JSON.stringify(text)} is not a whole number from ${least} to ${most}`)
}

/** @throws UsageError */
export const parseSimArguments = (args: readonly string[]): SimArguments => {
  const { seeds = '1', seed = '1', steps = String(DEFAULT_STEPS), trace = false, mutants = false } = read(args)
  const parsed = {
    first: whole('seed', seed, 1, MAX_SEED),
    seeds: whole('seeds', seeds, 1, 1_000_000),
    steps: whole('steps', steps, 100, 1_000_000),
  }
  if (trace && parsed.seeds > 1) throw new UsageError('--trace shows one run: give it a --seed, and no --seeds')
  return { ...parsed, trace, mutants }
}
