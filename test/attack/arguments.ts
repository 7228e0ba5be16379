/** The command line of the attacks: `npm run attack -- [--only NAME[,NAME]] [--seconds N] [--json FILE]`. Pure. */
import { readOptions, UsageError, whole } from '../support/usage.ts'

export const DEFAULT_SECONDS = 30
export const MAX_SECONDS = 600

export interface AttackArguments {
  /** Only these; undefined: all. */
  readonly only: readonly string[] | undefined
  /** How long an attack goes on that takes as long as it is given. */
  readonly seconds: number
  readonly json: string | undefined
}

const OPTIONS = { only: { type: 'string' }, seconds: { type: 'string' }, json: { type: 'string' } } as const

/**
 * @param names of the attacks that there are
 * @throws UsageError
 */
export const parseAttackArguments = (args: readonly string[], names: readonly string[]): AttackArguments => {
  const accepted = `--only NAME[,NAME] --seconds N --json FILE, where NAME is one of ${names.join(', ')}`
  const { values } = readOptions(args, OPTIONS, accepted)
  const { only, seconds, json } = values
  if (json === '') throw new UsageError('--json needs the name of a file')
  const chosen = only?.split(',').map((name) => name.trim())
  const unknown = chosen?.find((name) => !names.includes(name))
  if (unknown !== undefined) {
    throw new UsageError(`there is no attack ${JSON.stringify(unknown)}\naccepted: ${accepted}`)
  }
  return {
    only: chosen,
    seconds: seconds === undefined ? DEFAULT_SECONDS : whole('seconds', seconds, 1, MAX_SECONDS),
    json,
  }
}
