/**
 * When a command that was not acknowledged is sent again, and how long each attempt waits. Pure; command-sender.ts waits
 * and sends.
 *
 * The delay doubles with each attempt, a quarter up or down by chance. COM001, COM002 and COM003 are worth another attempt,
 * but for a budget that is used up; any other error is the receiver's last word.
 */
import { isParleyError, ParleyError } from '../errors.ts'
import { hasNoBudgetLeft, neverHandled } from '../wire/caller/retry-policy.ts'
import type { CommandOptions } from './api.ts'

const TIMEOUT_MS = 30_000
const ACK_TIMEOUT_MS = 5_000
const RETRY = { maxRetries: 3, initialDelayMs: 1_000, maxDelayMs: 30_000 }
const LEAST_JITTER = 0.75
const MOST_JITTER = 1.25
const MAX_RETRIES = 100
const MAX_MS = 24 * 3_600_000

export interface RetrySettings {
  /** For all attempts together. */
  readonly timeoutMs: number
  /** For one attempt. */
  readonly ackTimeoutMs: number
  /** Attempts after the first one. */
  readonly maxRetries: number
  readonly initialDelayMs: number
  readonly maxDelayMs: number
}

const whole = (name: string, value: number, least: number, most: number): number => {
  if (Number.isInteger(value) && value >= least && value <= most) return value
  throw new ParleyError('MSG001', `${name} of a command is ${value}`, {
    hint: `give a whole number from ${least} to ${most}`,
  })
}

/** @throws MSG001 for a number out of its range */
export const retrySettingsOf = (options: CommandOptions): RetrySettings => {
  const { maxRetries, initialDelayMs, maxDelayMs } = { ...RETRY, ...options.retry }
  return {
    timeoutMs: whole('timeoutMs', options.timeoutMs ?? TIMEOUT_MS, 1, MAX_MS),
    ackTimeoutMs: whole('ackTimeoutMs', options.ackTimeoutMs ?? ACK_TIMEOUT_MS, 1, MAX_MS),
    maxRetries: whole('retry.maxRetries', maxRetries, 0, MAX_RETRIES),
    initialDelayMs: whole('retry.initialDelayMs', initialDelayMs, 1, MAX_MS),
    maxDelayMs: whole('retry.maxDelayMs', maxDelayMs, 1, MAX_MS),
  }
}

/** A handler ran and failed: whatever its code says is about what the handler itself did, not about the command. */
const isNack = (error: ParleyError): boolean => error.details.status === 'nack'

/** The command may run at the peer that answered so, or gave no answer: another peer must not be asked as well. */
export const mayHaveBegun = (error: unknown): boolean =>
  !isParleyError(error) || isNack(error) || !(error.code === 'MSG006' || neverHandled(error))

/** Nobody ran it for an attempt that failed so, without an acknowledgement: what it brought of a budget is there again. */
export const wasRefused = (error: unknown): boolean =>
  !mayHaveBegun(error) || (isParleyError(error) && !isNack(error) && error.details.sent === false)

/** Without chance. @param count which attempt is over, from 1 */
const usualDelayMs = (count: number, { initialDelayMs, maxDelayMs }: RetrySettings): number =>
  Math.min(maxDelayMs, initialDelayMs * 2 ** (count - 1))

/**
 * @param count which attempt failed, from 1
 * @param chance gives a number from 0 to 1; asked only where there is another attempt to think of
 * @returns milliseconds until the next attempt; undefined to give up
 */
export const retryDelayMs = (
  error: unknown,
  count: number,
  leftMs: number,
  settings: RetrySettings,
  chance: () => number,
): number | undefined => {
  if (!isParleyError(error, 'COM001', 'COM002', 'COM003') || hasNoBudgetLeft(error)) return undefined
  if (count > settings.maxRetries) return undefined
  const askedMs = error.details.retryAfterMs
  const delayMs = Math.max(
    typeof askedMs === 'number' ? askedMs : 0,
    usualDelayMs(count, settings) * (LEAST_JITTER + chance() * (MOST_JITTER - LEAST_JITTER)),
  )
  return delayMs < leftMs ? delayMs : undefined
}

/** How long attempt `count` waits. The last one waits to the end: the command may still run, and nobody would ask again. */
export const attemptTimeoutMs = (count: number, leftMs: number, settings: RetrySettings): number => {
  const longestDelayMs = MOST_JITTER * usualDelayMs(count, settings)
  const isLast = count > settings.maxRetries || settings.ackTimeoutMs + longestDelayMs >= leftMs
  return isLast ? leftMs : settings.ackTimeoutMs
}
