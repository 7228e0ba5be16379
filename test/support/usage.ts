/** What the command lines of the test programs have in common. Pure. */
import { type ParseArgsConfig, parseArgs } from 'node:util'

/** A wrong command line; the message says what is accepted. The program ends with 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/**
 * @param accepted shown where it is wrong
 * @param allowPositionals words without a dash, too
 * @throws UsageError
 */
export const readOptions = <T extends NonNullable<ParseArgsConfig['options']>>(
  args: readonly string[],
  options: T,
  accepted: string,
  allowPositionals = false,
) => {
  try {
    return parseArgs({ args: [...args], options, allowPositionals, strict: true })
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)}\naccepted: ${accepted}`)
  }
}

/** @throws UsageError */
export const whole = (name: string, text: string, least: number, most: number): number => {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN
  if (value >= least && value <= most) return value
  throw new UsageError(`--${name} ${JSON.stringify(text)} is not a whole number from ${least} to ${most}`)
}
