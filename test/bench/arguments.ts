/**
 * The command line of the bench: `npm run bench -- [suite] [--json FILE] [--check] [--rounds N]
 * [--systems a,b] [--against COMMIT]`. Pure.
 */
import { readOptions, UsageError, whole } from '../support/usage.ts'

export const DEFAULT_ROUNDS = 5
export const MAX_ROUNDS = 50

export interface BenchArguments {
  /** Undefined lists the suites. */
  readonly suite: string | undefined
  readonly json: string | undefined
  readonly check: boolean
  readonly rounds: number
  /** Only these systems; all of the suite's unless told. */
  readonly systems: readonly string[] | undefined
  /** The commit that Parley is measured against, instead of others; undefined for none. */
  readonly against: string | undefined
}

const OPTIONS = {
  json: { type: 'string' },
  check: { type: 'boolean' },
  rounds: { type: 'string' },
  systems: { type: 'string' },
  against: { type: 'string' },
} as const

const ACCEPTED = '[suite] --json FILE --check --rounds N --systems a,b --against COMMIT'

/**
 * @param suites names of the suites that exist, each with the names of its systems
 * @throws UsageError
 */
export const parseBenchArguments = (
  args: readonly string[],
  suites: ReadonlyMap<string, readonly string[]>,
): BenchArguments => {
  const { values, positionals } = readOptions(args, OPTIONS, ACCEPTED, true)
  const [suite, ...more] = positionals
  if (more.length > 0) throw new UsageError(`one suite at a time; ${JSON.stringify(more[0])} is one too many`)
  if (values.json === '') throw new UsageError('--json needs the name of a file')

  if (values.against === '') throw new UsageError('--against needs a commit')
  if (values.against !== undefined && values.systems !== undefined) {
    throw new UsageError('--against measures parley and parley of that commit, so that --systems says nothing')
  }

  const rounds = values.rounds === undefined ? DEFAULT_ROUNDS : whole('rounds', values.rounds, 1, MAX_ROUNDS)
  const check = values.check ?? false
  const inEarnest = check || values.against !== undefined
  if (inEarnest && rounds < DEFAULT_ROUNDS) {
    throw new UsageError(
      `${check ? '--check' : '--against'} needs at least ${DEFAULT_ROUNDS} rounds, --rounds says ${rounds}`,
    )
  }

  if (suite === undefined) {
    if (Object.keys(values).length > 0) throw new UsageError(`name a suite: ${[...suites.keys()].join(', ')}`)
    return { suite, json: undefined, check, rounds, systems: undefined, against: undefined }
  }
  const known = suites.get(suite)
  if (known === undefined) {
    throw new UsageError(`there is no suite ${JSON.stringify(suite)}; there are: ${[...suites.keys()].join(', ')}`)
  }
  const systems = values.systems?.split(',').map((name) => name.trim())
  const stranger = systems?.find((name) => !known.includes(name))
  if (stranger !== undefined) {
    throw new UsageError(
      `the suite ${suite} does not measure ${JSON.stringify(stranger)}; it measures: ${known.join(', ')}`,
    )
  }
  return { suite, json: values.json, check, rounds, systems, against: values.against }
}
