/**
 * The command line of the crash runs. Pure. `npm run crash -- [--kills N]` plays those of the coordinator,
 * `npm run crash -- --rounds N [--slow-seconds S]` those of messages; `[--scenario NAME] [--seed S] [--json FILE]` for both.
 */
import { readOptions, UsageError, whole } from '../support/usage.ts'

export const DEFAULT_KILLS = 200
export const MAX_KILLS = 100_000
export const DEFAULT_SLOW_SECONDS = 30
const MAX_SEED = 2 ** 32 - 1

/** What the scenarios are about: who coordinates, or durable messages. */
export type About = 'coordinator' | 'messages'

export interface CrashArguments {
  readonly about: About
  /** How often the coordinator is killed in the scenario `kills`. */
  readonly kills: number
  /** In how many rounds sender and receiver of messages are killed. */
  readonly rounds: number
  /** How long a receiver is slow. */
  readonly slowSeconds: number
  /** Only this scenario; undefined: all. */
  readonly only: string | undefined
  /** Decides who is killed when; undefined: any. */
  readonly seed: number | undefined
  readonly json: string | undefined
}

const OPTIONS = {
  kills: { type: 'string' },
  rounds: { type: 'string' },
  'slow-seconds': { type: 'string' },
  scenario: { type: 'string' },
  only: { type: 'string' },
  seed: { type: 'string' },
  json: { type: 'string' },
} as const

/**
 * @param scenarios their names
 * @throws UsageError
 */
export const parseCrashArguments = (
  args: readonly string[],
  scenarios: Readonly<Record<About, readonly string[]>>,
): CrashArguments => {
  const accepted = `--kills N, or --rounds N --slow-seconds S for messages; --scenario NAME (or --only) --seed S --json FILE, where NAME is one of ${scenarios.coordinator.join(', ')}, and for messages ${scenarios.messages.join(', ')}`
  const { values } = readOptions(args, OPTIONS, accepted)
  const { kills, rounds, 'slow-seconds': slow, only, scenario = only, seed, json } = values
  if (json === '') throw new UsageError('--json needs the name of a file')
  if (only !== undefined && scenario !== only) throw new UsageError('--only and --scenario say the same: give one')
  const about: About = rounds !== undefined || slow !== undefined ? 'messages' : 'coordinator'
  if (about === 'messages' && kills !== undefined)
    throw new UsageError('--kills is of the coordinator, --rounds of messages: give one')
  if (scenario !== undefined && !scenarios[about].includes(scenario))
    throw new UsageError(
      `there is no scenario ${JSON.stringify(scenario)} of ${about === 'messages' ? 'messages' : 'the coordinator'}\naccepted: ${accepted}`,
    )
  return {
    about,
    kills: kills === undefined ? DEFAULT_KILLS : whole('kills', kills, 1, MAX_KILLS),
    rounds: rounds === undefined ? DEFAULT_KILLS : whole('rounds', rounds, 1, MAX_KILLS),
    slowSeconds: slow === undefined ? DEFAULT_SLOW_SECONDS : whole('slow-seconds', slow, 1, 3_600),
    only: scenario,
    seed: seed === undefined ? undefined : whole('seed', seed, 0, MAX_SEED),
    json,
  }
}
