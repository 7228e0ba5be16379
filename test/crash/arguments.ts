/** The command line of the crash runs: `npm run crash -- [--kills N] [--only NAME] [--seed S] [--json FILE]`. Pure. */
import { readOptions, UsageError, whole } from '../support/usage.ts'

export const DEFAULT_KILLS = 200
export const MAX_KILLS = 100_000
const MAX_SEED = 2 ** 32 - 1

export interface CrashArguments {
  /** How often the coordinator is killed in the scenario `kills`. */
  readonly kills: number
  /** Only this scenario; undefined: all. */
  readonly only: string | undefined
  /** Decides who is killed when; undefined: any. */
  readonly seed: number | undefined
  readonly json: string | undefined
}

const OPTIONS = {
  kills: { type: 'string' },
  only: { type: 'string' },
  seed: { type: 'string' },
  json: { type: 'string' },
} as const

/**
 * @param scenarios their names
 * @throws UsageError
 */
export const parseCrashArguments = (args: readonly string[], scenarios: readonly string[]): CrashArguments => {
  const accepted = `--kills N --only NAME --seed S --json FILE, where NAME is one of ${scenarios.join(', ')}`
  const { kills, only, seed, json } = readOptions(args, OPTIONS, accepted).values
  if (json === '') throw new UsageError('--json needs the name of a file')
  if (only !== undefined && !scenarios.includes(only))
    throw new UsageError(`there is no scenario ${JSON.stringify(only)}\naccepted: ${accepted}`)
  return {
    kills: kills === undefined ? DEFAULT_KILLS : whole('kills', kills, 1, MAX_KILLS),
    only,
    seed: seed === undefined ? undefined : whole('seed', seed, 0, MAX_SEED),
    json,
  }
}
