/**
 * The command line of the crash runs. Pure. `npm run crash -- [--kills N]` plays those of the coordinator,
 * `npm run crash -- --rounds N [--slow-seconds S]` those of messages, `npm run crash -- --flips N [--tears N]` those of the
 * stores on a virtual disk, `npm run crash -- --tasks N` those of tasks; `[--scenario NAME] [--seed S] [--json FILE]` for all.
 */
import { readOptions, UsageError, whole } from '../support/usage.ts'

export const DEFAULT_KILLS = 200
export const MAX_KILLS = 100_000
export const DEFAULT_SLOW_SECONDS = 30
export const DEFAULT_FLIPS = 100_000
export const DEFAULT_TEARS = 3
export const DEFAULT_TASKS = 500
const MAX_TASKS = 100_000
const MAX_FLIPS = 100_000_000
const MAX_SEED = 2 ** 32 - 1

/** What the scenarios are about: who coordinates, durable messages, what lies on a disk, or tasks. */
export type About = 'coordinator' | 'messages' | 'disk' | 'tasks'

export interface CrashArguments {
  readonly about: About
  /** How often the coordinator is killed in the scenario `kills`. */
  readonly kills: number
  /** In how many rounds sender and receiver of messages are killed. */
  readonly rounds: number
  /** How long a receiver is slow. */
  readonly slowSeconds: number
  /** Bytes that are changed, one at a time, in all stores together. */
  readonly flips: number
  /** Times that the power goes at each operation on a disk, with something else left each time. */
  readonly tears: number
  /** Tasks that are submitted. */
  readonly tasks: number
  /** Only this scenario; undefined: all. */
  readonly only: string | undefined
  /** Decides who is killed when; undefined: any. */
  readonly seed: number | undefined
  /** File that all of it is written to; empty: the last line of the output has it. */
  readonly json: string | undefined
}

const WHOSE: Record<About, string> = {
  coordinator: 'the coordinator',
  messages: 'messages',
  disk: 'stores',
  tasks: 'tasks',
}

const OPTIONS = {
  kills: { type: 'string' },
  rounds: { type: 'string' },
  'slow-seconds': { type: 'string' },
  flips: { type: 'string' },
  tears: { type: 'string' },
  tasks: { type: 'string' },
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
  const accepted = `--kills N, or --rounds N --slow-seconds S for messages, or --flips N --tears N for stores on a disk, or --tasks N for tasks; --scenario NAME (or --only) --seed S --json FILE, where NAME is one of ${scenarios.coordinator.join(', ')}, for messages ${scenarios.messages.join(', ')}, for stores ${scenarios.disk.join(', ')}, and for tasks ${scenarios.tasks.join(', ')}`
  // Of tasks the counts may be the last line of the output: then no file is named.
  const isOfTasks = args.some((arg) => arg.startsWith('--tasks'))
  const isBare = (at: number): boolean => isOfTasks && args[at] === '--json' && (args[at + 1]?.startsWith('--') ?? true)
  const named = args.map((arg, at) => (isBare(at) ? '--json=' : arg))
  const { values } = readOptions(named, OPTIONS, accepted)
  const { kills, rounds, 'slow-seconds': slow, flips, tears, tasks, only, scenario = only, seed, json } = values
  if (json === '' && tasks === undefined) throw new UsageError('--json needs the name of a file')
  if (only !== undefined && scenario !== only) throw new UsageError('--only and --scenario say the same: give one')
  const given: About[] = [
    ...(kills === undefined ? [] : ['coordinator' as const]),
    ...(rounds === undefined && slow === undefined ? [] : ['messages' as const]),
    ...(flips === undefined && tears === undefined ? [] : ['disk' as const]),
    ...(tasks === undefined ? [] : ['tasks' as const]),
  ]
  if (given.length > 1)
    throw new UsageError(
      '--kills is of the coordinator, --rounds of messages, --flips of stores, --tasks of tasks: give one',
    )
  const about = given[0] ?? 'coordinator'
  if (scenario !== undefined && !scenarios[about].includes(scenario))
    throw new UsageError(`there is no scenario ${JSON.stringify(scenario)} of ${WHOSE[about]}\naccepted: ${accepted}`)
  return {
    about,
    kills: kills === undefined ? DEFAULT_KILLS : whole('kills', kills, 1, MAX_KILLS),
    rounds: rounds === undefined ? DEFAULT_KILLS : whole('rounds', rounds, 1, MAX_KILLS),
    slowSeconds: slow === undefined ? DEFAULT_SLOW_SECONDS : whole('slow-seconds', slow, 1, 3_600),
    flips: flips === undefined ? DEFAULT_FLIPS : whole('flips', flips, 1, MAX_FLIPS),
    tears: tears === undefined ? DEFAULT_TEARS : whole('tears', tears, 1, 1_000),
    tasks: tasks === undefined ? DEFAULT_TASKS : whole('tasks', tasks, 1, MAX_TASKS),
    only: scenario,
    seed: seed === undefined ? undefined : whole('seed', seed, 0, MAX_SEED),
    json,
  }
}
