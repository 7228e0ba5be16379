/** The command line of the soak: `npm run soak -- --minutes N [--seed S] [--json FILE]`. Pure. */
import { parseArgs } from 'node:util'

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

/** A wrong command line; the message says what is accepted. The program ends with 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

const OPTIONS = { minutes: { type: 'string' }, seed: { type: 'string' }, json: { type: 'string' } } as const

const read = (args: readonly string[]) => {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, strict: true }).values
  } catch (error) {
    throw new UsageError(
      `${error instanceof Error ? error.message : String(error)}\naccepted: --minutes N --seed S --json FILE`,
    )
  }
}

const whole = (name: string, text: string, least: number, most: number): number => {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN
  if (value >= least && value <= most) return value
  throw new UsageError(`--${name} ${JSON.stringify(text)} is not a whole number from ${least} to ${most}`)
}

/** @throws UsageError */
export const parseSoakArguments = (args: readonly string[]): SoakArguments => {
  const { minutes, seed, json } = read(args)
  if (json === '') throw new UsageError('--json needs the name of a file')
  return {
    minutes: minutes === undefined ? DEFAULT_MINUTES : whole('minutes', minutes, 1, MAX_MINUTES),
    seed: seed === undefined ? undefined : whole('seed', seed, 0, MAX_SEED),
    json,
  }
}
