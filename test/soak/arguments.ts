/** The command line of the soak: `npm run soak -- --minutes N [--seed S] [--json FILE]`. Pure. */
import { readOptions, UsageError, whole } from '../support/usage.ts'

export const DEFAULT_MINUTES = 10
/** Two days. */
export const MAX_MINUTES = 2_880
const MAX_SEED = 2 ** 32 - 1

export interface SoakArguments {
  readonly minutes: number
  /** Decides what is called, who leaves and when; undefined: any. */
  readonly seed: number | undefined
  readonly json: string | undefined
}

const OPTIONS = { minutes: { type: 'string' }, seed: { type: 'string' }, json: { type: 'string' } } as const

const ACCEPTED = '--minutes N --seed S --json FILE'

/** @throws UsageError */
export const parseSoakArguments = (args: readonly string[]): SoakArguments => {
  const { minutes, seed, json } = readOptions(args, OPTIONS, ACCEPTED).values
  if (json === '') throw new UsageError('--json needs the name of a file')
  return {
    minutes: minutes === undefined ? DEFAULT_MINUTES : whole('minutes', minutes, 1, MAX_MINUTES),
    seed: seed === undefined ? undefined : whole('seed', seed, 0, MAX_SEED),
    json,
  }
}
